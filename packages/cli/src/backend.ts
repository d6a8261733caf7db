import type { SessionStore } from "@tenure/core";
import type { Address } from "./address.ts";
import type { Finding } from "./finding.ts";
import { UsageError } from "./usage-error.ts";

/** The store's options on the command line. */
export interface StoreOptions {
  readonly prefix?: string;
  readonly schema?: string;
  readonly table?: string;
  readonly collection?: string;
  /** The application's, milliseconds. */
  readonly tombstoneMinimum?: number;
}

/** A store on a connected server or in an open file. */
export interface Backend extends AsyncDisposable {
  /** Names the server and where it keeps the sessions, without secrets. */
  readonly label: string;
  readonly store: SessionStore;
  /** Checks what the store needs from the server. Changes nothing. */
  check(): Promise<Finding[]>;
  /** Creates or updates the schema. Returns a sentence that says what it did. */
  migrate(): Promise<string>;
  /** Deletes expired rows. `swept` is `null` where the server or the store does that itself. */
  sweep(): Promise<{ readonly swept: number | null; readonly text: string }>;
  /** Estimates the number of sessions, for a progress bar. `null`: not known. */
  estimate(): Promise<number | null>;
}

/**
 * Connects to the server, or opens the file, at an address.
 *
 * @throws UsageError for options of another kind of store
 */
export async function openBackend(address: Address, options: StoreOptions): Promise<Backend> {
  const { backend } = address;
  if (backend === "redis") {
    assertOnly(options, "Redis", ["prefix"]);
    return (await import("./backends/redis.ts")).redisBackend(address, options);
  }
  if (backend === "postgres") {
    assertOnly(options, "PostgreSQL", ["schema", "table"]);
    return (await import("./backends/postgres.ts")).postgresBackend(address, options);
  }
  if (backend === "sqlite") {
    assertOnly(options, "SQLite", []);
    return (await import("./backends/sqlite.ts")).sqliteBackend(address, options);
  }
  assertOnly(options, "MongoDB", ["collection"]);
  return (await import("./backends/mongo.ts")).mongoBackend(address, options);
}

function assertOnly(options: StoreOptions, name: string, known: readonly (keyof StoreOptions)[]): void {
  for (const option of ["prefix", "schema", "table", "collection"] as const) {
    if (options[option] === undefined || known.includes(option)) continue;
    const others = known.length === 0 ? "" : `. It takes --${known.join(" and --")}`;
    throw new UsageError(`A store on ${name} has no --${option}${others}`);
  }
}
