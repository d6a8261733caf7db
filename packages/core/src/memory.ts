import cluster from "node:cluster";
import { StoreError } from "./errors.ts";
import type { NewSession, SessionChanges, SessionRecord, SessionStore, UpdateResult } from "./store.ts";
import { makesNewVersion } from "./store/changes.ts";
import { assertChanges, assertNewSession, assertRevokeUser, instantInTheFuture } from "./store/validate.ts";
import { warnOnce } from "./store/warning.ts";

/** Options of `memoryStore`. */
export interface MemoryStoreOptions {
  /** Epoch milliseconds. Default `Date.now()`, fake timers included. */
  readonly clock?: () => number;
  /** How long a tombstone, and a user's fence, lasts at least, milliseconds: longer than any request takes. Default one hour. */
  readonly tombstoneMinimum?: number;
  /**
   * How many tombstones of ids that were never stored it keeps at once. One more `revoke` of an unknown id is a `StoreError`; a
   * stored id can always be revoked. Default 100,000, about 20 MB.
   */
  readonly maxUnknownTombstones?: number;
}

/**
 * The reference store, and the default of an application of one process: everything is lost when the process ends.
 *
 * ```
 * shards[hash(id)]  id     -> the session, or its tombstone
 * users[hash(user)] userId -> the user's sessions
 * fences            userId -> the user's fence, oldest first
 * ```
 * Every call runs in one turn of the event loop, so the check of the fence and the write it decides cannot be separated.
 *
 * Two things keep it free of pauses of its own with millions of sessions. Maps are sharded: one `Map` stops the process for 77 ms
 * when it grows past a million. Each call sweeps a few entries, in passes over all of them, so there is no timer.
 *
 * The sessions of one user are one `Map` and are listed and ended in one turn: a user with a million of them makes a pause.
 */
