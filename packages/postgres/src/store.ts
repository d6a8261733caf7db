import {
  assertChanges,
  assertNewSession,
  MAX_DURATION,
  type NewSession,
  type SessionChanges,
  type SessionStore,
} from "@tenure/core";
import { type Ask, coalesce } from "./coalesce.ts";
import type { PostgresClient, PostgresPool } from "./driver.ts";
import { type Operations, operationsOn, type ScanPage } from "./operations.ts";
import { runOn } from "./pool.ts";
import { statementsFor } from "./statements.ts";
import { startSweeping, sweep, type Sweeping, type SweepingOptions } from "./sweep.ts";
import { type TableName, tableOf } from "./table.ts";
import { encodeKey } from "./text.ts";
import { askOn } from "./transaction.ts";

export interface PostgresStoreOptions extends TableName {
  /** How long a tombstone lasts at least, milliseconds: longer than any request takes. Default one hour. */
  readonly tombstoneMinimum?: number;
}

export interface PostgresStore extends SessionStore {
  /**
   * The same store on a client of the application's, inside the transaction that is open there: what is changed commits or
   * rolls back with it, and counts from the commit on. The transaction must be READ COMMITTED, which is PostgreSQL's default.
   * Until it ends, calls about the sessions it changed wait.
   *
   * @throws TypeError for what is no client, and for a pool, each of whose statements may take another connection
   */
  with(client: PostgresClient): SessionStore;
  /**
   * Deletes sessions and tombstones that have expired, in small statements that hold up nothing, and answers how many. Never
   * needed for correctness. For a cron job; a process that stays has {@link startSweeping}.
   *
   * @throws StoreError
   */
  sweep(): Promise<number>;
  /**
   * Sweeps now and then, until it is stopped. Of the processes that do, no two statements run at once: who meets another gives
   * way until its next time. The timer keeps no process alive.
   *
   * @throws TypeError
   */
  startSweeping(options?: SweepingOptions): Sweeping;
}

/**
 * Sessions in one table of PostgreSQL 14 or newer, made by {@link migrate}:
 *
 * ```sql
 * create table tenure_sessions (
 *   id            text collate "C" primary key,
 *   user_id       text collate "C",       -- null while anonymous, and once revoked
 *   data          text not null,          -- empty once revoked
 *   version       bigint not null,
 *   created_at    timestamptz not null,
 *   idle_timeout  interval not null,
 *   ends_at       timestamptz not null,
 *   touched_at    timestamptz not null,
 *   expires_at    timestamptz not null,   -- once revoked: the end of the tombstone
 *   revoked_at    timestamptz             -- not null: a tombstone
 * ) with (fillfactor = 80, vacuum_truncate = off);
 * create index on tenure_sessions (user_id) where user_id is not null;
 * ```
 * A call is one statement, and concurrent calls share statements. It never holds more than two connections of the pool.
 *
 * @param pool the application's own; the store neither configures nor ends it
 * @throws TypeError for an option that can't be
 */
export function postgresStore(pool: PostgresPool, options: PostgresStoreOptions = {}): PostgresStore {
  if (typeof pool?.connect !== "function" || typeof pool.on !== "function") {
    throw new TypeError("pool must be a pg.Pool: postgresStore(new Pool({ … }))");
  }
  const { tombstoneMinimum = 60 * 60 * 1000 } = options;
  if (!(Number.isSafeInteger(tombstoneMinimum) && tombstoneMinimum > 0 && tombstoneMinimum <= MAX_DURATION)) {
    throw new TypeError(`tombstoneMinimum must be a whole number of milliseconds from 1 to ${MAX_DURATION}`);
  }
  const table = tableOf(options);
  const operations = operationsOn(statementsFor(table, "lazy"), tombstoneMinimum);
  const inTransaction = operationsOn(statementsFor(table, "durable"), tombstoneMinimum);
  const ask = coalesce(runOn(pool), table.sql);
  const ground = { ask, operations, table: table.sql };

  return {
    ...storeOn(ask, operations),
    with(client) {
      if (typeof client?.query !== "function" || "idleCount" in client) {
        throw new TypeError(
          "client must be one that a transaction is open on: store.with(await pool.connect())",
        );
      }
      return storeOn(askOn(client, table.sql), inTransaction);
    },
    sweep: () => sweep(ground),
    startSweeping: (settings) => startSweeping(ground, settings),
  };
}

function storeOn(ask: Ask, operations: Operations): SessionStore {
  return {
    async create(session: NewSession) {
      assertNewSession(session);
      const id = encodeKey("id", session.id);
      const userId = session.userId === null ? null : encodeKey("userId", session.userId);
      return ask(operations.create, `id ${id}`, { ...session, id, userId });
    },

    async read(id) {
      const key = encodeKey("id", id);
      return ask(operations.read, `id ${key}`, key);
    },

    async update(id, changes: SessionChanges) {
      assertChanges(changes);
      const key = encodeKey("id", id);
      const { data, userId, idle, ifVersion } = changes;
      if (data === undefined && userId === undefined && idle === undefined && ifVersion === undefined) {
        return ask(operations.touch, `id ${key}`, key);
      }
      const bound = typeof userId === "string" ? { userId: encodeKey("userId", userId) } : {};
      return ask(operations.update, `id ${key}`, { ...changes, ...bound, id: key });
    },

    async revoke(id) {
      const key = encodeKey("id", id);
      return ask(operations.revoke, `id ${key}`, key);
    },

    async revokeUser(userId, { except } = {}) {
      const key = encodeKey("userId", userId);
      const spared = except === undefined ? null : encodeKey("except", except);
      return ask(operations.revokeUser, `user ${key}`, { userId: key, except: spared, ended: 0 });
    },

    async listUser(userId) {
      const key = encodeKey("userId", userId);
      return ask(operations.listUser, `user ${key}`, key);
    },

    async *scan() {
      for (let from: string | null = ""; from !== null;) {
        const page: ScanPage = await ask(operations.scan, "scan", from);
        yield* page.live;
        for (const id of page.busy) {
          const session = await ask(operations.read, `id ${id}`, id);
          if (session !== null) yield session;
        }
        from = page.next;
      }
    },

    async now() {
      return ask(operations.now, "now", null);
    },
  };
}
