import { describe, inject } from "vitest";
import { type Backend, BACKENDS, type Startable, useWay, type Way } from "./way.ts";

/** A server that all test files of a run share. Use ids and names of your own, and truncate nothing. */
export interface Server {
  /** Its address. Where there is no server: one that nothing listens on. */
  readonly url: string;
  /** What it is and where it came from, or why there is none. */
  readonly how: string;
  /** vitest's `describe`, or `describe.skip` where there is no server. */
  readonly describe: typeof describe;
}

/** A server that all test files of a run share, or why there is none. */
export type Shared = { readonly url: string; readonly how: string } | { readonly why: string };

declare module "vitest" {
  interface ProvidedContext {
    /** Those of the project, from vitest.config.ts. */
    backends: readonly Backend[];
    shared: { readonly [backend in Backend]?: Shared };
    ways: { readonly [backend in Startable]?: Way };
  }
}

/** The shared server of this run. Rejects if there is none and `REQUIRE_BACKENDS` names it. */
export async function server(backend: Backend): Promise<Server> {
  const found = required(backend, inject("shared")?.[backend]);
  if ("url" in found) return { ...found, describe };
  const scheme = backend.startsWith("mongo") ? "mongodb" : backend;
  return { url: `${scheme}://127.0.0.1:1`, how: `no ${backend}: ${found.why}`, describe: SKIPPED };
}

/** Whether a test file can start servers of its own, by `startRedis()` and the like: if not, its `describe` skips. */
export async function canStart(backend: Startable): Promise<Pick<Server, "describe">> {
  const way = required(backend, inject("ways")?.[backend]);
  useWay(backend, way);
  return { describe: "why" in way ? SKIPPED : describe };
}

/** Throws if there is no such backend and `REQUIRE_BACKENDS` names it. */
export function required<Found extends object>(
  backend: Backend | Startable,
  found: Found | undefined,
): Found {
  if (found === undefined) {
    throw new Error(
      `No ${backend} in this project: README.md of @tenure/servers says which projects get it.`,
    );
  }
  const names = (process.env["REQUIRE_BACKENDS"] ?? "").split(",").filter(Boolean);
  const unknown = names.filter((name) => !KNOWN.includes(name));
  if (unknown.length > 0)
    throw new TypeError(`REQUIRE_BACKENDS names ${unknown.join(", ")}. Known names: ${KNOWN.join(", ")}.`);
  if ("why" in found && names.includes(backend === "redis-cluster" ? "redis" : backend))
    throw new Error(`REQUIRE_BACKENDS=${names.join()}, but there is no ${backend}. ${String(found.why)}`);
  return found;
}

/** The last two are not servers: the tests that need them look for them, and fail if they are required and missing. */
const KNOWN: readonly string[] = [...BACKENDS, "pgbouncer", "pg-native"];

/** It takes the same calls. Its own `skip`, `each` and the like are never used on it. */
const SKIPPED = describe.skip as typeof describe;
