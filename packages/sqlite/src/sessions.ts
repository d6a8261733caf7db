import type { CreateResult, NewSession, SessionChanges, SessionRecord, UpdateResult } from "@tenure/core";
import { Fault, makesNewVersion, orError, type ScanPage } from "@tenure/core/store";
import type { SqliteDatabase } from "./database.ts";
import { decodeRecord, EXPIRES_AT, RECORD, type Row, SCANNED } from "./record.ts";

/**
 * The work of each call on the tables, inside a transaction. `now` is the store's clock. A `Fault` is thrown
 * only before the first write.
 */
export interface Sessions {
  create(session: NewSession, now: number): CreateResult;
  read(id: string, now: number): SessionRecord | null;
  update(id: string, changes: SessionChanges, now: number): UpdateResult;
  revoke(id: string, now: number): boolean;
  /**
   * Raises the user's fence to `upTo`, or by default to the present and past every login since the last
   * fence. Returns the instant up to which sessions must end.
   */
  fence(userId: string, upTo: number | undefined, now: number): number;
  /** Ends a batch of the user's sessions. `left`: there may be more. */
  endSome(ending: Ending, now: number): { readonly alive: number; readonly left: boolean };
  listSome(userId: string, from: Place, now: number): Page;
  scanSome(from: number, now: number): ScanPage<number>;
  /** Deletes a few expired rows per call, so that sweeping keeps up with the calls that add rows. */
  sweep(now: number, calls: number): void;
}

export interface Ending {
  readonly userId: string;
  readonly spared: string | null;
  readonly upTo: number;
  /** Also end sessions that were authenticated in the future, before the clock was set back. */
  readonly all: boolean;
}

/** A position in the index of a user's sessions. The next page begins after it. */
export interface Place {
  readonly authenticatedAt: number;
  readonly n: number;
}

export interface Page {
  readonly records: readonly SessionRecord[];
  /** `undefined` after the last page. */
  readonly next: Place | undefined;
}

