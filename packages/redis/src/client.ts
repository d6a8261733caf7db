import { slotOf } from "./slot.ts";

/**
 * What the store asks of an ioredis `Redis` or `Cluster`, of ioredis 5 or 6. The client stays the user's own: the store
 * neither configures nor closes it, and listens to none of its events.
 */
export interface RedisClient extends RedisNode {
  readonly options: object;
  eval(script: string, numberOfKeys: number, ...args: (string | Buffer)[]): Promise<unknown>;
  evalsha(sha1: string, numberOfKeys: number, ...args: (string | Buffer)[]): Promise<unknown>;
  get(key: string): Promise<string | null>;
  time(): Promise<unknown>;
  zscan(key: string, cursor: string, count: "COUNT", size: number): Promise<[cursor: string, page: string[]]>;
  pipeline(): RedisPipeline;
}

/** One server: the client itself, or one of a `Cluster`'s. */
export interface RedisNode {
  config(get: "GET", parameter: string): Promise<unknown>;
  info(section: string): Promise<string>;
  scan(
    cursor: string,
    match: "MATCH",
    pattern: string,
    count: "COUNT",
    size: number,
  ): Promise<[cursor: string, page: string[]]>;
}

/** Commands that leave together, and on one connection. */
export interface RedisPipeline {
  eval(script: string, numberOfKeys: number, ...args: (string | Buffer)[]): RedisPipeline;
  wait(replicas: number, timeout: number): RedisPipeline;
  exec(): Promise<[error: Error | null, answer: unknown][] | null>;
}

/** What the user told the client, as far as the store must know it. */
export interface ClientSettings {
  /** Put before each key of a command by ioredis itself, but neither into patterns nor taken off the keys in an answer. */
  readonly keyPrefix: string;
  /** Milliseconds. */
  readonly commandTimeout: number | undefined;
  readonly enableAutoPipelining: boolean;
}

/**
 * Refuses a client that can't keep the promises.
 *
 * @throws TypeError for what is no ioredis client, and for one that reads from replicas
 */
export function assertClient(client: RedisClient): void {
  if (typeof client?.evalsha !== "function" || typeof client.options !== "object") {
    throw new TypeError("redisStore needs a Redis or Cluster of ioredis 5 or 6 as its first argument");
  }
  const { scaleReads = "master", role = "master", readOnly = false } = rawOptions(client);
  if (scaleReads !== "master" || role !== "master" || readOnly) {
    throw new TypeError(
      "redisStore must read from primaries, because a replica still shows sessions that were revoked: " +
        'leave scaleReads at "master", role at "master" and readOnly at false, or give it a client of its own',
    );
  }
}

export function settingsOf(client: RedisClient): ClientSettings {
  const { keyPrefix, commandTimeout, enableAutoPipelining, redisOptions } = rawOptions(client);
  return {
    keyPrefix: keyPrefix ?? "",
    commandTimeout: commandTimeout ?? redisOptions?.commandTimeout,
    enableAutoPipelining: enableAutoPipelining === true,
  };
}

/** The servers that hold sessions: one, or each primary of a cluster that the client has heard of by now. */
export function primaries(client: RedisClient): readonly RedisNode[] {
  const { isCluster, nodes } = internals(client);
  return isCluster && nodes ? nodes.call(client, "master") : [client];
}

/**
 * What tells apart the primaries that hold keys: commands that a Cluster sends to one of them may leave together.
 *
 * @param key as the server knows it
 */
export function primaryOf(client: RedisClient, key: string): string {
  const { isCluster, slots } = internals(client);
  if (!isCluster) return "";
  const slot = slotOf(key);
  return slots?.[slot]?.join() ?? `slot ${slot}`;
}

/** A client's connection, once there is one. */
export interface Connection {
  cork(): void;
  uncork(): void;
}

export function connectionsOf(client: RedisClient): Connection[] {
  const connections: Connection[] = [];
  for (const node of primaries(client)) {
    const { stream } = internals(node);
    if (stream && !stream.destroyed) connections.push(stream);
  }
  return connections;
}

/** Of `RedisOptions` and `ClusterOptions`, what is looked at. */
interface RawOptions {
  readonly scaleReads?: unknown;
  readonly role?: unknown;
  readonly readOnly?: unknown;
  readonly keyPrefix?: string | null;
  readonly commandTimeout?: number;
  readonly enableAutoPipelining?: boolean;
  readonly redisOptions?: { readonly commandTimeout?: number };
}

function rawOptions(client: RedisClient): RawOptions {
  return client.options;
}

/** Where a `Redis` and a `Cluster` differ. All are public in ioredis 5 and 6. */
interface Internals {
  readonly isCluster?: boolean;
  /** The addresses of who has each slot, the primary first, as far as the client has heard. */
  readonly slots?: readonly (readonly string[] | undefined)[];
  readonly nodes?: (role: "master") => RedisNode[];
  readonly stream?: (Connection & { readonly destroyed: boolean }) | null;
}

function internals(client: RedisNode): Internals {
  return client as Internals;
}
