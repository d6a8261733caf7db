import { type ContainerOptions, startContainer } from "./container.ts";
import { type LocalProgram, startLocalProcess } from "./local-process.ts";
import type { Machine } from "./machine.ts";
import { until } from "./until.ts";
import type { UsableWay } from "./way.ts";

/**
 * A server that belongs to one test file, which can stop, kill, pause and restart it and choose its settings.
 */
export interface OwnServer extends Pick<Machine, "pid" | "pause" | "resume">, AsyncDisposable {
  /** The address, with credentials. It stays the same when the server is restarted. */
  readonly url: string;
  /** The port on 127.0.0.1. */
  readonly port: number;
  /** A human-readable line: what the server is and where it came from. */
  readonly how: string;
  /**
   * Starts it again on the same port and data, after {@link stop} or {@link kill}. Resolves when the server
   * replies.
   */
  start(): Promise<void>;
  /** Shuts it down cleanly. */
  stop(): Promise<void>;
  /** Ends it with SIGKILL, as a crash would. */
  kill(): Promise<void>;
}

export interface OwnServerPlan extends Pick<OwnServer, "url" | "port"> {
  readonly way: UsableWay;
  /** How it runs if the way is an image. */
  readonly container: Omit<ContainerOptions, "image" | "port">;
  /** How it runs if the way is a local program, in its own folder. */
  readonly local: (folder: string) => LocalProgram | Promise<LocalProgram>;
  /** The signal for a clean shutdown. SIGTERM if absent. */
  readonly stopSignal?: "SIGTERM" | "SIGINT";
  /** Resolves if the server replies to a request; rejects if it does not. */
  readonly answers: () => Promise<unknown>;
}

export async function startOwnServer(plan: OwnServerPlan): Promise<OwnServer> {
  const { way, url, port, stopSignal = "SIGTERM", answers } = plan;
  const how = "image" in way ? `container ${way.image}` : `${way.command} of this machine`;
  const machine =
    "image" in way
      ? await startContainer({ ...plan.container, image: way.image, port })
      : await startLocalProcess(plan.local);
  const ready = async () => {
    try {
      await until(`${how} replies`, 60_000, answers);
    } catch (cause) {
      const said = await machine.lastWords();
      await machine[Symbol.asyncDispose]();
      throw new Error(`${how} does not reply. Its last output:\n${said}`, { cause });
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

export async function disposeAll(servers: readonly AsyncDisposable[]): Promise<void> {
  await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
}
