import { randomUUID } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { inspect } from "node:util";
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

export interface Database {
  readonly name: string;
  /** Whether it is in this process, and therefore fast. */
  readonly isLocal: boolean;
  /** vitest's `describe`, or `describe.skip` if there is no server. */
  readonly describe: typeof describe;
  /** Opens a store with its own prefix, table or collection. */
  open(): Promise<OpenDatabase>;
}

export interface OpenDatabase {
  readonly store: SessionStore;
  /** Returns everything that is stored there, as text. */
  dump: () => Promise<string>;
  /** Makes writes fail with an error of the server that quotes its input. Absent: there is no server. */
  failWrites?: () => Promise<void>;
  /** Replaces the `data` of a session, as an attacker who can write to the database would. */
  setData: (id: string, data: string) => Promise<void>;
  close: () => Promise<void>;
}

const redis = await server("redis");
const postgres = await server("postgres");
const mongo = await server("mongo");

export const memory: Database = { name: "memory", isLocal: true, describe, open: openMemory };

export const databases: readonly Database[] = [
  memory,
  { name: "sqlite", isLocal: true, describe, open: openSqlite },
  { name: "redis", isLocal: false, describe: redis.describe, open: openRedis },
  { name: "postgres", isLocal: false, describe: postgres.describe, open: openPostgres },
  { name: "mongo", isLocal: false, describe: mongo.describe, open: openMongo },
];

async function openMemory(): Promise<OpenDatabase> {
  const store = memoryStore();
  return {
    store,
    async dump() {
      const records: unknown[] = [];
      for await (const record of store.scan()) records.push(record);
      return JSON.stringify(records);
    },
    async setData(id, data) {
      await store.update(id, { data, touch: false });
    },
    close: async () => undefined,
  };
}

async function openSqlite(): Promise<OpenDatabase> {
  const database = new DatabaseSync(":memory:");
  await migrateSqlite(database);
  return {
    store: sqliteStore(database),
    async dump() {
      const tables = ["tenure_sessions", "tenure_fences"];
      return inspect(
        tables.map((table) => database.prepare(`select * from ${table}`).all()),
        { depth: 4, maxArrayLength: null, maxStringLength: null },
      );
    },
    async failWrites() {
      for (const event of ["insert", "update"]) {
        database.exec(`create trigger refusing_${event} before ${event} on tenure_sessions
          begin select raise(abort, 'refused ' || new.data); end`);
      }
    },
    async setData(id, data) {
      database.prepare("update tenure_sessions set data = ? where id = ?").run(data, id);
    },
    close: async () => database.close(),
  };
}

async function openRedis(): Promise<OpenDatabase> {
  const client = new Redis(redis.url);
  const user = `test-${randomUUID()}`;
  const prefix = `${user}:`;
  const value = async (key: string): Promise<string> => {
    switch (await client.type(key)) {
      case "string":
        return (await client.get(key)) ?? "";
      case "zset":
        return (await client.zrange(key, "0", "-1", "WITHSCORES")).join(" ");
      case "hash":
        return JSON.stringify(await client.hgetall(key));
      default:
        throw new Error("a key has a type that dump does not read");
    }
  };
  return {
    store: redisStore(client, { prefix }),
    async dump() {
      const keys = await client.keys(`${prefix}*`);
      return (await Promise.all(keys.map(async (key) => `${key} ${await value(key)}`))).join("\n");
    },
    async failWrites() {
      // The client's error contains the rejected command with all its arguments.
      await client.acl("SETUSER", user, "on", "nopass", "~*", "+@all", "-evalsha", "-eval");
      await client.call("AUTH", user, "-");
    },
    async setData(id, data) {
      const key = `${prefix}s:${id}`;
      const old = (await client.get(key)) ?? "";
      // A tombstone has no data.
      if (old.startsWith("x")) return;
      // The value ends with the data, which begin with the envelope's head.
      const at = old.search(/[12][0-3][vhl][-ua]\d{39}/);
      if (at < 0) throw new Error("the session's value has no envelope");
      await client.set(key, old.slice(0, at) + data, "KEEPTTL");
    },
    async close() {
      await client.quit();
      const admin = new Redis(redis.url);
      await admin.acl("DELUSER", user);
      await admin.quit();
    },
  };
}

async function openPostgres(): Promise<OpenDatabase> {
  const pool = new Pool({ connectionString: postgres.url, max: 4 });
  const table = `test_${randomUUID().replaceAll("-", "_")}`;
  await migrate(pool, { table });
  return {
    store: postgresStore(pool, { table }),
    async dump() {
      const { rows } = await pool.query<{ row: string }>(`SELECT t::text AS row FROM ${table} t`);
      return rows.map(({ row }) => row).join("\n");
    },
    async failWrites() {
      // A trigger in the application's database may quote a row in any field of an error.
      await pool.query(`
        CREATE FUNCTION ${table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          RAISE EXCEPTION 'refused %', NEW.data USING DETAIL = NEW.data, HINT = NEW.data;
        END $$;
        CREATE TRIGGER refusing BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION ${table}()`);
    },
    async setData(id, data) {
      await pool.query(`UPDATE ${table} SET data = $2 WHERE id = $1`, [id, data]);
    },
    async close() {
      await pool.query(`DROP TABLE ${table}; DROP FUNCTION IF EXISTS ${table}()`);
      await pool.end();
    },
  };
}

async function openMongo(): Promise<OpenDatabase> {
  const client = new MongoClient(mongo.url);
  const collection = client.db("test").collection(randomUUID());
  await ensureIndexes(collection);
  return {
    store: mongoStore(collection),
    dump: async () => inspect(await collection.find().toArray(), { depth: 12, maxStringLength: null }),
    async failWrites() {
      // MongoDB's error contains the rejected values. FerretDB's does not.
      await client.db("test").command({
        collMod: collection.collectionName,
        validator: { data: { $type: "int" } },
      });
    },
    async setData(id, data) {
      await collection.updateOne({ data: { $exists: true }, _id: id as never }, { $set: { data } });
    },
    async close() {
      await collection.drop();
      await client.close();
    },
  };
}
