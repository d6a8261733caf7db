import { type Send, slotOf, type StoreClient } from "./client.ts";

/** The public members of an ioredis 5 or 6 `Redis` or `Cluster` that the store uses. */
export interface IoredisClient extends IoredisNode {
  readonly options: object;
  mget(...keys: string[]): Promise<unknown>;
  eval(...args: string[]): Promise<unknown>;
  evalsha(...args: string[]): Promise<unknown>;
  time(): Promise<unknown>;
  pipeline(): IoredisPipeline;
}

/** One server: the client itself, or a node of a `Cluster`. */
export interface IoredisNode {
  call(command: string, ...args: string[]): Promise<unknown>;
}

/** Commands that leave together on one connection. */
export interface IoredisPipeline {
  mget(...keys: string[]): IoredisPipeline;
  eval(...args: string[]): IoredisPipeline;
  evalsha(...args: string[]): IoredisPipeline;
  wait(replicas: number, timeout: number): IoredisPipeline;
  exec(): Promise<[error: Error | null, reply: unknown][] | null>;
}

export function isIoredis(client: unknown): client is IoredisClient {
  const it = client as Partial<IoredisClient> | null | undefined;
  // A pipeline has the commands too, but makes no pipelines.
  return (
    typeof it?.evalsha === "function" &&
    typeof it.mget === "function" &&
    typeof it.pipeline === "function" &&
    typeof it.options === "object"
  );
}

/** @throws TypeError for a client that reads from replicas, subscribes or monitors */
export function ioredisClient(client: IoredisClient): StoreClient {
  const { mode } = client as { readonly mode?: unknown };
  if (mode === "subscriber" || mode === "monitor") {
    throw new TypeError(
      `redisStore got an ioredis client in ${mode} mode, which sends no other commands: give the store its own client`,
    );
  }
  const { keyPrefix: prefix, commandTimeout, redisOptions, ...reading } = client.options as Options;
  const { scaleReads = "master", role = "master", readOnly = false } = reading;
  if (scaleReads !== "master" || role !== "master" || readOnly) {
    throw new TypeError(
      "redisStore must read from primaries, because a replica still returns revoked sessions: " +
        'leave scaleReads at "master", role at "master" and readOnly at false, or give the store its own client',
    );
  }
  const keyPrefix = prefix ?? "";
  const cluster = client as ClusterPart;
  const isCluster = cluster.isCluster === true;
  const slot = (key: string): number => slotOf(keyPrefix + key);

  return {
    keyPrefix,
    commandTimeout: commandTimeout ?? redisOptions?.commandTimeout,

    groupOf: (key) => (isCluster ? String(slot(key)) : ""),

    nodeOf: (key) => (isCluster ? (cluster.slots?.[slot(key)]?.[0] ?? "") : ""),

    getMany: (keys) => send("mget", keys),

    run: (command, script, keys, args) =>
      send(command === "EVAL" ? "eval" : "evalsha", [script, String(keys.length), ...keys, ...args]),

    async runAndWait(calls, replicas, timeout) {
      const pipeline = client.pipeline();
      for (const { script, keys, args } of calls)
        pipeline.eval(script.source, String(keys.length), ...keys, ...args);
      const results = (await pipeline.wait(replicas, timeout).exec()) ?? [];
      const [waitFailed, confirmed] = results[calls.length] ?? [null, 0];
      const replies = calls.map((_, at) => waitFailed ?? results[at]?.[0] ?? results[at]?.[1]);
      return { replies, confirmed: Number(confirmed) };
    },

    time: () => client.time(),

    async primaries() {
      if (!isCluster || !cluster.nodes) return [sendTo(client)];
      // A Cluster knows its primaries only after its first reply.
      await client.time();
      return cluster.nodes("master").map(sendTo);
    },
  };

  /**
   * Sends commands again that ioredis (5.11 and 6.0) fails because their slots move. Auto-pipelining joins
   * commands for several slots of one server. If ioredis learns before it sends them that the slots now have
   * different servers, it sends none. If it learns later, each command gets a different redirection, and
   * ioredis neither follows them nor learns the new slots: every later command would fail. It sends a pipeline
   * of one command to the right server, and follows its redirections.
   */
  async function send(method: "mget" | "eval" | "evalsha", args: readonly string[]): Promise<unknown> {
    try {
      return await client[method](...args);
    } catch (moved) {
      if (!(moved instanceof Error && MOVED.test(moved.message))) throw moved;
      const pipeline = client.pipeline();
      const [result] = (await pipeline[method](...args).exec()) ?? [];
      const [error, reply] = result ?? [];
      if (error) throw error;
      return reply;
    }
  }
}

const MOVED = /^(?:MOVED|ASK) |same slots allocation group/;

function sendTo(node: IoredisNode): Send {
  return (command, ...args) => node.call(command, ...args);
}

/** The fields of `RedisOptions` and `ClusterOptions` that matter here. */
interface Options {
  readonly scaleReads?: unknown;
  readonly role?: unknown;
  readonly readOnly?: unknown;
  readonly keyPrefix?: string | null;
  readonly commandTimeout?: number;
  readonly redisOptions?: { readonly commandTimeout?: number };
}

/** Members in which a `Cluster` differs from a `Redis`. */
interface ClusterPart {
  readonly isCluster?: boolean;
  /** The server addresses of each slot, primary first. */
  readonly slots?: readonly (readonly string[] | undefined)[];
  nodes?(role: "master"): IoredisNode[];
}
