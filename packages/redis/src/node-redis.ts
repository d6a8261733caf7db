import { type ScriptCall, type Send, slotOf, type StoreClient } from "./client.ts";

/** The clients of node-redis 5 or later. The interfaces below have only the members that the store uses. */
export type NodeRedisClient = NodeRedisConnection | NodeRedisPool | NodeRedisSentinel | NodeRedisCluster;

/** What `createClient` returns. */
export interface NodeRedisConnection {
  readonly isOpen: boolean;
  sendCommand(command: string[], options?: object): Promise<unknown>;
  withTypeMapping(mapping: {}): { multi(): NodeRedisMulti };
}

/** What `createClientPool` returns. */
export interface NodeRedisPool {
  readonly isOpen: boolean;
  readonly idleClients: number;
  execute<Result>(use: (client: NodeRedisConnection) => Promise<Result>): Promise<Result>;
}

/** What `createSentinel` returns. */
export interface NodeRedisSentinel {
  readonly isOpen: boolean;
  getSentinelNode(): unknown;
  sendCommand(isReadonly: boolean, command: string[], options?: object): Promise<unknown>;
  withTypeMapping(mapping: {}): { multi(): NodeRedisSentinelMulti };
}

/** What `createCluster` returns. */
export interface NodeRedisCluster {
  readonly isOpen: boolean;
  /** Entries are `undefined` before the client has connected. */
  readonly slots: readonly ({ readonly master: { readonly address: string } } | undefined)[];
  readonly masters: readonly object[];
  nodeClient(node: object): NodeRedisConnection | Promise<NodeRedisConnection>;
  sendCommand(
    firstKey: string | undefined,
    isReadonly: boolean,
    command: string[],
    options?: object,
  ): Promise<unknown>;
}

/** Commands that leave together on one connection. */
export interface NodeRedisMulti {
  addCommand(command: string[]): unknown;
  execAsPipeline(): Promise<readonly unknown[]>;
}

/** A pipeline on the primary of a Sentinel client. */
export interface NodeRedisSentinelMulti {
  addCommand(isReadonly: boolean, command: string[]): unknown;
  execAsPipeline(): Promise<readonly unknown[]>;
}

export function isNodeRedis(client: unknown): client is NodeRedisClient {
  const it = client as Partial<NodeRedisConnection> | null | undefined;
  return (
    typeof it?.sendCommand === "function" &&
    typeof it.withTypeMapping === "function" &&
    typeof it.isOpen === "boolean"
  );
}

/** @throws TypeError for a client that is not connected, subscribes, caches or reads from replicas */
export function nodeRedisClient(client: NodeRedisClient): StoreClient {
  assertUsable(client);
  const keyPrefix = keyPrefixOf(client);
  const cluster = "nodeClient" in client ? client : undefined;
  const { send, pipeline } = connectionOf(client);
  const slot = (key: string): number => slotOf(keyPrefix + key);
  const withPrefix = (keys: readonly string[]): string[] => keys.map((key) => keyPrefix + key);

  return {
    keyPrefix,
    // node-redis does not limit the wait for a reply: the `timeout` of `commandOptions` ends when a command
    // is written.
    commandTimeout: undefined,

    groupOf: (key) => (cluster ? String(slot(key)) : ""),

    nodeOf: (key) => cluster?.slots[slot(key)]?.master.address ?? "",

    getMany(keys) {
      const whole = withPrefix(keys);
      return send(["MGET", ...whole], whole[0]);
    },

    run(command, script, keys, args) {
      const whole = withPrefix(keys);
      return send([command, script, String(keys.length), ...whole, ...args], whole[0]);
    },

    runAndWait,

    time: () => send(["TIME"]),

    primaries: async () => (cluster ? primariesOf(cluster) : [(...command) => send(command)]),
  };

  async function runAndWait(
    calls: readonly ScriptCall[],
    replicas: number,
    timeout: number,
  ): Promise<{ replies: unknown[]; confirmed: number }> {
    const commands = calls.map(({ script, keys, args }) => [
      "EVAL",
      script.source,
      String(keys.length),
      ...withPrefix(keys),
      ...args,
    ]);
    commands.push(["WAIT", String(replicas), String(timeout)]);
    const firstKey = keyPrefix + calls[0]!.keys[0];
    try {
      const replies = await pipeline(commands, firstKey);
      return { replies: replies.slice(0, -1), confirmed: Number(replies.at(-1)) };
    } catch (error) {
      if (calls.length === 1) return { replies: [error], confirmed: 0 };
      // A pipeline rejects as a whole if one command fails. Scripts may safely run twice, so each runs again,
      // alone.
      const each = await Promise.all(calls.map((call) => runAndWait([call], replicas, timeout)));
      const done = each.filter(({ replies: [reply] }) => !(reply instanceof Error));
      return {
        replies: each.flatMap(({ replies }) => replies),
        confirmed: Math.min(...done.map(({ confirmed }) => confirmed)),
      };
    }
  }
}

/** @throws TypeError for a client that cannot keep the promises */
function assertUsable(client: NodeRedisClient): void {
  const { isOpen, isPubSubActive, clientSideCache, options, _options } = client as Facts;
  if (!isOpen) {
    throw new TypeError(
      "redisStore got a node-redis client that is not connected: call connect() first, and listen for its error events",
    );
  }
  if (isPubSubActive === true) {
    throw new TypeError(
      "redisStore got a node-redis client that subscribes to channels: give the store its own, such as client.duplicate()",
    );
  }
  if (clientSideCache !== undefined) {
    throw new TypeError(
      "redisStore must read from the server, because a clientSideCache still returns revoked sessions: give it a client without a cache",
    );
  }
  if (options?.readonly === true || _options?.useReplicas === true) {
    throw new TypeError(
      "redisStore must read from primaries, because a replica still returns revoked sessions: " +
        "leave readonly and useReplicas at false, or give the store its own client",
    );
  }
}

