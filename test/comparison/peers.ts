import { randomUUID } from "node:crypto";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import type { Server } from "@tenure/servers";
import MongoStore from "connect-mongo";
import connectPgSimple from "connect-pg-simple";
import { RedisStore } from "connect-redis";
import session, { MemoryStore, type Store } from "express-session";
import { MongoClient } from "mongodb";
import { Pool } from "pg";
import { createClient } from "redis";

/** A store of express-session, and what closes its client. */
export interface Opened {
  readonly store: Store;
  close(): Promise<void>;
}

/** As long as a session lives without use, milliseconds. Tenure's also end at twice this, however much they are used. */
export const IDLE = 1_500;

/** Each as its README sets it up. */
export const peers = {
  MemoryStore: {
    backend: null,
    open: async () => ({ store: new MemoryStore(), close: async () => undefined }),
  },
  "connect-redis": {
    backend: "redis",
    async open({ url }: Server) {
      const client = await createClient({ url }).connect();
      return {
        store: new RedisStore({ client, prefix: `${randomUUID()}:` }),
        close: async () => client.destroy(),
      };
    },
  },
  "connect-pg-simple": {
    backend: "postgres",
    async open({ url }: Server) {
      const pool = new Pool({ connectionString: url });
      const PgStore = connectPgSimple(session);
      // The name of its index is always the same, so that a schema can have but one of its tables.
      const schemaName = `comparison_${randomUUID().slice(0, 8)}`;
      await pool.query(`create schema ${schemaName}`);
      const store = new PgStore({
        pool,
        schemaName,
        createTableIfMissing: true,
        pruneSessionInterval: false,
      });
      return {
        store,
        close: async () => {
          await pool.query(`drop schema ${schemaName} cascade`);
          await pool.end();
        },
      };
    },
  },
  "connect-mongo": {
    backend: "mongo",
    async open({ url }: Server) {
      const client = await new MongoClient(url).connect();
      const dbName = `comparison_${randomUUID().slice(0, 8)}`;
      const store = MongoStore.create({ client, dbName });
      // It begins to create its index at once, and nobody handles the error if the client is closed meanwhile.
      await new Promise((done) => store.length(done));
      return {
        store,
        close: async () => {
          await client.db(dbName).dropDatabase();
          await client.close();
        },
      };
    },
  },
} as const;

export async function tenure(): Promise<Opened> {
  const sessions = new Sessions({ store: memoryStore(), idleTimeout: IDLE, lifetime: 2 * IDLE });
  return { store: expressSessionStore(sessions), close: async () => undefined };
}
