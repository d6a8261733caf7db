import type { StoreClient } from "./client.ts";

/** What is used of a `Redis` or `Cluster` of ioredis 5 or 6. All of it is public. */
export interface IoredisClient extends IoredisNode {
  readonly options: object;
  eval(script: string, numberOfKeys: number, ...args: string[]): Promise<unknown>;
  evalsha(sha1: string, numberOfKeys: number, ...args: string[]): Promise<unknown>;
  mget(...keys: string[]): Promise<unknown>;
  time(): Promise<unknown>;
  pipeline(): IoredisPipeline;
}

/** One server: the client itself, or one of a `Cluster`'s. */
export interface IoredisNode {
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

/** Commands that leave together, on one connection. */
export interface IoredisPipeline {
  eval(script: string, numberOfKeys: number, ...args: string[]): IoredisPipeline;
  wait(replicas: number, timeout: number): IoredisPipeline;
  exec(): Promise<[error: Error | null, reply: unknown][] | null>;
}

export function isIoredis(client: unknown): client is IoredisClient {
  const it = client as Partial<IoredisClient> | null | undefined;
  return typeof it?.evalsha === "function" && typeof it.mget === "function" && typeof it.options === "object";
}

/** @throws TypeError for a client that reads from replicas */
export function ioredisClient(client: IoredisClient): StoreClient {
  const { keyPrefix: prefix, commandTimeout, redisOptions, ...reading } = client.options as Options;
  const { scaleReads = "master", role = "master", readOnly = false } = reading;
  if (scaleReads !== "master" || role !== "master" || readOnly) {
    throw new TypeError(
      "redisStore must read from primaries, because a replica still shows sessions that were revoked: " +
        'leave scaleReads at "master", role at "master" and readOnly at false, or give it a client of its own',
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

    getMany: (keys) => client.mget(...keys),

    async run(script, keys, args) {
      try {
        return await client.evalsha(script.sha, keys.length, ...keys, ...args);
      } catch (error) {
        // A server forgets scripts when it is restarted, flushed or replaced.
        if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
        return client.eval(script.source, keys.length, ...keys, ...args);
      }
    },

    async runAndWait(calls, replicas, timeout) {
      const pipeline = client.pipeline();
      for (const { script, keys, args } of calls) pipeline.eval(script.source, keys.length, ...keys, ...args);
      const results = (await pipeline.wait(replicas, timeout).exec()) ?? [];
      const [waitFailed, confirmed] = results[calls.length] ?? [null, 0];
      const replies = calls.map((_, at) => waitFailed ?? results[at]?.[0] ?? results[at]?.[1]);
      return { replies, confirmed: Number(confirmed) };
    },

    async *scan(beginning, pageSize) {
      // A Cluster knows its primaries after its first reply.
      await client.time();
      const whole = keyPrefix + beginning;
      const pattern = `${whole.replaceAll(/[[\]*?^\\]/g, String.raw`\$&`)}*`;
      for (const node of primaries()) {
        let cursor = "0";
        do {
          const [next, page] = await node.scan(cursor, "MATCH", pattern, "COUNT", pageSize);
          yield page.map((key) => key.slice(keyPrefix.length));
          cursor = next;
        } while (cursor !== "0");
      }
    },

    time: () => client.time(),

    async evictionPolicies() {
      const policies = await Promise.all(primaries().map(evictionPolicy));
      return policies.filter((policy) => policy !== undefined);
    },
  };

  function primaries(): readonly IoredisNode[] {
    return isCluster && cluster.nodes ? cluster.nodes("master") : [client];
  }
}

/** Managed servers and restricted users may have only one of INFO and CONFIG, or neither. */
async function evictionPolicy(node: IoredisNode): Promise<string | undefined> {
  const info = await node.info("memory").catch(() => "");
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
  if (policy !== undefined) return policy;
  const reply = await node.config("GET", "maxmemory-policy").catch(() => undefined);
  return Array.isArray(reply) && typeof reply[1] === "string" ? reply[1] : undefined;
}

/** Of `RedisOptions` and `ClusterOptions`, what is read. */
interface Options {
  readonly scaleReads?: unknown;
  readonly role?: unknown;
  readonly readOnly?: unknown;
  readonly keyPrefix?: string | null;
  readonly commandTimeout?: number;
  readonly redisOptions?: { readonly commandTimeout?: number };
}

/** Where a `Cluster` differs from a `Redis`. */
interface ClusterPart {
  readonly isCluster?: boolean;
  /** The addresses of the servers of each slot, the primary first. */
  readonly slots?: readonly (readonly string[] | undefined)[];
  nodes?(role: "master"): IoredisNode[];
}

/** The slot of a Cluster that a key belongs to: CRC16 of the key, or of what stands between its first braces. */
export function slotOf(key: string): number {
  const open = key.indexOf("{");
  const close = open === -1 ? -1 : key.indexOf("}", open + 1);
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (const byte of Buffer.from(hashed)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0);
    crc &= 0xffff;
  }
  return crc % 16_384;
}
