import { isUnknownScript, type ScriptCall, type Send, type StoreClient } from "./client.ts";
import { slotOf } from "./slot.ts";

/** What `createClient`, `createClientPool`, `createSentinel` and `createCluster` of node-redis 5 or later return. */
export type NodeRedisClient = NodeRedisConnection | NodeRedisPool | NodeRedisSentinel | NodeRedisCluster;

/** What the store uses of a client of node-redis. */
export interface NodeRedisConnection {
  readonly isOpen: boolean;
  sendCommand(command: string[], options?: object): Promise<unknown>;
  withTypeMapping(mapping: {}): { multi(): NodeRedisMulti };
}

/** What the store uses of a pool of node-redis. */
export interface NodeRedisPool {
  readonly isOpen: boolean;
  readonly idleClients: number;
  execute<Result>(use: (client: NodeRedisConnection) => Promise<Result>): Promise<Result>;
}

/** What the store uses of a Sentinel client of node-redis. */
export interface NodeRedisSentinel {
  readonly isOpen: boolean;
  getSentinelNode(): unknown;
  sendCommand(isReadonly: boolean, command: string[], options?: object): Promise<unknown>;
  withTypeMapping(mapping: {}): { multi(): NodeRedisSentinelMulti };
}

/** What the store uses of a cluster of node-redis. */
export interface NodeRedisCluster {
  readonly isOpen: boolean;
  /** `undefined` before the client has connected. */
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

/** Commands that leave together, on one connection. */
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

/** @throws TypeError for a client that is not connected, that subscribes, that caches or that reads from replicas */
export function nodeRedisClient(client: NodeRedisClient): StoreClient {
  const keyPrefix = usableKeyPrefix(client);
  const cluster = "nodeClient" in client ? client : undefined;
  const way = cluster
    ? throughCluster(cluster)
    : overOne(client as Exclude<NodeRedisClient, NodeRedisCluster>);
  const slot = (key: string): number => slotOf(keyPrefix + key);

  return {
    keyPrefix,
    // The `timeout` of `commandOptions` ends once a command was written. No client of node-redis limits the wait for a reply.
    commandTimeout: undefined,

    groupOf: (key) => (cluster ? String(slot(key)) : ""),

    nodeOf: (key) => cluster?.slots[slot(key)]?.master.address ?? "",

    getMany(keys) {
      const whole = keys.map((key) => keyPrefix + key);
      return way.send(whole[0], ["MGET", ...whole]);
    },

    async run(script, keys, args) {
      const whole = keys.map((key) => keyPrefix + key);
      const rest = [String(keys.length), ...whole, ...args];
      try {
        return await way.send(whole[0], ["EVALSHA", script.sha, ...rest]);
      } catch (error) {
        if (!isUnknownScript(error)) throw error;
        return way.send(whole[0], ["EVAL", script.source, ...rest]);
      }
    },

    runAndWait,

    time: () => way.send(undefined, ["TIME"]),

    primaries: () => way.primaries(),
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
      ...keys.map((key) => keyPrefix + key),
      ...args,
    ]);
    const [key] = (calls[0] as ScriptCall).keys as [string];
    try {
      const replies = await way.pipeline(keyPrefix + key, [
        ...commands,
        ["WAIT", String(replicas), String(timeout)],
      ]);
      return { replies: replies.slice(0, -1), confirmed: Number(replies.at(-1)) };
    } catch (error) {
      if (calls.length === 1) return { replies: [error], confirmed: 0 };
      // A pipeline rejects as a whole if one of its commands fails. Each script may run twice, so each runs again, alone.
      const each = await Promise.all(calls.map((call) => runAndWait([call], replicas, timeout)));
      const done = each.filter(({ replies: [reply] }) => !(reply instanceof Error));
      return {
        replies: each.flatMap(({ replies }) => replies),
        confirmed: Math.min(...done.map(({ confirmed }) => confirmed)),
      };
    }
  }
}

/**
 * The `keyPrefix` of node-redis 6 or later. The client does not add it to the commands of `sendCommand`, so the store does.
 *
 * @throws TypeError for a client that cannot keep the promises
 */
function usableKeyPrefix(client: NodeRedisClient): string {
  const { isOpen, isPubSubActive, clientSideCache, options, _options, _keyPrefix } = client as Facts;
  if (!isOpen) {
    throw new TypeError(
      "redisStore got a client of node-redis that is not connected: call its connect() first, and handle its error events",
    );
  }
  if (isPubSubActive === true) {
    throw new TypeError(
      "redisStore got a client of node-redis that subscribes to channels: give it a client of its own, as client.duplicate() makes one",
    );
  }
  if (clientSideCache !== undefined) {
    throw new TypeError(
      "redisStore must read from the server, because a clientSideCache still shows sessions that were revoked: give it a client without one",
    );
  }
  if (options?.readonly === true || _options?.useReplicas === true) {
    throw new TypeError(
      "redisStore must read from primaries, because a replica still shows sessions that were revoked: " +
        "leave readonly and useReplicas at false, or give it a client of its own",
    );
  }
  if (_keyPrefix !== undefined && typeof _keyPrefix !== "string") {
    throw new TypeError("redisStore needs a client whose keyPrefix is a string");
  }
  return _keyPrefix ?? "";
}

