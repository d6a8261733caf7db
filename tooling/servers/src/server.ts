import { describe, inject } from "vitest";
import { type Backend, BACKENDS, rememberSource, type Source, type Startable } from "./source.ts";

/** A server that all test files of a run share. Use unique ids and names, and truncate nothing. */
export interface Server {
  /** Its address. If there is no server: an address on which nothing listens. */
  readonly url: string;
  /** What the server is and where it came from, or why there is none. */
  readonly how: string;
  /** vitest's `describe`, or `describe.skip` if there is no server. */
  readonly describe: typeof describe;
}

/** A shared server as the setup provides it, or why there is none. */
export type Shared = { readonly url: string; readonly how: string } | { readonly why: string };

declare module "vitest" {
  interface ProvidedContext {
    /** The project's backends, from vitest.config.ts. */
    backends: readonly Backend[];
    shared: { readonly [backend in Backend]?: Shared };
    sources: { readonly [backend in Startable]?: Source };
  }
}

/** Returns the shared server of this run. Rejects if there is none and `REQUIRE_BACKENDS` names it. */
export async function server(backend: Backend): Promise<Server> {
  const found = required(backend, inject("shared")?.[backend]);
  if ("url" in found) return { ...found, describe };
  const scheme = backend.startsWith("mongo") ? "mongodb" : backend;
  return { url: `${scheme}://127.0.0.1:1`, how: `no ${backend}: ${found.why}`, describe: SKIPPED };
}

/**
 * Returns a `describe` for tests that start their own servers with `startRedis()` and the like. It skips them
 * if that is impossible.
 */
export async function canStart(backend: Startable): Promise<Pick<Server, "describe">> {
  const source = required(backend, inject("sources")?.[backend]);
  rememberSource(backend, source);
  return { describe: "why" in source ? SKIPPED : describe };
}

/** Throws if there is no such backend and `REQUIRE_BACKENDS` names it. */
export function required<Found extends object>(
  backend: Backend | Startable,
  found: Found | undefined,
): Found {
  if (found === undefined) {
    throw new Error(
      `This project has no ${backend}. The README of @tenure/servers explains which projects get it.`,
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

/**
 * The last two are not servers. The tests that need them find them, and fail if they are required and
 * missing.
 */
const KNOWN: readonly string[] = [...BACKENDS, "pgbouncer", "pg-native"];

/** It has the call signature of `describe`. Nothing uses its properties, such as `each`. */
const SKIPPED = describe.skip as typeof describe;