export function sessionsIn(database: SqliteDatabase, tombstoneMinimum: number): Sessions {
  const find = database.prepare(
    `select n, id, user_id, authenticated_at, version, touched_at, idle, ends_at, expires_at, revoked_at, sweep_at
     from tenure_sessions where id = ?`,
  );
  const select = database.prepare(`select ${RECORD}, revoked_at from tenure_sessions where id = ?`);
  const insert = database.prepare(
    `insert into tenure_sessions (id, user_id, authenticated_at, version, created_at, touched_at, idle, ends_at, expires_at, revoked_at, sweep_at, data)
     values (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  // No index has one of these columns, so a touch writes one page.
  const change = database.prepare(
    `update tenure_sessions set version = ?, touched_at = ?, idle = ?, ends_at = ?, expires_at = ?, data = coalesce(?, data)
     where n = ?`,
  );
  const bind = database.prepare("update tenure_sessions set user_id = ?, authenticated_at = ? where n = ?");
  const bury = database.prepare(
    `update tenure_sessions set revoked_at = coalesce(revoked_at, ?), user_id = null, authenticated_at = null, data = '',
       expires_at = max(ends_at, ?, iif(revoked_at is null, 0, expires_at))
     where n = ?`,
  );
  const remove = database.prepare("delete from tenure_sessions where n = ?");
  const due = database.prepare(
    `select n, ${EXPIRES_AT} from tenure_sessions where sweep_at <= ? order by sweep_at limit ?`,
  );
  const postpone = database.prepare("update tenure_sessions set sweep_at = ? where n = ?");

  const selectFence = database.prepare("select instant from tenure_fences where user_id = ?");
  const raiseFence = database.prepare(
    `insert into tenure_fences (user_id, instant) values (?, ?)
     on conflict (user_id) do update set instant = max(instant, excluded.instant)`,
  );
  const forgetFences = database.prepare(
    `delete from tenure_fences where user_id in
       (select user_id from tenure_fences where instant <= ? order by instant limit ${SWEPT_PER_CALL})`,
  );

  // Two ranges of one index. The second is empty unless {@link Ending.all} is set.
  const ending = database.prepare(
    `select n, ${EXPIRES_AT} from tenure_sessions
     where (user_id = ? and authenticated_at <= ? or user_id = ? and authenticated_at > ?) and id is not ? limit ${PAGE}`,
  );
  const listing = database.prepare(
    `select n, ${RECORD} from tenure_sessions where user_id = ? and (authenticated_at, n) > (?, ?)
     order by authenticated_at, n limit ${PAGE}`,
  );
  const scanning = database.prepare(
    `select n, revoked_at is null and expires_at > ? as is_live, ${SCANNED} from tenure_sessions where n > ? order by n limit ${PAGE}`,
  );

  return {
    create(session, now) {
      const { id, userId, data, idle, lifetime } = session;
      const found = rowOf(id);
      if (found !== undefined && (found.revoked_at !== null || isLive(found, now))) return "taken";
      const authenticatedAt = userId === null ? null : loginOf(userId, session.authenticatedAt, now);
      if (authenticatedAt === FENCED) return "fenced";
      if (found !== undefined) remove.run(found.n);
      const endsAt = now + lifetime;
      const expiresAt = Math.min(now + idle, endsAt);
      insert.run(id, userId, authenticatedAt, now, now, idle, endsAt, expiresAt, null, expiresAt, data);
      return "created";
    },

    read(id, now) {
      const row = select.get(id) as Row | undefined;
      if (row === undefined) return null;
      const record = decodeRecord(row);
      if (record.id !== id) throw notAsked();
      return isLive(row, now) ? record : null;
    },

    update(id, changes, now) {
      const row = rowOf(id);
      if (row === undefined || !isLive(row, now)) return "gone";
      const { data, userId = row.user_id, lifetime, authenticatedAt, touch = true, ifVersion } = changes;
      if (ifVersion !== undefined && ifVersion !== row.version) return "conflict";
      const isRebound = userId !== row.user_id;
      if (userId === null) {
        if (isRebound) bind.run(null, null, row.n);
      } else if (isRebound || authenticatedAt !== undefined) {
        // A fence does not refuse a session that is already the user's.
        const login = isRebound ? loginOf(userId, authenticatedAt, now) : notTooOld(authenticatedAt!, now);
        if (login === FENCED) {
          bury.run(now, now + tombstoneMinimum, row.n);
          return "fenced";
        }
        bind.run(userId, Math.max(login, row.authenticated_at ?? 0), row.n);
      }
      const version = row.version + (makesNewVersion(changes) ? 1 : 0);
      const touchedAt = touch ? now : row.touched_at;
      const idle = changes.idle ?? row.idle;
      const endsAt = lifetime === undefined ? row.ends_at : now + lifetime;
      const expiresAt = Math.min(touchedAt + idle, endsAt);
      change.run(version, touchedAt, idle, endsAt, expiresAt, data ?? null, row.n);
      if (expiresAt < row.sweep_at) postpone.run(expiresAt, row.n);
      return "updated";
    },

    revoke(id, now) {
      const row = rowOf(id);
      if (row !== undefined) {
        bury.run(now, now + tombstoneMinimum, row.n);
        return isLive(row, now);
      }
      const until = now + tombstoneMinimum;
      insert.run(id, null, null, now, now, 0, until, until, now, until, "");
      return false;
    },

    fence(userId, upTo, now) {
      forgetFences.run(now - tombstoneMinimum);
      const instant = upTo ?? afterFence(userId, now);
      raiseFence.run(userId, instant);
      return instant;
    },

    endSome({ userId, spared, upTo, all }, now) {
      const future = all ? now : Number.MAX_SAFE_INTEGER;
      const rows = ending.all(userId, upTo, userId, future, spared) as Row[];
      for (const { n } of rows) bury.run(now, now + tombstoneMinimum, n);
      return { alive: rows.filter(({ expires_at }) => now < expires_at).length, left: rows.length === PAGE };
    },

    listSome(userId, { authenticatedAt, n }, now) {
      const rows = listing.all(userId, authenticatedAt, n) as Row[];
      const records = rows.map(decodeRecord);
      if (records.some((record) => record.userId !== userId)) throw notAsked();
      const last = rows.length === PAGE ? rows.at(-1) : undefined;
      return {
        records: records.filter(({ expiresAt }) => now < expiresAt),
        next: last && { authenticatedAt: last.authenticated_at!, n: last.n },
      };
    },

    scanSome(from, now) {
      const rows = scanning.all(now, from) as (Row & { readonly is_live: number })[];
      return {
        records: rows.filter(({ is_live }) => is_live === 1).map((row) => orError(() => decodeRecord(row))),
        next: rows.length === PAGE ? rows.at(-1)!.n : undefined,
      };
    },

    sweep(now, calls) {
      const rows = due.all(now, Math.min(calls * SWEPT_PER_CALL, SWEPT_AT_ONCE)) as Row[];
      for (const { n, expires_at: expiresAt } of rows) {
        if (expiresAt <= now) remove.run(n);
        // It was used since, and expires later.
        else postpone.run(expiresAt, n);
      }
    },
  };

  function rowOf(id: string): Row | undefined {
    const row = find.get(id) as Row | undefined;
    if (row !== undefined && row.id !== id) throw notAsked();
    return row;
  }

  /** Returns when the user logged in, or FENCED if that is refused. */
  function loginOf(userId: string, authenticatedAt: number | undefined, now: number): number | typeof FENCED {
    if (authenticatedAt === undefined) return afterFence(userId, now);
    const at = notTooOld(authenticatedAt, now);
    return at !== FENCED && at <= fenceOf(userId) ? FENCED : at;
  }

  /**
   * Returns the present, or if it is later, the instant after the user's fence: the clock may have been set
   * back.
   */
  function afterFence(userId: string, now: number): number {
    return Math.max(now, fenceOf(userId) + 1);
  }

  function fenceOf(userId: string): number {
    return (selectFence.get(userId) as { readonly instant: number } | undefined)?.instant ?? -1;
  }

  function notTooOld(authenticatedAt: number, now: number): number | typeof FENCED {
    const at = Math.min(authenticatedAt, now);
    return at <= now - tombstoneMinimum ? FENCED : at;
  }
}

const FENCED: unique symbol = Symbol("fenced");

function isLive({ revoked_at, expires_at }: Row, now: number): boolean {
  return revoked_at === null && now < expires_at;
}

function notAsked(): Fault {
  return new Fault("SQLite returned a different row from the one requested");
}

/** A call adds one row at most. */
const SWEPT_PER_CALL = 2;
/** As many rows as the calls of one transaction can add. */
const SWEPT_AT_ONCE = 64;

/** Rows per turn of the event loop: a few milliseconds with a million sessions. */
const PAGE = 100;
