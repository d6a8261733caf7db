import { until } from "./until.ts";

/** A server that one test file has for itself: to stop, kill, pause and start again, with settings of its own. */
export interface OwnServer extends AsyncDisposable {
  /** The address, with credentials. It stays the same over stop and start. */
  readonly url: string;
  /** The port on 127.0.0.1. */
  readonly port: number;
  /** What it is and where it came from, human-readable. */
  readonly how: string;
  /** Its first process, the ancestor of its others: another one after every start. */
  pid(): Promise<number>;
  /** Starts it again on the same port and data, after {@link stop} or {@link kill}; resolves when it answers. */
  start(): Promise<void>;
  /** Ends it in good order. */
  stop(): Promise<void>;
  /** Ends it with SIGKILL, as a crash would. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open and nobody answers, until {@link resume}. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/** Where a server runs: a process of this machine (local-process.ts) or a container (container.ts). */
export interface Machine extends Pick<OwnServer, "pid" | "pause" | "resume"> {
  /** Starts it, again after it ended, on the same data. Resolves before the server answers. */
  start(): Promise<void>;
  /** Sends a signal that ends it and waits until it is gone. */
  end(signal: "SIGTERM" | "SIGINT" | "SIGKILL"): Promise<void>;
  running(): Promise<boolean>;
  /** What it printed last, for the message of a failed start. */
  lastWords(): Promise<string>;
}

export interface OwnServerPlan extends Pick<OwnServer, "url" | "port"> {
  readonly machine: Machine;
  readonly way: { readonly image: string } | { readonly command: string };
  /** The signal that this server takes for an orderly end. */
  readonly stopSignal?: "SIGTERM" | "SIGINT";
  /** Resolves once the server answers a question; rejects while it doesn't. */
  readonly answers: () => Promise<unknown>;
}

/** Starts what is planned and waits until it answers. */
export async function startOwnServer(plan: OwnServerPlan): Promise<OwnServer> {
  const { machine, url, port, way, stopSignal = "SIGTERM", answers } = plan;
  const how = "image" in way ? `container ${way.image}` : `${way.command} of this machine`;
  const start = async (): Promise<void> => {
    await machine.start();
    const up = async () => ((await machine.running()) ? answers().then(() => "up") : "ended");
    const state = await until(`${how} answers`, 60_000, up).catch(String);
    if (state !== "up") throw new Error(`${how}: ${state}. It said last:\n${await machine.lastWords()}`);
  };
  await start();
  return {
    url,
    port,
    how,
    start,
    pid: () => machine.pid(),
    stop: () => machine.end(stopSignal),
    kill: () => machine.end("SIGKILL"),
    pause: () => machine.pause(),
    resume: () => machine.resume(),
    [Symbol.asyncDispose]: () => machine.end("SIGKILL"),
  };
}
