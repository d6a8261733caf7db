import { StoreError } from "./errors.ts";
import type { NewSession, SessionChanges, SessionRecord, SessionStore, UpdateResult } from "./store.ts";
import { assertChanges, assertNewSession } from "./validate.ts";

export interface MemoryStoreOptions {
  /** Epoch milliseconds. Default `Date.now`. */
  readonly clock?: () => number;
  /** How long a tombstone lasts at least, milliseconds: longer than any request takes. Default one hour. */
  readonly tombstoneMinimum?: number;
  /**
   * How many tombstones of ids that this store never held it keeps at once. One more `revoke` of an unknown id is a
   * `StoreError`; ids that it did hold are always revoked. Default 100,000, which is some 20 MB.
   */
  readonly maxUnknownTombstones?: number;
}

/**
 * The reference store, and the default of an application of one process: everything is lost when it ends.
 *
 * ```
 * shards[hash(id)]  id     -> the session, or its tombstone
 * users[hash(user)] userId -> the user's sessions
 * due[bucket]       bucket -> ids to look at once those twenty seconds have passed
 * ```
 * Three things keep it free of pauses of its own at millions of sessions. Maps are sharded, because one large `Map` stops the process
 * while it grows. What has expired is swept by the calls themselves, a few ids each, so there is no timer. A touch moves
 * nothing between buckets: a session that turns out to live on when its time comes is put into a later one.
 *
 * The sessions of one user are one `Map`, and are listed and ended in one turn: a user with a million of them makes a pause.
 */
