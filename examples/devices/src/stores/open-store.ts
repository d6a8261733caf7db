import { memoryStore, type SessionStore } from "@tenure/core";

export interface OpenedStore {
  readonly store: SessionStore;
  /** Where the sessions are kept, in words, without a password. */
  readonly place: string;
  /** Ends the connections that were opened for the store. */
  close(): Promise<void>;
}

/**
 * Opens the store that an argument names: `memory`, `sqlite`, the address of a server, or `postgres` for the
 * server that comes with the demo.
 *
 * @throws Error with one human-readable line that states the problem and the remedy
 */
export async function openStore(address: string): Promise<OpenedStore> {
  const scheme = /^([\w+]+):\/\/./u.exec(address)?.[1] ?? address;
  const open = OPENERS[scheme];
  if (!open) throw new Error(`Unknown --store ${withoutPassword(address)}: see --help`);
  try {
    return await open(address);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`--store ${withoutPassword(address)} cannot be used: ${why || "it does not respond"}`, {
      cause: error,
    });
  }
}

/** Each driver is loaded only if it is used, so that the demo starts quickly. */
const OPENERS: Readonly<Record<string, (address: string) => Promise<OpenedStore>>> = {
  memory: async () => ({
    store: memoryStore(),
    place: "the memory of this process",
    close: async () => undefined,
  }),
  sqlite: async () => (await import("./sqlite.ts")).openSqlite(),
  redis: async (address) => (await import("./redis.ts")).openRedis(address, withoutPassword(address)),
  rediss: async (address) => (await import("./redis.ts")).openRedis(address, withoutPassword(address)),
  postgres: async (address) => {
    const { openEmbeddedPostgres, openPostgres } = await import("./postgres.ts");
    return address === "postgres" ? openEmbeddedPostgres() : openPostgres(address, withoutPassword(address));
  },
  postgresql: async (address) =>
    (await import("./postgres.ts")).openPostgres(address, withoutPassword(address)),
  mongodb: async (address) => (await import("./mongo.ts")).openMongo(address, withoutPassword(address)),
  "mongodb+srv": async (address) => (await import("./mongo.ts")).openMongo(address, withoutPassword(address)),
};

function withoutPassword(address: string): string {
  return address.replace(/\/\/.*@/u, "//");
}