export function memoryStore(options: MemoryStoreOptions = {}): SessionStore {
  const {
    // Looked up at each call, so that fake timers, which replace `Date`, are followed.
    clock: readClock = () => Date.now(),
    tombstoneMinimum = 60 * 60 * 1000,
    maxUnknownTombstones = 100_000,
  } = options;
  if (typeof readClock !== "function") throw new TypeError("clock must be a function, such as Date.now");
  if (!(tombstoneMinimum > 0)) throw new TypeError("tombstoneMinimum must be milliseconds above 0");
  if (!(maxUnknownTombstones >= 0)) throw new TypeError("maxUnknownTombstones must be a number from 0 on");

  warnOfSeveralProcesses();

  const entries = new ShardedMap<Live | Tombstone>();
  const users = new ShardedMap<Map<string, Live>>();
  /** Set again at each change, so that insertion order is nearly the order in which they may be forgotten. */
  const fences = new Map<string, number>();
  /** The pass that is under way. */
  let sweeping: Iterator<readonly [id: string, entry: Live | Tombstone]> | undefined;
  /** The period in which the last pass ended. */
  let sweptIn: number | undefined;
  let unknownTombstones = 0;
  let earliestNow = 0;

  return {
    async create(session) {
      assertNewSession(session);
      const now = clock();
      sweep(now);
      if (isTombstone(entries.get(session.id)) || live(session.id, now)) return "taken";
      const { userId } = session;
      if (userId !== null && isFenced(userId, session.authenticatedAt, now)) return "fenced";
      const entry = newEntry(session, now);
      entries.set(entry.id, entry);
      bind(entry);
      return "created";
    },

    async read(id) {
      const now = clock();
      sweep(now);
      const entry = live(id, now);
      return entry ? toRecord(entry) : null;
    },

    async update(id, changes) {
      assertChanges(changes);
      const now = clock();
      sweep(now);
      const entry = live(id, now);
      return entry ? change(entry, changes, now) : "gone";
    },

    async revoke(id) {
      const now = clock();
      // Before the sweep, for which what has just expired is an unknown id.
      const entry = entries.get(id);
      sweep(now);
      if (entry === undefined || isTombstone(entry)) {
        buryUnknown(id, entry, now);
        return false;
      }
      bury(entry, now);
      return now < entry.expiresAt;
    },

    async revokeUser(userId, which = {}) {
      assertRevokeUser(userId, which);
      const now = clock();
      const { except, authenticatedUpTo = now } = which;
      if (authenticatedUpTo > now) throw instantInTheFuture();
      sweep(now);
      fence(userId, authenticatedUpTo, now);
      const ending = liveOf(userId, now).filter(
        ({ id, authenticatedAt }) => id !== except && (authenticatedAt ?? 0) <= authenticatedUpTo,
      );
      for (const entry of ending) bury(entry, now);
      return ending.length;
    },

    async listUser(userId) {
      const now = clock();
      sweep(now);
      return liveOf(userId, now)
        .map(toRecord)
        .toSorted((a, b) => a.createdAt - b.createdAt);
    },

    async *scan() {
      for (const shard of entries.shards) {
        for (const entry of shard.values()) {
          if (!isTombstone(entry) && live(entry.id, clock())) yield toRecord(entry);
        }
        await nextTurn();
      }
    },

    async now() {
      // Callers carry this time forward. An instant that has not come yet would date a login after its beginning, past a fence.
      for (let looks = 0; looks < MAX_LOOKS && readClock() < earliestNow; looks += 1);
      return clock();
    },
  };

  /**
   * Whole milliseconds, and always past every fence. So a call that resolves "once the clock is past the fence" need not wait, which
   * would never end under fake timers.
   */
  function clock(): number {
    return Math.max(Math.floor(readClock()), earliestNow);
  }

  function fence(userId: string, instant: number, now: number): void {
    for (const [user, at] of fences) {
      if (now < at + tombstoneMinimum) break;
      fences.delete(user);
    }
    const latest = Math.max(instant, fences.get(userId) ?? 0);
    fences.delete(userId);
    fences.set(userId, latest);
    earliestNow = Math.max(earliestNow, instant + 1);
  }

  function isFenced(userId: string, authenticatedAt: number | undefined, now: number): boolean {
    if (authenticatedAt === undefined) return false;
    const at = Math.min(authenticatedAt, now);
    return isTooOld(at, now) || at <= (fences.get(userId) ?? -1);
  }

  function isTooOld(authenticatedAt: number, now: number): boolean {
    return authenticatedAt <= now - tombstoneMinimum;
  }

  function live(id: string, now: number): Live | undefined {
    const entry = entries.get(id);
    if (entry === undefined || isTombstone(entry)) return undefined;
    if (now < entry.expiresAt) return entry;
    unbind(entry);
    entries.delete(id);
    return undefined;
  }

  function liveOf(userId: string, now: number): Live[] {
    return [...(users.get(userId)?.values() ?? [])].filter((entry) => live(entry.id, now));
  }

  function change(entry: Live, changes: SessionChanges, now: number): UpdateResult {
    const { data, userId = entry.userId, idle, lifetime, authenticatedAt, touch = true, ifVersion } = changes;
    if (ifVersion !== undefined && ifVersion !== entry.version) return "conflict";
    const isRebound = userId !== entry.userId;
    if (userId !== null && authenticatedAt !== undefined) {
      const refused = isRebound ? isFenced(userId, authenticatedAt, now) : isTooOld(authenticatedAt, now);
      if (refused) {
        bury(entry, now);
        return "fenced";
      }
    }
    if (makesNewVersion(changes)) entry.version += 1;
    if (data !== undefined) entry.data = data;
    if (userId === null) entry.authenticatedAt = null;
    else if (isRebound || authenticatedAt !== undefined) {
      entry.authenticatedAt = Math.max(Math.min(authenticatedAt ?? now, now), entry.authenticatedAt ?? 0);
    }
    if (isRebound) {
      unbind(entry);
      entry.userId = userId;
      bind(entry);
    }
    if (idle !== undefined) entry.idle = idle;
    if (lifetime !== undefined) entry.endsAt = now + lifetime;
    if (touch) entry.touchedAt = now;
    entry.expiresAt = Math.min(entry.touchedAt + entry.idle, entry.endsAt);
    return "updated";
  }

  function bury(entry: Live, now: number): void {
    unbind(entry);
    entries.set(entry.id, { until: Math.max(entry.endsAt, now + tombstoneMinimum), unknown: false });
  }

  function buryUnknown(id: string, entry: Tombstone | undefined, now: number): void {
    const until = now + tombstoneMinimum;
    if (entry) {
      entry.until = Math.max(entry.until, until);
      return;
    }
    if (unknownTombstones >= maxUnknownTombstones) {
      throw new StoreError(
        "revoke",
        "too many unknown ids were revoked recently: limit who may log out without a session",
      );
    }
    unknownTombstones += 1;
    entries.set(id, { until, unknown: true });
  }

  function bind(entry: Live): void {
    if (entry.userId === null) return;
    const sessions = users.get(entry.userId);
    if (sessions) sessions.set(entry.id, entry);
    else users.set(entry.userId, new Map([[entry.id, entry]]));
  }

  function unbind(entry: Live): void {
    if (entry.userId === null) return;
    const sessions = users.get(entry.userId);
    sessions?.delete(entry.id);
    if (sessions?.size === 0) users.delete(entry.userId);
  }

  /** Removes what is over among the next few entries. A call adds one at most, so this keeps up. */
  function sweep(now: number): void {
    const period = Math.floor(now / PASS_EVERY);
    if (!sweeping && period === sweptIn) return;
    sweeping ??= entries.all();
    for (let left = SWEPT_PER_CALL; left > 0; left -= 1) {
      const next = sweeping.next();
      if (next.done) {
        sweeping = undefined;
        sweptIn = period;
        return;
      }
      const [id, entry] = next.value;
      if (!isTombstone(entry)) live(id, now);
      else if (now >= entry.until) {
        if (entry.unknown) unknownTombstones -= 1;
        entries.delete(id);
      }
    }
  }
}

