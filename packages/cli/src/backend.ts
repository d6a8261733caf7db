import type { SessionStore } from "@tenure/core";
import type { Address } from "./address.ts";
import { UsageError } from "./usage-error.ts";

/** What a store can be told on the command line. */
export interface StoreOptions {
  readonly prefix?: string;
  readonly schema?: string;
  readonly table?: string;
  readonly collection?: string;
  /** Milliseconds, as the application has it. */
  readonly tombstoneMinimum?: number;
}

/** A store on a server that is connected, or in a file that is open. */
export interface Backend extends AsyncDisposable {
  /** The server and the place of the sessions in it, without a secret. */
  readonly label: string;
  readonly store: SessionStore;
  /** Looks at what the store needs of the server, and changes nothing. */
  check(): Promise<Finding[]>;
  /** Creates what the store needs. Returns what it did, in a sentence. */
  migrate(): Promise<string>;
  /** Deletes what has expired. `swept` is `null` where the server does that by itself. */
  sweep(): Promise<{ readonly swept: number | null; readonly text: string }>;
  /** About how many sessions there are, for a progress bar; `null`: not known. */
  estimate(): Promise<number | null>;
}

/** What `doctor` found. */
export interface Finding {
  readonly check: string;
  /** `"unknown"`: the server did not let us look. */
  readonly status: "ok" | "warning" | "problem" | "unknown";
  readonly message: string;
  /** What to change. */
  readonly remedy?: string;
}

/**
 * Connects to the server of an address.
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
