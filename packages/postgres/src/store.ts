import { type SessionStore, StoreError } from "@tenure/core";
import {
  assertChanges,
  assertDuration,
  assertNewSession,
  assertRevokeUser,
  Fault,
  instantInTheFuture,
  isTouch,
} from "@tenure/core/store";
import type { PostgresClient, PostgresPool } from "./driver.ts";
import { type Bind, joinedOn } from "./joined.ts";
import { END_BATCH, type Ended, type Ending, type Operations, operationsOn } from "./operations.ts";
import { statementsFor } from "./statements.ts";
import { startSweeping, sweep, type Sweeping, type SweepingOptions } from "./sweep.ts";
import { type TableName, tableOf } from "./table.ts";
import { encodeKey } from "./text.ts";
import { inTransaction } from "./transaction.ts";

export interface PostgresStoreOptions extends TableName {
  /** How long a tombstone, and a user's fence, lasts at least, milliseconds: longer than any request takes. Default one hour. */
  readonly tombstoneMinimum?: number;
}

/** The store that `postgresStore` makes: the contract, a way into a transaction of the application, and sweeping. */
export interface PostgresStore extends SessionStore {
  /**
   * The same store on a client of the application's, inside the transaction that is open there: changes commit or roll back with
   * it, and count from the commit on. The transaction must be READ COMMITTED, which is PostgreSQL's default.
   * Until it ends, calls about the sessions that it changed wait, and so do logins of users whom it logged in or out everywhere.
   *
   * @throws TypeError for a value that is not a client, and for a pool, each of whose statements may take another connection
   */
  with(client: PostgresClient): SessionStore;
  /**
   * Deletes sessions, tombstones and fences that have expired, in small statements that no call waits for. Resolves to their number. Never
   * needed for correctness. For a cron job; a process that stays has {@link startSweeping}.
   *
   * @throws StoreError
   */
  sweep(): Promise<number>;
  /**
   * Sweeps now and then, until it is stopped. Of the processes that do, one at a time runs a statement; the others
   * skip their turn. The timer keeps no process alive.
   *
   * @throws TypeError
   */
  startSweeping(options?: SweepingOptions): Sweeping;
}

/**
 * Sessions in one table of PostgreSQL 14 or newer, made by {@link migrate}. Each row is a session, a tombstone
 * (`revoked_at` is set), or the fence of a user: a tombstone under an id that no session can have, whose
 * `authenticated_at` is the fence. A fence in the same table needs no rights, dump or sweep of its own.
 *
 * **What decides.** Each call but `revokeUser` is one statement, which locks what it decides on. A statement that
 * gives a session to a user inserts or updates the user's fence, and so holds the fence's lock until its commit. `ON CONFLICT DO UPDATE`
 * returns the newest version of the row, so the statement knows each fence that was committed before it got the lock. `revokeUser` is two
 * or more statements, each a transaction:
 *
 * 1. It sets the fence, under the same lock. A create or a binding that got the lock first has committed by then; one
 *    that gets it later sees the fence, and is refused, or counts as authenticated after it.
 * 2. It ends the user's sessions, a batch a statement. These snapshots are newer than the fence's commit, so they
 *    have each session whose statement had the lock first.
 *
 * So no order of the two lets a session through. This holds above READ COMMITTED too: there a row that is newer
 * than the snapshot is an error, and the statement is repeated in READ COMMITTED.
 *
 * The commit of the first does not wait for the disk, because that of the second does, and PostgreSQL writes its log in order. If there was
 * nothing to end, the fence is set again, by a commit that waits.
 *
 * **A crash between the writes of `revokeUser`** leaves the fence set and some of the user's sessions alive. No login that began before
 * the fence can be added to them, and the next `revokeUser` ends them. A crash of the server can take the fence with it. The call has not
 * resolved.
 *
 * **In a transaction of the application's** the fence is set at the call and seen at the commit. Logins of the user
 * wait for the commit. One that began between the two is after the fence, though it may have checked what the
 * transaction has replaced: after a change of password, call `revokeAllForUser` again once the transaction has
 * committed.
 *
 * @param pool the application's own; the store neither configures nor ends it
 * @throws TypeError for an invalid option
 */
export function postgresStore(pool: PostgresPool, options: PostgresStoreOptions = {}): PostgresStore {
  if (typeof pool?.connect !== "function" || typeof pool.on !== "function") {
    throw new TypeError("pool must be a pg.Pool: postgresStore(new Pool({ … }))");
  }
  const { tombstoneMinimum = 60 * 60 * 1000 } = options;
  assertDuration("tombstoneMinimum", tombstoneMinimum);
  const table = tableOf(options);
  const operations = operationsOn(statementsFor(table), tombstoneMinimum);
  const bind = joinedOn(pool, table.sql);
  const sweepPages = bind(operations.sweep);

  return {
    ...storeOn(bind, operations),
    with(client) {
      if (typeof client?.query !== "function" || "idleCount" in client) {
        throw new TypeError(
          "client must be one that a transaction is open on: store.with(await pool.connect())",
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

  /** Returns its instant, which the server's clock has passed: that takes a millisecond at most. */
  async function setFence(userId: string, upTo: number | null): Promise<number> {
    let { instant, state } = await fence({ userId, upTo });
    while (state === "early") ({ state } = await fence({ userId, upTo: instant }));
    if (state === "fenced") return instant;
    if (upTo !== null) throw instantInTheFuture();
    throw new StoreError("revokeUser", "the server's clock was set back during the call: call it again");
  }

  /** Ends a user's sessions, batch by batch. */
  async function endAll(ending: Ending): Promise<Pick<Ended, "alive" | "found">> {
    const ended = { alive: 0, found: 0 };
    let waits = false;
    for (let batch = 0; batch < MAX_BATCHES; batch += 1) {
      const { alive, found, left } = await (waits ? end : endUnlocked)(ending);
      ended.alive += alive;
      ended.found += found;
      if (!left) return ended;
      // What is left now is what others have locked: the rest has ended, and no new session can be at or before the fence.
      waits ||= found < END_BATCH;
    }
    throw new StoreError("revokeUser", "the user has more sessions than one call ends: call it again");
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

    async *scan() {
      // Not before the end: "log everybody out" must end the sessions behind a row that is not one.
      let fault: Fault | undefined;
      for (let from: string | null = ""; from !== null;) {
        const page: Awaited<ReturnType<typeof scanPage>> = await scanPage(from);
        for (const record of page.records) {
          if (record instanceof Fault) fault ??= record;
          else yield record;
        }
        from = page.next;
      }
      if (fault !== undefined) throw new StoreError("scan", fault.message);
    },

    async now() {
      return now(null);
    },
  };
}

/** A million sessions are a tenth of this. */
const MAX_BATCHES = 10_000;
