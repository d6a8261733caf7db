import { type ContainerOptions, startContainer } from "./container.ts";
import { type LocalProgram, startLocalProcess } from "./local-process.ts";
import type { Machine } from "./machine.ts";
import { until } from "./until.ts";
import type { UsableWay } from "./way.ts";

/** A server that one test file has for itself: to stop, kill, pause and start again, with settings of its own. */
export interface OwnServer extends Pick<Machine, "pid" | "pause" | "resume">, AsyncDisposable {
  /** The address, with credentials. It stays the same over stop and start. */
  readonly url: string;
  /** The port on 127.0.0.1. */
  readonly port: number;
  /** What it is and where it came from, human-readable. */
  readonly how: string;
  /** Starts it again on the same port and data, after {@link stop} or {@link kill}; resolves when it answers. */
  start(): Promise<void>;
  /** Ends it in good order. */
  stop(): Promise<void>;
  /** Ends it with SIGKILL, as a crash would. */
  kill(): Promise<void>;
}

export interface OwnServerPlan extends Pick<OwnServer, "url" | "port"> {
  readonly way: UsableWay;
  /** How it runs if the way is an image. */
  readonly container: Omit<ContainerOptions, "image" | "port">;
  /** How it runs if the way is a program of this machine, in a folder of its own. */
  readonly local: (folder: string) => LocalProgram | Promise<LocalProgram>;
  /** The signal that this server takes for an orderly end. */
  readonly stopSignal?: "SIGTERM" | "SIGINT";
  /** Resolves once the server answers a question; rejects while it doesn't. */
  readonly answers: () => Promise<unknown>;
}

/** Starts what is planned and waits until it answers. */
export async function startOwnServer(plan: OwnServerPlan): Promise<OwnServer> {
  const { way, url, port, stopSignal = "SIGTERM", answers } = plan;
  const how = "image" in way ? `container ${way.image}` : `${way.command} of this machine`;
  const machine =
    "image" in way
      ? await startContainer({ ...plan.container, image: way.image, port })
      : await startLocalProcess(plan.local);
  const ready = async () => {
    try {
      await until(`${how} answers`, 60_000, answers);
    } catch (cause) {
      const said = await machine.lastWords();
      await machine[Symbol.asyncDispose]();
      throw new Error(`${how} does not answer. It said last:\n${said}`, { cause });
    }
  };
  await ready();
  return {
    ...machine,
    url,
    port,
    how,
    async start() {
      await machine.start();
      await ready();
    },
    stop: () => machine.end(stopSignal),
    kill: () => machine.end("SIGKILL"),
  };
}

/** Ends several at once. */
export async function disposeAll(servers: readonly AsyncDisposable[]): Promise<void> {
  await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
}
