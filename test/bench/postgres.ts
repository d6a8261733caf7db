import { setTimeout as sleep } from "node:timers/promises";
import KeyvPostgres from "@keyv/postgres";
import { migrate, postgresStore } from "@tenure/postgres";
import { startPostgres } from "@tenure/servers";
import connectPgSimple from "connect-pg-simple";
import session, { Store } from "express-session";
import { Keyv } from "keyv";
import { Client, Pool } from "pg";
import { type Competitor, type Contest, IDLE, REVOCATION } from "./competitor.ts";
import { fromCallback } from "./from-callback.ts";
import type { Data } from "./session-data.ts";
import { tenure } from "./tenure.ts";

export const postgres: Contest = {
  async server() {
    const server = await startPostgres();
    return {
      url: server.url,
      about: `PostgreSQL ${await versionOf(server.url)}, ${server.how}, settings as shipped, a pool of ${POOL} each`,
      pid: await server.pid(),
      async stop() {
        await untilOthersDisconnect(server.url);
        await server[Symbol.asyncDispose]();
      },
    };
  },
  competitors: {
    async Tenure(url) {
      const pool = new Pool({ connectionString: url, max: POOL });
      await migrate(pool);
      return tenure(postgresStore(pool), () => pool.end());
    },
    "connect-pg-simple": connectPgSimpleOn,
    "@keyv/postgres": keyvOn,
  },
  targets: [
    { cell: "page view, C=1", peer: "connect-pg-simple", times: 2.2 },
    { cell: "page view, C=64", peer: "connect-pg-simple", times: 10 },
    { cell: "page view, C=256", peer: "connect-pg-simple", times: 12 },
    { cell: "page view, every touch written, C=64", peer: "connect-pg-simple", times: 8 },
    { cell: "mix, C=64", peer: "connect-pg-simple", times: 8 },
    { cell: REVOCATION, peer: "connect-pg-simple", times: 500 },
  ],
};

const POOL = 10;

async function versionOf(url: string): Promise<string> {
  const client = new Client(url);
  await client.connect();
  const { rows } = await client.query<{ server_version: string }>("show server_version");
  await client.end();
  return rows[0]?.server_version ?? "";
}

/**
 * Waits until the server has closed all other connections. Those of an ended pool close late, and an error
 * that the stopping server sent on one of them would be uncaught.
 */
async function untilOthersDisconnect(url: string): Promise<void> {
  const client = new Client(url);
  client.on("error", () => undefined);
  await client.connect();
  const others =
    "select 1 from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
  while ((await client.query(others)).rowCount !== 0) await sleep(20);
  await client.end();
}

/** Set up with the pool that its README recommends, and with its own table. */
async function connectPgSimpleOn(url: string): Promise<Competitor> {
  const pool = new Pool({ connectionString: url, max: POOL });
  const PgStore = connectPgSimple(session);
  const store = new PgStore({ pool, createTableIfMissing: true, pruneSessionInterval: false });
  return {
    store,
    revocation: "read every row of its table, then destroy",
    async revokeUser(userId) {
      const all = await pool.query<{ sid: string; sess: Data }>("select sid, sess from session");
      const theirs = all.rows.filter(({ sess }) => sess.userId === userId);
      await Promise.all(theirs.map(({ sid }) => fromCallback((done) => store.destroy(sid, done))));
      return theirs.length;
    },
    close: () => pool.end(),
  };
}

/** A minimal store for express-session, because Keyv has none. Its touch writes the whole value again. */
async function keyvOn(url: string): Promise<Competitor> {
  const adapter = new KeyvPostgres({ uri: url, max: POOL, iterationLimit: 1000 });
  const keyv = new Keyv({ store: adapter, throwOnErrors: true });

  class KeyvStore extends Store {
    override get(token: string, callback: (error: unknown, data?: Data | null) => void): void {
      void callBack<unknown>(keyv.get(token), callback as (error?: unknown, data?: unknown) => void);
    }
    override set(token: string, data: Data, callback?: (error?: unknown) => void): void {
      void callBack(keyv.set(token, data, IDLE), callback);
    }
    override touch(token: string, data: Data, callback?: () => void): void {
      this.set(token, data, callback);
    }
    override destroy(token: string, callback?: (error?: unknown) => void): void {
      void callBack(keyv.delete(token), callback);
    }
  }

  return {
    store: new KeyvStore(),
    revocation: "read all by its iterator, then delete",
    async revokeUser(userId) {
      const theirs: string[] = [];
      for await (const [key, data] of keyv.iterator?.({}) ?? []) {
        if ((data as Data).userId === userId) theirs.push(key as string);
      }
      await Promise.all(theirs.map((key) => keyv.delete(key)));
      return theirs.length;
    },
    close: () => keyv.disconnect(),
  };
}

async function callBack<T>(work: Promise<T>, callback?: (error?: unknown, value?: T) => void): Promise<void> {
  try {
    const value = await work;
    callback?.(null, value);
  } catch (error) {
    callback?.(error);
  }
}
