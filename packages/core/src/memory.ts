import cluster from "node:cluster";
import { StoreError } from "./errors.ts";
import type { NewSession, SessionChanges, SessionRecord, SessionStore, UpdateResult } from "./store.ts";
import { makesNewVersion } from "./store/changes.ts";
import { setImmediate } from "./store/real-time.ts";
import {
  assertChanges,
  assertDuration,
  assertKnownOptions,
  assertNewSession,
  assertRevokeUser,
  instantInTheFuture,
} from "./store/validate.ts";
import { warnOnce } from "./store/warning.ts";

/** Options of `memoryStore`. */
export interface MemoryStoreOptions {
  /**
   * Returns epoch milliseconds, and runs as fast as real time: `Sessions` asks for it every few seconds only.
   * Default: `Date.now()`, which fake timers replace.
   */
  readonly clock?: () => number;
  /**
   * How long a tombstone or a fence lasts at least, milliseconds: longer than any request. Default: one hour.
   */
  readonly tombstoneMinimum?: number;
  /**
   * The maximum number of tombstones for ids that were never stored. Beyond it, `revoke` of an unknown id
   * rejects with a `StoreError`; a stored session can always be revoked. Default: 100,000, about 20 MB.
   */
  readonly maxUnknownTombstones?: number;
}

/**
 * The reference store, for applications of one process: everything is lost when the process ends.
 *
 * ```
 * entries  id     -> the session, or its tombstone
 * users    userId -> the user's sessions
 * fences   userId -> the user's fence, oldest first
 * ```
 *
 * Each call checks and writes synchronously, so nothing happens between the check of a fence and the write
 * that depends on it.
 *
 * Two things avoid long pauses with millions of sessions. Maps are sharded, because a single `Map` blocks the
 * process for 77 ms when it grows past a million entries. Each call sweeps a few entries, so no timer sweeps
 * all of them. One user's sessions are a single `Map`, so a user with a million sessions does block the
 * process.
 */
export function memoryStore(options: MemoryStoreOptions = {}): SessionStore {
  assertKnownOptions(options, OPTIONS);
  const {
    // `Date` is looked up at each call, because fake timers replace it.
    clock: readClock = () => Date.now(),
    tombstoneMinimum = 60 * 60 * 1000,
    maxUnknownTombstones = 100_000,
  } = options;
  if (typeof readClock !== "function") throw new TypeError("clock must be a function, such as Date.now");
  assertDuration("tombstoneMinimum", tombstoneMinimum);
  if (typeof maxUnknownTombstones !== "number" || !(maxUnknownTombstones >= 0))
    throw new TypeError("maxUnknownTombstones must be a number of 0 or more");

  warnOfSeveralProcesses();

  const entries = new ShardedMap<Live | Tombstone>();
  const users = new ShardedMap<Map<string, Live>>();
  /** Re-inserted at each change, so iteration order is nearly the order in which fences expire. */
  const fences = new Map<string, number>();
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
      // Before the sweep, which may remove a session that has just expired. Its id would then count as
      // unknown.
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
      // Callers carry this instant forward. If it were ahead of the clock, a login would be dated after it
      // began and could pass a fence.
      for (let reads = 0; reads < MAX_CLOCK_READS && readClock() < earliestNow; reads += 1);
      return clock();
    },
  };

  /**
   * Returns whole milliseconds, always past every fence. `revokeUser` therefore need not wait for the clock,
   * which under fake timers would never end.
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
        "too many unknown ids were revoked recently: limit the rate of logouts without a session",
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

  /** Removes the expired ones among the next few entries. A call adds at most one entry, so this keeps up. */
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

const OPTIONS = ["clock", "tombstoneMinimum", "maxUnknownTombstones"] satisfies (keyof MemoryStoreOptions)[];

/**
 * With several processes, users seem to be logged out at random, and "log out everywhere" misses sessions.
 */
function warnOfSeveralProcesses(): void {
  const { pm_id: pm2, instances } = process.env;
  // PM2 reports how many processes it runs. Even its only process may be a cluster worker.
  const isOneOfSeveral = pm2 === undefined ? cluster.isWorker : instances !== "1";
  if (!isOneOfSeveral || process.env["NODE_ENV"] !== "production") return;
  warnOnce(
    "TENURE_MEMORY_STORE",
    "memoryStore() keeps sessions in one process, but cluster or PM2 runs several: use @tenure/sqlite on one machine, or @tenure/redis, @tenure/postgres or @tenure/mongo",
  );
}

/** Milliseconds. At most one pass begins per period of this length. */
const PASS_EVERY = 20_000;
const SWEPT_PER_CALL = 8;
/** More reads than fit in a millisecond. The bound is for a clock that stands still, as under fake timers. */
const MAX_CLOCK_READS = 50_000;
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
  // No spread: V8 would store its properties outside the object.
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

/** A `Map` in 1024 parts: growing copies only one of them. */
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
  /** FNV-1a over the first and last characters: enough to spread random ids, numbers and email addresses. */
  #shard(key: string): Map<string, Value> {
    let hash = 0x811c9dc5 ^ key.length;
    for (let i = 0; i < 8 && i < key.length; i += 1) {
      hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
      hash = Math.imul(hash ^ key.charCodeAt(key.length - 1 - i), 0x01000193);
    }
    return this.shards[(hash >>> 4) % SHARDS]!;
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
