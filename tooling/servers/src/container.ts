import { docker } from "./docker.ts";
import type { Machine } from "./machine.ts";
import { rememberDocker, runLabels } from "./run.ts";

export interface ContainerOptions {
  readonly image: string;
  readonly command?: readonly string[];
  readonly environment?: Record<string, string>;
  /**
   * A port of this machine that leads to one of the container, the same one after every restart; or `"host"`: the
   * container has this machine's network (Linux), where servers must reach each other by the addresses that clients use.
   */
  readonly network: { readonly from: number; readonly to: number } | "host";
}

/** A server in a container, by Testcontainers. It is kept over {@link Machine.end}, with its data, until the run ends. */
export function container({ image, command, environment, network }: ContainerOptions): Machine {
  let id: string | undefined;
  const handle = async () => {
    if (id === undefined) throw new Error(`The container of ${image} was never started: call start() first.`);
    return (await docker()).container.dockerode.getContainer(id);
  };

  return {
    async start() {
      if (id !== undefined) {
        await (await handle()).start();
        return;
      }
      const { GenericContainer } = await import("testcontainers");
      rememberDocker();
      const plan = new GenericContainer(image)
        .withLabels(runLabels())
        // Our guard ends it (run.ts); Testcontainers' own reaper is one image more to pull.
        .withAutoCleanup(false)
        .withWaitStrategy(AT_ONCE);
      if (command !== undefined) plan.withCommand([...command]);
      if (environment !== undefined) plan.withEnvironment(environment);
      if (network === "host") plan.withNetworkMode("host");
      else plan.withExposedPorts({ container: network.to, host: network.from });
      id = (await plan.start()).getId();
    },
    async end(signal) {
      const one = await handle();
      const gone = one.wait({ condition: "not-running" });
      await one.kill({ signal }).catch((error: unknown) => {
        if (!String(error).includes("is not running")) throw error;
      });
      await gone;
    },
    async pause() {
      await (await handle()).pause();
    },
    async resume() {
      await (await handle()).unpause();
    },
    async running() {
      return (await (await handle()).inspect()).State.Running;
    },
    async pid() {
      return (await (await handle()).inspect()).State.Pid;
    },
    async lastWords() {
      const words = await (await handle()).logs({ stdout: true, stderr: true, tail: 12 });
      return words.toString("utf8");
    },
  };
}

/** Whether the server answers is asked of the server itself, in its own protocol (own-server.ts). */
const AT_ONCE = {
  waitUntilReady: async (): Promise<void> => undefined,
  withStartupTimeout: () => AT_ONCE,
  isStartupTimeoutSet: () => true,
  getStartupTimeout: () => 0,
} as const;
