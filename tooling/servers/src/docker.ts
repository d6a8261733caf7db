import type { ContainerRuntimeClient } from "testcontainers";

/** The Docker engine that Testcontainers finds, or why there is none. */
export async function docker(): Promise<ContainerRuntimeClient> {
  // Loaded late: it is large, and most runs of a single package never need it.
  const { getContainerRuntimeClient } = await import("testcontainers");
  return within(ENGINE_MS, getContainerRuntimeClient(), "no Docker engine answered");
}

/**
 * Makes an image present. Rejects within seconds where its registry can't be reached; a registry that answers may take
 * as long as it goes on sending.
 */
export async function pullImage(image: string): Promise<void> {
  const { ImageName } = await import("testcontainers");
  const client = await docker();
  if (await client.image.exists(ImageName.fromString(image))) return;
  const engine = client.container.dockerode;
  const giveUp = new AbortController();
  const pulling = engine.pull(ImageName.fromString(image).string, { abortSignal: giveUp.signal });
  const progress = await within(REGISTRY_MS, pulling, `no registry answered for ${image}`).catch(
    (error: unknown) => {
      giveUp.abort();
      throw error;
    },
  );
  await new Promise<void>((resolve, reject) => {
    engine.modem.followProgress(progress, (error: Error | null) =>
      error === null ? resolve() : reject(error),
    );
  });
}

/** What an image runs when nothing else is said: `["redis-server"]`, `["mongod"]`. */
export async function imageCommand(image: string): Promise<readonly string[]> {
  const { ImageName } = await import("testcontainers");
  const client = await docker();
  const { Config } = await client.image.inspect(ImageName.fromString(image));
  return Config.Cmd ?? [];
}

/** Removes, running or not, every container that has these labels and that `which` says yes to. */
export async function removeContainers(
  labels: Record<string, string>,
  which: (labels: Record<string, string>) => boolean = () => true,
): Promise<void> {
  const engine = (await docker()).container.dockerode;
  const label = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  const found = await engine.listContainers({ all: true, filters: { label } });
  const doomed = found.filter((container) => which(container.Labels));
  await Promise.allSettled(
    doomed.map((container) => engine.getContainer(container.Id).remove({ force: true, v: true })),
  );
}

const ENGINE_MS = 5000;
const REGISTRY_MS = 6000;

function within<T>(ms: number, work: Promise<T>, otherwise: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${otherwise} within ${ms / 1000} s`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
