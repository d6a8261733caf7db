import { DatabaseSync } from "node:sqlite";
import { memoryStore, type SessionStore } from "@tenure/core";
import { ensureIndexes, mongoStore } from "@tenure/mongo";
import { migrate, postgresStore } from "@tenure/postgres";
import { redisStore } from "@tenure/redis";
import { server } from "@tenure/servers";
import { migrate as migrateSqlite, sqliteStore } from "@tenure/sqlite";
import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import { Pool } from "pg";
import { describe } from "vitest";
import { withoutTombstones } from "./without-tombstones.ts";

export interface Backend {
  readonly name: string;
  /** Whether it is in this process, and therefore fast. */
  readonly isLocal: boolean;
  /** vitest's `describe`, or `describe.skip` if there is no server. */
  readonly describe: typeof describe;
  open(): Promise<OpenStore>;
}

export interface OpenStore {
  readonly store: SessionStore;
  close(): Promise<unknown>;
}

const redis = await server("redis");
const postgres = await server("postgres");
const mongo = await server("mongo");

export const backends: readonly Backend[] = [
  {
    name: "memory",
    isLocal: true,
    describe,
    open: async () => ({ store: memoryStore(), close: async () => undefined }),
  },
  {
    // Here, a dead session stays dead only because the bridge knows what its request loaded.
    name: "memory, no tombstones",
    isLocal: true,
    describe,
    open: async () => ({ store: withoutTombstones(memoryStore()), close: async () => undefined }),
  },
  {
    name: "sqlite",
    isLocal: true,
    describe,
    async open() {
      const database = new DatabaseSync(":memory:");
      await migrateSqlite(database);
      return { store: sqliteStore(database), close: async () => database.close() };
    },
  },
  {
    name: "redis",
    isLocal: false,
    describe: redis.describe,
    async open() {
      const client = new Redis(redis.url);
      return { store: redisStore(client, { prefix: "bridges:" }), close: () => client.quit() };
    },
  },
  {
    name: "postgres",
    isLocal: false,
    describe: postgres.describe,
    async open() {
      const pool = new Pool({ connectionString: postgres.url, max: 4 });
      await migrate(pool);
      return { store: postgresStore(pool), close: () => pool.end() };
    },
  },
  {
    name: "mongo",
    isLocal: false,
    describe: mongo.describe,
    async open() {
      const client = new MongoClient(mongo.url);
      const collection = client.db("bridges").collection("sessions");
      await ensureIndexes(collection);
      return { store: mongoStore(collection), close: () => client.close() };
    },
  },
];
