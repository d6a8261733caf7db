/**
 * The operations that the store needs from a Redis client. Keys exclude `keyPrefix` unless stated otherwise.
 * Errors are the client's own: `commands.ts` makes them safe to log.
 */
export interface StoreClient {
  /** Prefix of every key on the server. */
  readonly keyPrefix: string;
  /** The client's own limit on the wait for a reply, milliseconds. `undefined`: it has none. */
  readonly commandTimeout: number | undefined;
  /** Returns the group of a key. Keys of one group may share a command. */
  groupOf(key: string): string;
  /** Returns the address of a key's primary, or `""` if the client knows none or is not a Cluster. */
  nodeOf(key: string): string;
  /** Sends MGET for keys of one group. */
  getMany(keys: readonly string[]): Promise<unknown>;
  /**
   * Runs a script on keys of one group. Commands for one key run in the order of the calls.
   *
   * @param script the source for EVAL, its SHA-1 for EVALSHA
   */
  run(
    command: "EVAL" | "EVALSHA",
    script: string,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<unknown>;
  /**
   * Runs scripts on keys of one node, then WAIT, all on one connection.
   *
   * @returns the reply or the error of each script, and how many replicas confirmed their writes
   */
  runAndWait(
    calls: readonly ScriptCall[],
    replicas: number,
    timeout: number,
  ): Promise<{ readonly replies: readonly unknown[]; readonly confirmed: number }>;
  time(): Promise<unknown>;
  /** Returns a sender for each primary. */
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

/** Returns the Cluster slot of a key: CRC16 of the key, or of the text in its first braces. */
export function slotOf(key: string): number {
  const open = key.indexOf("{");
  const close = open === -1 ? -1 : key.indexOf("}", open + 1);
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (const byte of Buffer.from(hashed)) crc = ((crc << 8) ^ CRC16[(crc >> 8) ^ byte]!) & 0xffff;
  return crc % 16_384;
}

/** The CRC16 of each byte, with the polynomial of Redis Cluster. */
const CRC16 = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0);
  return crc;
});
