import { type SessionStore, StoreError } from "@tenure/core";
import {
  assertChanges,
  assertDuration,
  assertKnownOptions,
  assertNewSession,
  assertRevokeUser,
  instantInTheFuture,
  isTouch,
  scanPages,
} from "@tenure/core/store";
import { assertPool, type PostgresClient, type PostgresPool } from "./driver.ts";
import { type Bind, joinedOn } from "./joined.ts";
import { END_BATCH, type Ended, type Ending, type Operations, operationsOn } from "./operations.ts";
import { statementsFor } from "./statements.ts";
import { startSweeping, sweep, type Sweeping, type SweepingOptions } from "./sweep.ts";
import { type TableName, tableOf } from "./table.ts";
import { encodeKey } from "./text.ts";
import { inTransaction } from "./transaction.ts";

export interface PostgresStoreOptions extends TableName {
  /**
   * The shortest life of a tombstone and of a user's fence, in milliseconds. Must exceed the duration of any
   * request. Default one hour.
   */
  readonly tombstoneMinimum?: number;
}

const OPTIONS = ["schema", "table", "tombstoneMinimum"] satisfies (keyof PostgresStoreOptions)[];

/** A `SessionStore` that can also join an application's transaction and delete expired rows. */
export interface PostgresStore extends SessionStore {
  /**
   * Returns the same store on the application's client, inside the transaction that is open on it. Changes
   * take effect at the commit. The transaction must be READ COMMITTED, PostgreSQL's default. Until it ends,
   * calls about sessions that it changed wait, and so do logins of users that it logged in or logged out
   * everywhere.
   *
   * @throws TypeError if `client` is not a client, or is a pool, which may use another connection for each
   *   statement
   */
  with(client: PostgresClient): SessionStore;
  /**
   * Deletes expired sessions, tombstones and fences in short statements, and resolves to their number. Never
   * needed for correctness. Meant for cron jobs; a long-running process uses {@link startSweeping}.
   *
   * @throws StoreError
   */
  sweep(): Promise<number>;
  /**
   * Sweeps periodically until stopped. While one process runs a statement, others that sweep skip their turn.
   * The timer does not keep the process alive.
   *
   * @throws TypeError if `every` is out of range
   */
  startSweeping(options?: SweepingOptions): Sweeping;
}

/**
 * Stores sessions in one table of PostgreSQL 14 or newer, created by {@link migrate}. A row is a session, a
 * tombstone (`revoked_at` is set) or a user's fence: a tombstone under an id that no session can have, with
 * the fence's instant in `authenticated_at`.
 *
 * **The write that decides.** Each write except `revokeUser` is one statement, which locks the rows it
 * decides on. If it binds a session to a user, it also writes the user's fence, and holds that lock until its
 * commit. `ON CONFLICT DO UPDATE` returns the newest version of the row, so the statement sees every fence
 * committed before it got the lock. `revokeUser` is two or more statements, each its own transaction:
 *
 * 1. It sets the fence, under the same lock. A create or binding that got the lock first has committed. A
 *    later one sees the fence, and is refused or counts as authenticated after it.
 * 2. It ends the user's sessions, one batch per statement. The snapshots are newer than the fence's commit,
 *    so they include each session whose statement got the lock first.
 *
 * This holds above READ COMMITTED too: there, a row newer than the snapshot is an error, and the statement is
 * repeated in READ COMMITTED.
 *
 * The fence commits asynchronously, because PostgreSQL writes its log in order and step 2 commits
 * synchronously. If there was no session to end, the fence is set again with a synchronous commit.
 *
 * **A crash between the writes of `revokeUser`** leaves the fence set and some sessions alive. No login that
 * began before the fence can add to them, and the next `revokeUser` ends them. If the server crashes, the
 * fence can be lost too. The call has not resolved.
 *
 * **In the application's transaction** the fence is set at the call but visible only from the commit. A login
 * that begins between the two is after the fence, although it may have checked the old password: after a
 * password change, call `revokeAllForUser` again once the transaction has committed.
 *
 * @param pool the application's own; the store neither configures nor ends it
 * @throws TypeError if it is not a pool, and for an invalid option
 */
