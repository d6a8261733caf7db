import type { Machine } from "./machine.ts";
import { until } from "./until.ts";

/** A server that one test file has for itself: to stop, kill, pause and start again, with settings of its own. */
export interface OwnServer extends AsyncDisposable {
  /** The address, with credentials. It stays the same over stop and start. */
  readonly url: string;
  /** The port on 127.0.0.1. */
  readonly port: number;
  /** What it is and how it was had, for people. */
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

export interface OwnServerPlan {
  readonly machine: Machine;
  readonly url: string;
  readonly port: number;
  readonly how: string;
  /** The signal that this server takes for an orderly end. */
  readonly stopSignal: "SIGTERM" | "SIGINT";
  /** Resolves once the server answers a question; rejects while it doesn't. */
  readonly answers: () => Promise<unknown>;
}

/** Starts what is planned and waits until it answers. */
export async function startOwnServer(plan: OwnServerPlan): Promise<OwnServer> {
  const { machine, url, port, how, stopSignal, answers } = plan;
  const start = async (): Promise<void> => {
    await machine.start();
    await untilAnswers(machine, how, answers);
  };
  await start();
  return {
    url,
    port,
    how,
    pid: () => machine.pid(),
    start,
    stop: () => machine.end(stopSignal),
    kill: () => machine.end("SIGKILL"),
    pause: () => machine.pause(),
    resume: () => machine.resume(),
    [Symbol.asyncDispose]: () => machine.end("SIGKILL"),
  };
}

const START_MS = 60_000;

async function untilAnswers(machine: Machine, how: string, answers: () => Promise<unknown>): Promise<void> {
  let ended = false;
  try {
    await until(`${how} answers`, START_MS, async () => {
      ended = !(await machine.running());
      if (!ended) await answers();
      return true;
    });
  } catch (cause) {
    throw new Error(`${how} did not come up. It said last:\n${await machine.lastWords()}`, { cause });
  }
  if (ended) throw new Error(`${how} ended as it started. It said last:\n${await machine.lastWords()}`);
}