/** What else a client reveals. Most of it is missing in some kind of client, or in some version. */
interface Facts {
  readonly isOpen: boolean;
  readonly isPubSubActive?: boolean;
  readonly clientSideCache?: unknown;
  readonly options?: { readonly readonly?: boolean };
  readonly _options?: { readonly useReplicas?: boolean };
  readonly _keyPrefix?: unknown;
}

/**
 * The options of every command: in order, never aborted by a signal that the client was given for something else, and with replies
 * of the same types whatever the client maps them to.
 */
const OPTIONS = { asap: false, abortSignal: undefined, typeMapping: {} } as const;

type Command = string[];

/** A way to the servers. Commands whose first key is the same are written in the order of the calls. */
interface Way {
  send(firstKey: string | undefined, command: Command): Promise<unknown>;
  /** Sends commands on one connection. Rejects if one of them fails. */
  pipeline(firstKey: string, commands: readonly Command[]): Promise<readonly unknown[]>;
  primaries(): Promise<readonly Send[]>;
}

interface Connection {
  readonly send: (command: Command) => Promise<unknown>;
  readonly pipeline: (commands: readonly Command[]) => Promise<readonly unknown[]>;
}

function overOne(client: Exclude<NodeRedisClient, NodeRedisCluster>): Way {
  const { send, pipeline } = connectionOf(client);
  return {
    send: (_, command) => send(command),
    pipeline: (_, commands) => pipeline(commands),
    primaries: async () => [(...command: Command) => send(command)],
  };
}

function connectionOf(client: Exclude<NodeRedisClient, NodeRedisCluster>): Connection {
  if ("getSentinelNode" in client) return overSentinel(client);
  if ("execute" in client) return borrowed((use) => client.execute((one) => use(overClient(one))));
  return overClient(client);
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
 * The client shares one connection among the commands under way. Those that begin while none is under way take it in turns, a round trip
 * each. So the first command of a turn of the event loop begins alone: 64 at once take 1 ms instead of 10 ms.
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
 * Borrows one connection from a pool, and returns it when no call uses it. A connection for each command would neither keep the
 * commands in order nor let them leave together.
 */
function borrowed(borrow: (use: (connection: Connection) => Promise<void>) => Promise<void>): Connection {
  let lease: Promise<Connection> | undefined;
  let giveBack: (() => void) | undefined;
  let users = 0;
  return {
    send: (command) => using((connection) => connection.send(command)),
    pipeline: (commands) => using((connection) => connection.pipeline(commands)),
  };

  async function using<Result>(call: (connection: Connection) => Promise<Result>): Promise<Result> {
    users += 1;
    lease ??= take();
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

  function take(): Promise<Connection> {
    return new Promise((resolve, reject) => {
      borrow(
        (connection) =>
          new Promise((returned) => {
            giveBack = returned;
            resolve(connection);
          }),
      ).catch((error: unknown) => {
        lease = undefined;
        reject(error);
      });
    });
  }
}

/**
 * Sends commands to the primary of their slot, and through the client's own routing only if that redirects them: the routing takes longer
 * for MGET than for a script, so that commands for one key would pass each other.
 */
function throughCluster(cluster: NodeRedisCluster): Way {
  return {
    async send(firstKey, command) {
      const master = masterOf(firstKey);
      try {
        if (master !== undefined)
          return await (await cluster.nodeClient(master)).sendCommand(command, OPTIONS);
      } catch (error) {
        if (!isAnswered(error, "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN")) throw error;
      }
      return redirected(firstKey, command);
    },

    async pipeline(firstKey, commands) {
      const master = masterOf(firstKey);
      if (master === undefined) throw new Error("The client of the Cluster knows no primary for a key.");
      return overClient(await cluster.nodeClient(master)).pipeline(commands);
    },

    async primaries() {
      // The client knows the primaries once it has connected. Without one, nothing would look like an empty store.
      if (cluster.masters.length === 0) throw new Error("The client of the Cluster has not connected yet.");
      const nodes = await Promise.all(cluster.masters.map(async (master) => cluster.nodeClient(master)));
      return nodes.map(
        (node) =>
          (...command: Command) =>
            node.sendCommand(command, OPTIONS),
      );
    },
  };

  function masterOf(key: string | undefined): object | undefined {
    return key === undefined ? undefined : cluster.slots[slotOf(key)]?.master;
  }

  /** The client follows MOVED and ASK. While a slot moves or is without a primary, the servers ask for another attempt. */
  async function redirected(firstKey: string | undefined, command: Command): Promise<unknown> {
    for (let attempts = 1; ; attempts += 1) {
      try {
        return await cluster.sendCommand(firstKey, false, command, OPTIONS);
      } catch (error) {
        if (attempts === ATTEMPTS || !isAnswered(error, "TRYAGAIN", "CLUSTERDOWN")) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }
}

/** As many attempts, and milliseconds between them, as ioredis makes. */
const ATTEMPTS = 16;
const PAUSE = 100;

function isAnswered(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && codes.some((code) => error.message.startsWith(`${code} `));
}
