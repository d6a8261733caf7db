/** What the store needs of a client. Each kind of client has one file that implements it. */
export interface StoreClient {
  /** What the client itself puts before each key of a command. */
  readonly keyPrefix: string;
  /** How long the client waits for a reply, milliseconds. */
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
  /** Pages of the keys that begin with a text, on every primary. A key may be there twice. They are without `keyPrefix`. */
  scan(beginning: string, pageSize: number): AsyncIterable<readonly string[]>;
  /** The reply of TIME. */
  time(): Promise<unknown>;
  /** `maxmemory-policy` of every primary that tells it. */
  evictionPolicies(): Promise<readonly string[]>;
}

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
