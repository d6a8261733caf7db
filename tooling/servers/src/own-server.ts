import { type ContainerOptions, startContainer } from "./container.ts";
import { type LocalProgram, startLocalProcess } from "./local-process.ts";
import type { ServerProcess } from "./server-process.ts";
import type { UsableSource } from "./source.ts";
import { until } from "./until.ts";

/**
 * A server that belongs to one test file, which can stop, kill, pause and restart it and choose its settings.
 */
export interface OwnServer extends Pick<ServerProcess, "pid" | "pause" | "resume">, AsyncDisposable {
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
  readonly source: UsableSource;
  /** How it runs if the source is an image. */
  readonly container: Omit<ContainerOptions, "image" | "port">;
  /** How it runs if the source is a local program, in its own folder. */
  readonly local: (folder: string) => LocalProgram | Promise<LocalProgram>;
  /** The signal for a clean shutdown. SIGTERM if absent. */
  readonly stopSignal?: "SIGTERM" | "SIGINT";
  /** Resolves if the server replies to a request; rejects if it does not. */
  readonly probe: () => Promise<unknown>;
}

export async function startOwnServer(plan: OwnServerPlan): Promise<OwnServer> {
  const { source, url, port, stopSignal = "SIGTERM", probe } = plan;
  const how = "image" in source ? `container ${source.image}` : `${source.command} of this machine`;
  const serverProcess =
    "image" in source
      ? await startContainer({ ...plan.container, image: source.image, port })
      : await startLocalProcess(plan.local);
  const waitUntilReady = async () => {
    try {
      await until(`${how} replies`, 60_000, probe);
    } catch (cause) {
      const output = await serverProcess.lastOutput();
      await serverProcess[Symbol.asyncDispose]();
      throw new Error(`${how} does not reply. Its last output:\n${output}`, { cause });
    }
  };
  await waitUntilReady();
  return {
    ...serverProcess,
    url,
    port,
    how,
    async start() {
      await serverProcess.start();
      await waitUntilReady();
    },
    stop: () => serverProcess.end(stopSignal),
    kill: () => serverProcess.end("SIGKILL"),
  };
}

export async function disposeAll(servers: readonly AsyncDisposable[]): Promise<void> {
  await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
}
