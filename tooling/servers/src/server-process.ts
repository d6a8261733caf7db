/**
 * A running server, as a process of this machine (local-process.ts) or in a container (container.ts).
 * Disposing it also removes its data.
 */
export interface ServerProcess extends AsyncDisposable {
  /** The id of its main process, the ancestor of its other processes. It changes at every start. */
  pid(): Promise<number>;
  /** Starts it again after it ended, on the same data. Resolves before the server accepts requests. */
  start(): Promise<void>;
  /** Sends a signal that ends it, and waits until it has ended. */
  end(signal: "SIGTERM" | "SIGINT" | "SIGKILL"): Promise<void>;
  /** Sends SIGSTOP: connections stay open and get no reply until {@link resume}. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Its last output, for the message of a failed start. */
  lastOutput(): Promise<string>;
}
