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

export interface OpenStore {
  readonly store: Store;
  close(): Promise<void>;
}

/** Each store is set up as its README recommends. */
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
      // The name of its index is fixed, so a schema can hold only one of its tables.
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
      // It creates its index in the background, with an unhandled error if the client is closed before that
      // ends.
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

/** The lifetime of Tenure's sessions is twice their idle timeout. */
export async function tenure(idle: number): Promise<OpenStore> {
  const sessions = new Sessions({ store: memoryStore(), idleTimeout: idle, lifetime: 2 * idle });
  return { store: expressSessionStore(sessions), close: async () => undefined };
}
