/**
 * What the store needs of a client. Each kind of client has one file that implements it. The keys that these methods take, and the
 * errors with which they reject, are the store's business: see `commands.ts`.
 */
export interface StoreClient {
  /** What stands before each key on the server, and not in the keys of this interface. */
  readonly keyPrefix: string;
  /** How long the client waits for a reply, milliseconds. `undefined`: it has no limit of its own. */
  readonly commandTimeout: number | undefined;
  /** Keys of one group may share a command. */
  groupOf(key: string): string;
  /** Names the server that holds a key, as far as the client knows. */
  nodeOf(key: string): string;
  /** MGET of keys of one group. */
  getMany(keys: readonly string[]): Promise<unknown>;
  /** Runs a script on keys of one group. Commands for one key run in the order of their calls. */
  run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown>;
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

/** Whether a server does not have a script. It forgets them when it is restarted, flushed or replaced. */
export function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("NOSCRIPT");
}
