import { randomUUID } from "node:crypto";
import type { ContainerRuntimeClient } from "testcontainers";
import { guard } from "./guard.ts";
import type { ServerProcess } from "./server-process.ts";

export interface ContainerOptions {
  readonly image: string;
  /** Absent: the image's own command. */
  readonly command?: readonly string[];
  readonly environment?: Record<string, string>;
  /** The port on 127.0.0.1, the same one after every restart. */
  readonly port: number;
  /**
   * The port inside the container. `"host"`: the container uses this machine's network (Linux), for servers
   * that must reach each other by the addresses that clients use.
   */
  readonly inside: number | "host";
}

export async function startContainer(options: ContainerOptions): Promise<ServerProcess> {
  const { image, command, environment = {}, port, inside } = options;
  const { GenericContainer, Wait } = await import("testcontainers");
  const name = `tenure-${randomUUID()}`;
  const plan = new GenericContainer(image)
    .withName(name)
    // The guard removes the container. Testcontainers' own reaper is another image to pull.
    .withAutoCleanup(false)
    .withEnvironment(environment)
    // own-server.ts waits for the server to reply, here and after each later start.
    .withWaitStrategy(Wait.forAll([]));
  if (command !== undefined) plan.withCommand([...command]);
  if (inside === "host") plan.withNetworkMode("host");
  else plan.withExposedPorts({ container: inside, host: port });

  await using started = new AsyncDisposableStack();
  started.use(guard(`docker rm --force --volumes "$1"`, name));
  await plan.start();
  const container = (await docker()).container.getById(name);
  const kept = started.move();

  return {
    start: async () => void (await container.start()),
    async end(signal) {
      await container.kill({ signal });
      await container.wait();
    },
    pause: async () => void (await container.pause()),
    resume: async () => void (await container.unpause()),
    pid: async () => (await container.inspect()).State.Pid,
    lastOutput: async () => String(await container.logs({ stdout: true, stderr: true, tail: 12 })),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/**
 * Pulls an image unless it is present. Rejects if there is no Docker engine, or if its registry is
 * unreachable or lacks the image.
 */
export async function pullImage(image: string): Promise<void> {
  const { ImageName } = await import("testcontainers");
  await (await docker()).image.pull(ImageName.fromString(image));
}

/** Returns an image's own command: `["redis-server"]`, `["mongod"]`. */
export async function imageCommand(image: string): Promise<readonly string[]> {
  const { ImageName } = await import("testcontainers");
  const { Config } = await (await docker()).image.inspect(ImageName.fromString(image));
  return Config.Cmd ?? [];
}

/**
 * Returns the Docker engine that Testcontainers finds. Testcontainers is loaded lazily: it is large, and most
 * processes never need it.
 */
async function docker(): Promise<ContainerRuntimeClient> {
  const { getContainerRuntimeClient } = await import("testcontainers");
  return getContainerRuntimeClient();
}
