import { setTimeout as sleep } from "node:timers/promises";
import { MAX_DURATION, type SessionRecord, type SessionStore, StoreError } from "@tenure/core";
import {
  assertChanges,
  assertKnownOptions,
  assertNewSession,
  assertRevokeUser,
  assertWellFormed,
  canBeStored,
  instantInTheFuture,
  isTouch,
  scanPages,
} from "@tenure/core/store";
import { assertDatabase, fileIfOpen, filesOf, type FoundFile, type SqliteDatabase } from "./database.ts";
import { assertMigrated } from "./schema.ts";
import { type Place, sessionsIn } from "./sessions.ts";
import { type Opened, transactionsOn } from "./transactions.ts";

/** Options of `sqliteStore`. */
export interface SqliteStoreOptions {
  /** Minimum life of tombstones and fences, milliseconds: longer than any request. Default one hour. */
  readonly tombstoneMinimum?: number;
  /**
   * How long a call retries to get a lock that another process holds, milliseconds, before it rejects. The
   * process does other work in between. Default 5000.
   */
  readonly lockTimeout?: number;
}

/**
 * Stores sessions in a SQLite file that processes of one machine share. {@link migrate} creates the tables: a
 * row for each session or tombstone, and a row for the fence of each user who was logged out everywhere.
 *
 * **What decides.** A change begins with `begin immediate`, so it holds SQLite's one write lock while it
 * checks and writes. No change of any process comes between a login's check of the fence and its write, or
 * between an update's check of the version and its write. A crash undoes the whole transaction. Reads take
 * one snapshot and no lock.
 *
 * **`revokeUser`** is one transaction for the fence and one for each batch of sessions. A crash between them
 * leaves the fence and some live sessions; the call has not resolved. The fence keeps older logins from
 * adding sessions, and the next `revokeUser` ends the rest.
 *
 * @param database the application's own connection, on a file that holds nothing else. The store sets
 *   `busy_timeout` and `synchronous` on it, and never closes it
 * @throws TypeError for a value that is not a database, or an invalid option
 */
export function sqliteStore(database: SqliteDatabase, options: SqliteStoreOptions = {}): SessionStore {
  assertDatabase(database);
  assertKnownOptions(options, OPTIONS);
  const { tombstoneMinimum = 60 * 60 * 1000, lockTimeout = 5000 } = options;
  assertMilliseconds("tombstoneMinimum", tombstoneMinimum, 1);
  assertMilliseconds("lockTimeout", lockTimeout, 0);

  const file = fileIfOpen(database);
  const { read, write } = transactionsOn(database, lockTimeout, () => open(database, file, tombstoneMinimum));

  return {
    async create(session) {
      assertNewSession(session);
      const { id, userId, data } = session;
      assertStorable({ id, userId, data });
      return write("create", (sessions, now) => sessions.create(session, now), { size: data.length });
    },

    async read(id) {
      if (!canBeHere("id", id)) return null;
      return read("read", (sessions, now) => sessions.read(id, now));
    },

    async update(id, changes) {
      assertChanges(changes);
      const { userId, data } = changes;
      assertStorable({ userId, data });
      if (!canBeHere("id", id)) return "gone";
      return write("update", (sessions, now) => sessions.update(id, changes, now), {
        size: data?.length ?? 0,
        mayBeLost: isTouch(changes),
      });
    },

    async revoke(id) {
      if (!canBeHere("id", id)) return false;
      return write("revoke", (sessions, now) => sessions.revoke(id, now));
    },

    async revokeUser(userId, which = {}) {
      assertRevokeUser(userId, which);
      if (!canBeHere("userId", userId)) return 0;
      const { except, authenticatedUpTo } = which;
      if (authenticatedUpTo !== undefined && authenticatedUpTo > Date.now()) throw instantInTheFuture();
      const spared = except !== undefined && canBeHere("except", except) ? except : null;
      const upTo = await write("revokeUser", (sessions, now) =>
        sessions.fence(userId, authenticatedUpTo, now),
      );
      await untilPast(upTo);
      let ended = 0;
      for (let batch = 0; batch < MAX_BATCHES; batch += 1) {
        const { alive, left } = await write("revokeUser", (sessions, now) =>
          sessions.endSome({ userId, spared, upTo, all: authenticatedUpTo === undefined }, now),
        );
        ended += alive;
        if (!left) return ended;
      }
      throw new StoreError("revokeUser", "the user has more sessions than one call can end: call again");
    },

    async listUser(userId) {
      if (!canBeHere("userId", userId)) return [];
      // By id, because a session that logs in again meanwhile moves, and is found twice.
      const found = new Map<string, SessionRecord>();
      for (let from: Place | undefined = { authenticatedAt: -1, n: 0 }; from;) {
        const place: Place = from;
        const page = await read("listUser", (sessions, now) => sessions.listSome(userId, place, now));
        for (const record of page.records) found.set(record.id, record);
        from = page.next;
      }
      return [...found.values()].toSorted((a, b) => a.createdAt - b.createdAt);
    },

    scan: () => scanPages(0, (from) => read("scan", (sessions, now) => sessions.scanSome(from, now))),

    async now() {
      return Date.now();
    },
  };
}

const OPTIONS = ["tombstoneMinimum", "lockTimeout"] satisfies (keyof SqliteStoreOptions)[];

/** Runs at the first call, because the application may call `migrate` after `sqliteStore`. */
function open(database: SqliteDatabase, file: FoundFile | undefined, tombstoneMinimum: number): Opened {
  // SQLite's own wait for a lock would stop the whole process.
  database.exec("pragma busy_timeout = 0");
  assertMigrated(database);
  return { sessions: sessionsIn(database, tombstoneMinimum), files: filesOf(database, file) };
}

function assertMilliseconds(name: string, value: number, least: number): void {
  if (!(Number.isSafeInteger(value) && value >= least && value <= MAX_DURATION)) {
    throw new TypeError(`${name} must be a whole number of milliseconds from ${least} to ${MAX_DURATION}`);
  }
}

/** @throws TypeError naming the text that cannot be stored */
function assertStorable(texts: Readonly<Record<string, string | null | undefined>>): void {
  assertWellFormed(texts);
  for (const name in texts) {
    // node:sqlite of Node 22 reads text only up to the first NUL.
    if (texts[name]?.includes("\0")) throw new TypeError(`${name} must not contain NUL, U+0000`);
  }
}

/** Whether a session with this id or user can exist. */
function canBeHere(name: string, text: string): boolean {
  return canBeStored(name, text) && !text.includes("\0");
}

/**
 * Resolves once the clock has passed the instant, a millisecond later. If the clock is set back meanwhile, it
 * does not wait for it to catch up: the fence refuses logins until then.
 */
async function untilPast(instant: number): Promise<void> {
  for (let tries = 0; tries < 20 && Date.now() <= instant; tries += 1) await sleep(1);
}

/** Ten times as many as a million sessions need. */
const MAX_BATCHES = 100_000;
