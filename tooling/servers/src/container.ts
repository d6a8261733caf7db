import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerRuntimeClient } from "testcontainers";
import type { Machine } from "./own-server.ts";
import { labelOfRun, tellGuard } from "./run.ts";

export interface ContainerOptions {
  readonly image: string;
  /** Absent: what the image runs by itself. */
  readonly command?: readonly string[];
  readonly environment?: Record<string, string>;
  /**
   * A port of this machine that leads to one of the container, the same one after every restart; or `"host"`: the
   * container has this machine's network (Linux), where servers must reach each other by the addresses that clients use.
   */
  readonly network: { readonly from: number; readonly to: number } | "host";
}

/** A server in a container, by Testcontainers. The container is kept, with its data, until this process ends. */
export function container({ image, command, environment = {}, network }: ContainerOptions): Machine {
  let id: string | undefined;
  const handle = async () => {
    if (id === undefined) throw new Error(`The container of ${image} was never started: call start() first.`);
    return (await docker()).container.dockerode.getContainer(id);
  };
  const state = async () => (await (await handle()).inspect()).State;

  return {
    async start() {
      if (id !== undefined) {
        await (await handle()).start();
        return;
      }
      const { GenericContainer, Wait } = await import("testcontainers");
      const label = labelOfRun();
      tellGuard({ label });
      const plan = new GenericContainer(image)
        .withLabels({ [LABEL]: label })
        // The guard of this process ends it. Testcontainers' own reaper is one more image to pull.
        .withAutoCleanup(false)
        .withEnvironment(environment)
        // Whether the server answers is asked in its own protocol (own-server.ts).
        .withWaitStrategy(Wait.forAll([]));
      if (command !== undefined) plan.withCommand([...command]);
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
    pause: async () => void (await (await handle()).pause()),
    resume: async () => void (await (await handle()).unpause()),
    running: async () => (await state()).Running,
    pid: async () => (await state()).Pid,
    lastWords: async () => String(await (await handle()).logs({ stdout: true, stderr: true, tail: 12 })),
  };
}

/** The Docker engine that Testcontainers finds. Rejects within seconds if there is none. */
export async function docker(): Promise<ContainerRuntimeClient> {
  // Loaded late: it is large, and most processes never need it.
  const { getContainerRuntimeClient } = await import("testcontainers");
  return within(5, getContainerRuntimeClient(), "no Docker engine answered");
}

/** Makes an image present. Rejects within seconds if its registry is out of reach; one that answers may take its time. */
export async function pullImage(image: string): Promise<void> {
  const { ImageName } = await import("testcontainers");
  const client = await docker();
  if (await client.image.exists(ImageName.fromString(image))) return;
  const { dockerode } = client.container;
  const giveUp = new AbortController();
  const pulling = dockerode.pull(ImageName.fromString(image).string, { abortSignal: giveUp.signal });
  const progress = await within(6, pulling, `no registry answered for ${image}`).catch((error: unknown) => {
    giveUp.abort();
    throw error;
  });
  await new Promise<void>((resolve, reject) => {
    dockerode.modem.followProgress(progress, (error: Error | null) =>
      error === null ? resolve() : reject(error),
    );
  });
}

/** What an image runs by itself: `["redis-server"]`, `["mongod"]`. */
export async function imageCommand(image: string): Promise<readonly string[]> {
  const { ImageName } = await import("testcontainers");
  const { Config } = await (await docker()).image.inspect(ImageName.fromString(image));
  return Config.Cmd ?? [];
}

/** Removes all containers of a process, by {@link labelOfRun}. */
export async function removeContainers(label: string): Promise<void> {
  const { dockerode } = (await docker()).container;
  const found = await dockerode.listContainers({ all: true, filters: { label: [`${LABEL}=${label}`] } });
  await Promise.allSettled(
    found.map(({ Id }) => dockerode.getContainer(Id).remove({ force: true, v: true })),
  );
}

const LABEL = "tenure.servers.run";

async function within<T>(seconds: number, work: Promise<T>, otherwise: string): Promise<T> {
  const late = sleep(seconds * 1000, undefined, { ref: false }).then(() => {
    throw new Error(`${otherwise} within ${seconds} s`);
  });
  return Promise.race([work, late]);
}
