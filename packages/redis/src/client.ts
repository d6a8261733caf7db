/**
 * What the store needs of a client. `ioredis.ts` and `node-redis.ts` implement it. Keys are without `keyPrefix`, unless they are said to
 * include it, and errors are the client's: `commands.ts` makes them safe.
 */
export interface StoreClient {
  /** What stands before each key on the server. */
  readonly keyPrefix: string;
  /** How long the client waits for a reply, milliseconds. `undefined`: it has no limit of its own. */
  readonly commandTimeout: number | undefined;
  /** Keys of one group may share a command. */
  groupOf(key: string): string;
  /** Names the server that holds a key, as far as the client knows. */
  nodeOf(key: string): string;
  /** MGET of keys of one group. */
  getMany(keys: readonly string[]): Promise<unknown>;
  /**
   * Runs a script on keys of one group. Commands for one key run in the order of their calls.
   *
   * @param script the source, or for EVALSHA its SHA-1
   */
  run(
    command: "EVAL" | "EVALSHA",
    script: string,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<unknown>;
  /**
   * Runs scripts on keys of one node, and after them WAIT, on one connection.
   *
   * @returns for each script its reply or its error, and how many replicas have what they wrote
   */
  runAndWait(
    calls: readonly ScriptCall[],
    replicas: number,
    timeout: number,
  ): Promise<{ readonly replies: readonly unknown[]; readonly confirmed: number }>;
  /** The reply of TIME. */
  time(): Promise<unknown>;
  /** The primaries, for what concerns every key. */
  primaries(): Promise<readonly Send[]>;
}

/** Sends a command to one server. Keys in it and in its reply include `keyPrefix`. */
export type Send = (command: string, ...args: string[]) => Promise<unknown>;

/** A Lua script and its SHA-1. */
export interface Script {
  readonly source: string;
  readonly sha: string;
}

export interface ScriptCall {
  readonly script: Script;
  readonly keys: readonly string[];
  readonly args: readonly string[];
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