/** Returns the prefix, which node-redis 6 introduced. `sendCommand` does not add it, so the store does. */
function keyPrefixOf(client: NodeRedisClient): string {
  const { _keyPrefix = "" } = client as Facts;
  if (typeof _keyPrefix === "string") return _keyPrefix;
  throw new TypeError("redisStore needs a client whose keyPrefix is a string");
}

/** Further members, most of which are missing in some kinds or versions of client. */
interface Facts {
  readonly isOpen: boolean;
  readonly isPubSubActive?: boolean;
  readonly clientSideCache?: unknown;
  readonly options?: { readonly readonly?: boolean };
  readonly _options?: { readonly useReplicas?: boolean };
  readonly _keyPrefix?: unknown;
}

/**
 * Options of every command. They override the client's own, which could reorder it, abort it or change the
 * types of its reply.
 */
const OPTIONS = { asap: false, abortSignal: undefined, typeMapping: {} } as const;

type Command = string[];

/** Writes commands with the same first key in the order of the calls. */
interface Connection {
  /** @param firstKey with `keyPrefix`. In a Cluster, its primary gets the command. Absent: any primary */
  readonly send: (command: Command, firstKey?: string) => Promise<unknown>;
  /** Sends commands on one connection. Rejects if one of them fails. */
  readonly pipeline: (commands: readonly Command[], firstKey: string) => Promise<readonly unknown[]>;
}

function connectionOf(client: NodeRedisClient): Connection {
  if ("nodeClient" in client) return overCluster(client);
  if ("getSentinelNode" in client) return overSentinel(client);
  return "execute" in client ? overPool(client) : overClient(client);
}

function overClient(client: NodeRedisConnection): Connection {
  return {
    send: (command) => client.sendCommand(command, OPTIONS),
    pipeline(commands) {
      const multi = client.withTypeMapping({}).multi();
      for (const command of commands) multi.addCommand(command);
      return multi.execAsPipeline();
    },
  };
}

/**
 * The client shares one connection among commands in flight. Commands that start while none is in flight run
 * one after the other, a round trip each. So the first command of a turn starts alone: 64 concurrent commands
 * take 1 ms instead of 10 ms.
 */
function overSentinel(sentinel: NodeRedisSentinel): Connection {
  let turn: Promise<void> | undefined;
  return {
    send: (command) => begin(() => sentinel.sendCommand(false, command, OPTIONS)),
    pipeline: (commands) =>
      begin(() => {
        const multi = sentinel.withTypeMapping({}).multi();
        for (const command of commands) multi.addCommand(false, command);
        return multi.execAsPipeline();
      }),
  };

  async function begin<Result>(call: () => Promise<Result>): Promise<Result> {
    if (turn !== undefined) await turn;
    else turn = new Promise<void>((resolve) => setImmediate(resolve)).then(() => void (turn = undefined));
    return call();
  }
}

/**
 * Borrows one connection from the pool while commands are in flight. With a connection for each command,
 * commands would neither stay in order nor leave together.
 */
function overPool(pool: NodeRedisPool): Connection {
  let lease: Promise<Connection> | undefined;
  let giveBack: (() => void) | undefined;
  let users = 0;
  return {
    send: (command) => using((connection) => connection.send(command)),
    pipeline: (commands, firstKey) => using((connection) => connection.pipeline(commands, firstKey)),
  };

  async function using<Result>(call: (connection: Connection) => Promise<Result>): Promise<Result> {
    users += 1;
    lease ??= borrow();
    try {
      return await call(await lease);
    } finally {
      users -= 1;
      if (users === 0) {
        lease = undefined;
        giveBack?.();
      }
    }
  }

  function borrow(): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const lent = pool.execute((client) => {
        resolve(overClient(client));
        return new Promise<void>((returned) => (giveBack = returned));
      });
      lent.catch(reject);
    });
  }
}

/**
 * Sends commands to the primary of their slot, and uses the client's routing only after a redirection. That
 * routing takes longer for MGET than for a script, so commands for one key would overtake each other.
 */
function overCluster(cluster: NodeRedisCluster): Connection {
  const primaryOf = (key: string): object | undefined => cluster.slots[slotOf(key)]?.master;
  return {
    async send(command, firstKey) {
      const primary = firstKey === undefined ? undefined : primaryOf(firstKey);
      try {
        if (primary) return await (await cluster.nodeClient(primary)).sendCommand(command, OPTIONS);
      } catch (error) {
        if (!(error instanceof Error && /^(?:MOVED|ASK) /.test(error.message))) throw error;
      }
      return cluster.sendCommand(firstKey, false, command, OPTIONS);
    },

    async pipeline(commands, firstKey) {
      const primary = primaryOf(firstKey);
      if (!primary) throw new Error("The Cluster client does not know the primary of a key.");
      const client = await cluster.nodeClient(primary);
      return overClient(client).pipeline(commands, firstKey);
    },
  };
}

/** @throws Error before the client has connected: a scan of no primaries would look like an empty store */
async function primariesOf(cluster: NodeRedisCluster): Promise<Send[]> {
  if (cluster.masters.length === 0) throw new Error("The Cluster client has not connected yet.");
  const clients = await Promise.all(cluster.masters.map(async (master) => cluster.nodeClient(master)));
  return clients.map(
    (client) =>
      (...command) =>
        client.sendCommand(command, OPTIONS),
  );
}
