/** Where a server runs: a process of this machine (local-process.ts) or a container (container.ts). To dispose is to remove its data too. */
export interface Machine extends AsyncDisposable {
  /** Its first process, the ancestor of its others: another one after every start. */
  pid(): Promise<number>;
  /** Starts it after it ended, on the same data. Resolves before the server answers. */
  start(): Promise<void>;
  /** Sends a signal that ends it and waits until it is gone. */
  end(signal: "SIGTERM" | "SIGINT" | "SIGKILL"): Promise<void>;
  /** SIGSTOP: connections stay open and nobody answers, until {@link resume}. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** What it printed last, for the message of a failed start. */
  lastWords(): Promise<string>;
}