/** Each process would have sessions of its own: users are logged out at random, and "log out everywhere" misses sessions. */
function warnOfSeveralProcesses(): void {
  const isOneOfSeveral = cluster.isWorker || process.env["pm_id"] !== undefined;
  if (!isOneOfSeveral || process.env["NODE_ENV"] !== "production") return;
  warnOnce(
    "TENURE_MEMORY_STORE",
    "memoryStore() keeps sessions in one process, and cluster or PM2 runs several: use @tenure/sqlite on one machine, or @tenure/redis, @tenure/postgres or @tenure/mongo",
  );
}

/** Milliseconds. No second pass begins within a period of this length. */
const PASS_EVERY = 20_000;
const SWEPT_PER_CALL = 8;
/** More looks at the clock than a millisecond has. A clock that stands still, as under fake timers, is not waited for. */
const MAX_LOOKS = 50_000;
const SHARDS = 1024;

type Live = { -readonly [Key in keyof SessionRecord]: SessionRecord[Key] };

interface Tombstone {
  until: number;
  readonly unknown: boolean;
}

function isTombstone(entry: Live | Tombstone | undefined): entry is Tombstone {
  return entry !== undefined && "until" in entry;
}

function newEntry(session: NewSession, now: number): Live {
  const { id, userId, data, idle, lifetime } = session;
  const authenticatedAt = userId === null ? null : Math.min(session.authenticatedAt ?? now, now);
  const endsAt = now + lifetime;
  // Each property is named: V8 would keep those of a spread apart from the object.
  return {
    id,
    userId,
    authenticatedAt,
    data,
    version: 1,
    createdAt: now,
    touchedAt: now,
    idle,
    expiresAt: Math.min(now + idle, endsAt),
    endsAt,
  };
}

function toRecord(entry: Live): SessionRecord {
  const { id, userId, authenticatedAt, data, version, createdAt, touchedAt, idle, expiresAt, endsAt } = entry;
  return { id, userId, authenticatedAt, data, version, createdAt, touchedAt, idle, expiresAt, endsAt };
}

/** A `Map` whose growth copies a thousandth of it at a time. */
class ShardedMap<Value> {
  readonly shards: readonly Map<string, Value>[] = Array.from(
    { length: SHARDS },
    () => new Map<string, Value>(),
  );

  get(key: string): Value | undefined {
    return this.#shard(key).get(key);
  }
  set(key: string, value: Value): void {
    this.#shard(key).set(key, value);
  }
  delete(key: string): void {
    this.#shard(key).delete(key);
  }
  *all(): Generator<[key: string, value: Value]> {
    for (const shard of this.shards) yield* shard.entries();
  }
  /** FNV-1a over the first and last characters: enough to spread random ids, numbers and mail addresses. */
  #shard(key: string): Map<string, Value> {
    let hash = 0x811c9dc5 ^ key.length;
    for (let i = 0; i < 8 && i < key.length; i += 1) {
      hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
      hash = Math.imul(hash ^ key.charCodeAt(key.length - 1 - i), 0x01000193);
    }
    return this.shards[(hash >>> 4) % SHARDS]!;
  }
}

/** Node's own, also where fake timers have replaced the global one. */
const { setImmediate: nextImmediate } = globalThis;

function nextTurn(): Promise<void> {
  return new Promise((resolve) => nextImmediate(resolve));
}
