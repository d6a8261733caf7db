/** Where a server runs: a process of this machine ({@link localProcess}) or a container ({@link container}). */
export interface Machine {
  /** Begins to run it, anew after it ended, on the same data. Resolves before the server answers. */
  start(): Promise<void>;
  /** Sends a signal that ends it and waits until it is gone. */
  end(signal: "SIGTERM" | "SIGINT" | "SIGKILL"): Promise<void>;
  /** Stops it in the middle of whatever it does (SIGSTOP): connections stay open and nobody answers. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  running(): Promise<boolean>;
  /** Its first process, as this machine numbers it; the others descend from that. */
  pid(): Promise<number>;
  /** What it said last, for the message of a failed start. */
  lastWords(): Promise<string>;
}