export function postgresStore(pool: PostgresPool, options: PostgresStoreOptions = {}): PostgresStore {
  assertPool(pool);
  assertKnownOptions(options, OPTIONS);
  const { tombstoneMinimum = 60 * 60 * 1000 } = options;
  assertDuration("tombstoneMinimum", tombstoneMinimum);
  const table = tableOf(options);
  const operations = operationsOn(statementsFor(table, tombstoneMinimum));
  const bind = joinedOn(pool, table.sql);
  const sweepPages = bind(operations.sweep);

  return {
    ...storeOn(bind, operations),
    with(client) {
      if (typeof client?.query !== "function" || "idleCount" in client) {
        throw new TypeError(
          "client must be a pg.Client with an open transaction: store.with(await pool.connect())",
        );
      }
      return storeOn(inTransaction(client, table.sql), operations);
    },
    sweep: () => sweep(sweepPages),
    startSweeping: (settings) => startSweeping(sweepPages, settings),
  };
}

function storeOn(bind: Bind, operations: Operations): SessionStore {
  const create = bind(operations.create);
  const read = bind(operations.read);
  const touch = bind(operations.touch);
  const update = bind(operations.update);
  const revoke = bind(operations.revoke);
  const fence = bind(operations.fence);
  const durableFence = bind(operations.durableFence);
  const endUnlocked = bind(operations.endUnlocked);
  const end = bind(operations.end);
  const listUser = bind(operations.listUser);
  const scanPage = bind(operations.scan);
  const now = bind(operations.now);

  /** Sets the fence, and returns its instant once the server's clock has passed it (1 ms at most). */
  async function setFence(userId: string, upTo: number | null): Promise<number> {
    let { instant, state } = await fence({ userId, upTo });
    for (let attempt = 1; state === "early" && attempt < MAX_EARLY; attempt += 1) {
      ({ state } = await fence({ userId, upTo: instant }));
    }
    if (state === "fenced") return instant;
    if (upTo !== null) throw instantInTheFuture();
    throw new StoreError(
      "revokeUser",
      "the server's clock was set back during the call, or stands still: call it again",
    );
  }

  async function endAll(ending: Ending): Promise<Pick<Ended, "alive" | "found">> {
    const ended = { alive: 0, found: 0 };
    let waits = false;
    for (let batch = 0; batch < MAX_BATCHES; batch += 1) {
      const { alive, found, left } = await (waits ? end : endUnlocked)(ending);
      ended.alive += alive;
      ended.found += found;
      if (!left) return ended;
      // After a batch that is not full, only sessions locked by other transactions are left: no new session
      // can be at or before the fence.
      waits ||= found < END_BATCH;
    }
    throw new StoreError("revokeUser", "the user has more sessions than one call can end: call it again");
  }

  return {
    async create(session) {
      assertNewSession(session);
      const id = encodeKey("id", session.id);
      const userId = session.userId === null ? null : encodeKey("userId", session.userId);
      return create({ ...session, id, userId });
    },

    async read(id) {
      return read(encodeKey("id", id));
    },

    async update(id, changes) {
      assertChanges(changes);
      const key = encodeKey("id", id);
      if (isTouch(changes)) return touch(key);
      const { userId } = changes;
      return update({
        ...changes,
        id: key,
        ...(typeof userId === "string" && { userId: encodeKey("userId", userId) }),
      });
    },

    async revoke(id) {
      return revoke(encodeKey("id", id));
    },

    async revokeUser(userId, options = {}) {
      assertRevokeUser(userId, options);
      const { except, authenticatedUpTo = null } = options;
      const user = encodeKey("userId", userId);
      const spared = except === undefined ? null : encodeKey("except", except);
      const upTo = await setFence(user, authenticatedUpTo);
      const ending = { userId: user, except: spared, upTo, all: authenticatedUpTo === null };
      const { alive, found } = await endAll(ending);
      if (found === 0) await durableFence({ userId: user, upTo });
      return alive;
    },

    async listUser(userId) {
      return listUser(encodeKey("userId", userId));
    },

    scan: () => scanPages("", scanPage),

    async now() {
      return now(null);
    },
  };
}

/** More statements than a server runs in the millisecond until its clock has passed the fence. */
const MAX_EARLY = 1000;

/** Enough for ten million sessions. */
const MAX_BATCHES = 10_000;