export function memoryStore(options: MemoryStoreOptions = {}): SessionStore {
  const {
    clock: given = Date.now,
    tombstoneMinimum = 60 * 60 * 1000,
    maxUnknownTombstones = 100_000,
  } = options;
  if (typeof given !== "function") throw new TypeError("clock must be a function, as Date.now");
  if (!(tombstoneMinimum > 0)) throw new TypeError("tombstoneMinimum must be milliseconds above 0");
  if (!(maxUnknownTombstones >= 0)) throw new TypeError("maxUnknownTombstones must be a number from 0 on");

  /** Instants are whole milliseconds, whatever the clock's fractions. */
  const clock = (): number => Math.floor(given());
  const entries = new ShardedMap<Live | Tombstone>();
  const users = new ShardedMap<Map<string, Live>>();
  const due = new Map<number, string[]>();
  let sweeping: { readonly bucket: number; readonly ids: string[] } | undefined;
  /** The bucket of the present in which nothing was left to sweep. No later one: a clock may be set back. */
  let sweptIn: number | undefined;
  let unknownTombstones = 0;

  return {
    async create(session) {
      assertNewSession(session);
      const now = clock();
      sweep(now);
      const createdAt = Math.min(session.createdAt ?? now, now);
      const endsAt = createdAt + session.lifetime;
      if (endsAt <= now || isTombstone(entries.get(session.id)) || live(session.id, now)) return false;
      const entry = newEntry(session, createdAt, now, endsAt);
      entries.set(entry.id, entry);
      bind(entry);
      schedule(entry.id, entry, entry.expiresAt);
      return true;
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
      if (!entry) return "gone";
      return change(entry, changes, now);
    },

    async revoke(id) {
      const now = clock();
      sweep(now);
      const entry = entries.get(id);
      if (entry === undefined || isTombstone(entry)) {
        buryUnknown(id, entry, now);
        return false;
      }
      bury(entry, now);
      return now < entry.expiresAt;
    },

    async revokeUser(userId, { except } = {}) {
      const now = clock();
      sweep(now);
      const ending = liveOf(userId, now).filter((entry) => entry.id !== except);
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
      return clock();
    },
  };

  /** Drops an expired session at sight: what was seen dead stays dead, even if the clock is set back. */
  function live(id: string, now: number): Live | undefined {
    const entry = entries.get(id);
    if (entry === undefined || isTombstone(entry)) return undefined;
    if (now < entry.expiresAt) return entry;
    drop(entry);
    return undefined;
  }

  function liveOf(userId: string, now: number): Live[] {
    return [...(users.get(userId)?.values() ?? [])].filter((entry) => live(entry.id, now));
  }

  function change(entry: Live, changes: SessionChanges, now: number): UpdateResult {
    if (changes.ifVersion !== undefined && changes.ifVersion !== entry.version) return "conflict";
    if (changes.data !== undefined || changes.userId !== undefined) entry.version += 1;
    if (changes.data !== undefined) entry.data = changes.data;
    if (changes.userId !== undefined && changes.userId !== entry.userId) {
      unbind(entry);
      entry.userId = changes.userId;
      bind(entry);
    }
    if (changes.idle !== undefined) entry.idle = changes.idle;
    entry.touchedAt = now;
    const expiresAt = Math.min(now + entry.idle, entry.endsAt);
    // A session that now ends sooner would otherwise keep its memory until the bucket of its former end.
    if (bucketOf(expiresAt) < entry.bucket) schedule(entry.id, entry, expiresAt);
    entry.expiresAt = expiresAt;
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
        "too many unknown ids were revoked lately; limit who may log out without a session",
      );
    }
    unknownTombstones += 1;
    entries.set(id, { until, unknown: true });
    schedule(id, undefined, until);
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

  function drop(entry: Live): void {
    unbind(entry);
    entries.delete(entry.id);
  }

  function schedule(id: string, entry: Live | undefined, at: number): void {
    const bucket = bucketOf(at);
    if (entry) entry.bucket = bucket;
    const ids = due.get(bucket);
    if (ids) ids.push(id);
    else due.set(bucket, [id]);
  }

  /** Looks at a few ids whose time has passed. Each call brings in at most two, so this keeps up. */
  function sweep(now: number): void {
    for (let left = SWEPT_PER_CALL; left > 0; left -= 1) {
      sweeping ??= nextBucket(now);
      if (!sweeping) return;
      const id = sweeping.ids.pop();
      if (id === undefined) sweeping = undefined;
      else sweepOne(id, sweeping.bucket, now);
    }
  }

  function sweepOne(id: string, bucket: number, now: number): void {
    const entry = entries.get(id);
    if (entry === undefined) return;
    if (isTombstone(entry)) {
      if (now < entry.until) return schedule(id, undefined, entry.until);
      if (entry.unknown) unknownTombstones -= 1;
      entries.delete(id);
    } else if (entry.bucket === bucket) {
      if (now < entry.expiresAt) schedule(id, entry, entry.expiresAt);
      else drop(entry);
    }
  }

  function nextBucket(now: number): typeof sweeping {
    const current = bucketOf(now);
    if (current === sweptIn) return undefined;
    for (const [bucket, ids] of due) {
      if (bucket >= current) continue;
      due.delete(bucket);
      return { bucket, ids };
    }
    sweptIn = current;
    return undefined;
  }
}

/** Milliseconds. Sessions that end within as long are looked at together. */
const BUCKET = 20_000;
function bucketOf(at: number): number {
  return Math.floor(at / BUCKET);
}

const SWEPT_PER_CALL = 8;
const SHARDS = 1024;

interface Live {
  readonly id: string;
  userId: string | null;
  data: string;
  version: number;
  readonly createdAt: number;
  touchedAt: number;
  idle: number;
  expiresAt: number;
  readonly endsAt: number;
  /** The one bucket that may drop or move it; older ones that still name it pass it over. */
  bucket: number;
}

interface Tombstone {
  until: number;
  readonly unknown: boolean;
}

function isTombstone(entry: Live | Tombstone | undefined): entry is Tombstone {
  return entry !== undefined && "until" in entry;
}

function newEntry(session: NewSession, createdAt: number, now: number, endsAt: number): Live {
  const { id, userId, data, idle } = session;
  const expiresAt = Math.min(now + idle, endsAt);
  return { id, userId, data, version: 1, createdAt, touchedAt: now, idle, expiresAt, endsAt, bucket: 0 };
}

function toRecord(entry: Live): SessionRecord {
  const { id, userId, data, version, createdAt, touchedAt, idle, expiresAt, endsAt } = entry;
  return { id, userId, data, version, createdAt, touchedAt, idle, expiresAt, endsAt };
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
  /** FNV-1a over the first and last characters: enough to spread digests, numbers and mail addresses. */
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
