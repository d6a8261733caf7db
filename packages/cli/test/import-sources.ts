import { randomUUID } from "node:crypto";
import { ensureIndexes, mongoStore } from "@tenure/mongo";
import { migrate, postgresStore } from "@tenure/postgres";
import { redisStore } from "@tenure/redis";
import type { SessionStore } from "@tenure/core";
import MongoStore from "connect-mongo";
import connectPgSimple from "connect-pg-simple";
import { RedisStore } from "connect-redis";
import session from "express-session";
import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import pg from "pg";
import { createClient } from "redis";
import { mongoUrl } from "./mongo-url.ts";

/** Another package's store, from which sessions are imported, and Tenure's store on the same server. */
export interface ImportSource extends AsyncDisposable {
  readonly store: session.Store;
  /** Writes a session that the command line cannot read. */
  writeUnreadable(sid: string): Promise<unknown>;
  /** Writes a session that has expired. `undefined`: the package stores none. */
  readonly writeExpired?: ((sid: string) => Promise<unknown>) | undefined;
  /** The options of `tenure import`. */
  readonly args: readonly string[];
  readonly tenure: SessionStore;
}

export type Data = Partial<session.SessionData> & Record<string, unknown>;

/** Stores a session as the middleware of express-session does. */
export function write(store: session.Store, sid: string, data: Data, maxAge?: number): Promise<void> {
  const cookie = new session.Cookie();
  if (maxAge !== undefined) {
    cookie.maxAge = maxAge;
    // express-session computes it from two readings of the clock, which can make it a millisecond shorter.
    cookie.originalMaxAge = maxAge;
  }
  return new Promise((resolve, reject) => {
    store.set(sid, { cookie, ...data }, (error: unknown) => (error ? reject(error) : resolve()));
  });
}

export async function connectRedis(url: string): Promise<ImportSource> {
  const prefix = `sess-${randomUUID()}*:`;
  const to = `tenure-${randomUUID()}:`;
  const client = await createClient({ url }).connect();
  const ours = new Redis(url);
  return {
    store: new RedisStore({ client, prefix }),
    writeUnreadable: (sid) => client.set(`${prefix}${sid}`, "v1:c2VjcmV0", { EX: 3600 }),
    args: ["--from", "connect-redis", "--store", url, "--prefix", to, "--source-prefix", prefix],
    tenure: redisStore(ours, { prefix: to }),
    async [Symbol.asyncDispose]() {
      client.destroy();
      ours.disconnect();
    },
  };
}

export async function connectPg(url: string): Promise<ImportSource> {
  const schema = `cli_${randomUUID().slice(0, 8)}`;
  const pool = new pg.Pool({ connectionString: url });
  await pool.query(`create schema "${schema}"`);
  await migrate(pool, { schema });
  const Store = connectPgSimple(session);
  const store = new Store({
    pool,
    schemaName: schema,
    createTableIfMissing: true,
    pruneSessionInterval: false,
  });
  return {
    store,
    writeUnreadable: (sid) =>
      pool.query(`insert into "${schema}".session values ($1, '[]', now() + interval '1 hour')`, [sid]),
    async writeExpired(sid) {
      await write(store, sid, {}, 1000);
      await pool.query(`update "${schema}".session set expire = now() - interval '1 second' where sid = $1`, [
        sid,
      ]);
    },
    args: ["--from", "connect-pg-simple", "--store", url, "--schema", schema, "--source-schema", schema],
    tenure: postgresStore(pool, { schema }),
    async [Symbol.asyncDispose]() {
      await pool.query(`drop schema "${schema}" cascade`);
      await pool.end();
    },
  };
}

export async function connectMongo(url: string, options: object = {}): Promise<ImportSource> {
  const dbName = "tenure_cli_test";
  const client = await new MongoClient(url).connect();
  const [theirs, ours] = [`theirs_${randomUUID()}`, `ours_${randomUUID()}`];
  const collection = client.db(dbName).collection(ours);
  await ensureIndexes(collection);
  // Without the package's TTL index, because the server would delete the expired session of a test.
  const settings = { client, dbName, collectionName: theirs, autoRemove: "disabled" as const };
  const store = new MongoStore({ ...settings, ...options });
  const encrypted = new MongoStore({ ...settings, crypto: { secret: "squirrel" } });
  const from = ["--from", "connect-mongo", "--store", mongoUrl(url, dbName)];
  return {
    store,
    writeUnreadable: (sid) => write(encrypted, sid, { userId: "ada" }, 3_600_000),
    writeExpired: (sid) => write(store, sid, {}, -1000),
    args: [...from, "--collection", ours, "--source-collection", theirs],
    tenure: mongoStore(collection),
    async [Symbol.asyncDispose]() {
      await client.close();
    },
  };
}
