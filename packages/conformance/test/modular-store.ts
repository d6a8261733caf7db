import { setTimeout as sleep } from "node:timers/promises";
import {
  type NewSession,
  type RevokeUserOptions,
  type SessionChanges,
  type SessionRecord,
  type SessionStore,
  StoreError,
  type UpdateResult,
} from "@tenure/core";
import { assertChanges, assertNewSession, assertRevokeUser, instantInTheFuture } from "@tenure/core/store";

/**
 * A correct store of which each part can be replaced. As in a store on a database, sessions, tombstones,
 * fences and the index of users are separate, so that each can be wrong alone.
 */
export interface ModularStore extends SessionStore {
  readonly sessions: Map<string, Entry>;
  readonly tombstones: Map<string, number>;
  readonly index: Map<string, Set<string>>;
  readonly fences: Map<string, number>;
  clock(): number;
  idKey(id: string): string;
  userKey(userId: string): string;
  /** Returns the data as it is stored. */
  storedData(data: string): string;
  isDead(entry: Entry, now: number): boolean;
  /** Returns the backend's value for an id. */
  fetch(id: string): unknown;
  /** @throws StoreError for a value of another id, or one that is not a session */
  decode(id: string, value: unknown): Entry | undefined;
  /** Returns the live entry. Deletes a dead one. */
  find(id: string, now: number): Entry | undefined;
  hasTombstone(id: string, now: number): boolean;
  /** Deletes the entry and leaves a tombstone. */
  end(id: string, entry: Entry | undefined, now: number): void;
  addToIndex(entry: Entry): void;
  removeFromIndex(entry: Entry): void;
  newEntry(session: NewSession, now: number): Entry;
  apply(entry: Entry, changes: SessionChanges, now: number): void;
  /** Returns by how much an update raises the version. */
  versionStep(changes: SessionChanges, entry: Entry): number;
  expiryOf(entry: Entry): number;
  ofUser(userId: string, now: number): Entry[];
  fenceOf(userId: string): number;
  setFence(userId: string, instant: number): void;
  isTooOld(authenticatedAt: number, now: number): boolean;
  isRefused(userId: string, authenticatedAt: number | undefined, now: number): boolean;
  isRefusedUpdate(entry: Entry, changes: SessionChanges, now: number): boolean;
  /** Returns the stored `authenticatedAt` of a login that gave this one. */
  loginTime(userId: string, authenticatedAt: number | undefined, now: number): number;
  /** Returns the session's `authenticatedAt` after an update. */
  authenticatedAtAfter(entry: Entry, changes: SessionChanges, now: number): number | null;
  sessionsToEnd(userId: string, options: RevokeUserOptions, instant: number, now: number): Entry[];
  waitUntilPast(instant: number): Promise<void>;
}

export type Entry = { -readonly [Field in keyof SessionRecord]: SessionRecord[Field] };

/** Returns the parts to replace. The parts of `base` use the replaced ones where they call others. */
export type Replace = (base: ModularStore) => Partial<ModularStore>;

export function modularStore(replace: Replace = () => ({})): ModularStore {
  const store: ModularStore = {
    sessions: new Map(),
    tombstones: new Map(),
    index: new Map(),
    fences: new Map(),
    clock: () => Date.now(),
    idKey: (id) => id,
    userKey: (userId) => userId,
    storedData: (data) => data,

    isDead: (entry, now) => now >= entry.expiresAt,

    fetch: (id) => store.sessions.get(store.idKey(id)),

    decode(id, value) {
      if (value === undefined) return undefined;
      const isSession = typeof value === "object" && value !== null && "id" in value && value.id === id;
      if (!isSession) throw new StoreError("read", "the reply is not the requested session");
      return value as Entry;
    },

    find(id, now) {
      const entry = store.decode(id, store.fetch(id));
      if (!entry || !store.isDead(entry, now)) return entry;
      store.removeFromIndex(entry);
      store.sessions.delete(store.idKey(id));
      return undefined;
    },

    hasTombstone: (id, now) => (store.tombstones.get(store.idKey(id)) ?? 0) > now,

    end(id, entry, now) {
      if (entry) store.removeFromIndex(entry);
      store.sessions.delete(store.idKey(id));
      store.tombstones.set(store.idKey(id), Math.max(entry?.endsAt ?? 0, now + HOUR));
    },

    addToIndex({ id, userId }) {
      if (userId === null) return;
      const ids = store.index.get(store.userKey(userId)) ?? new Set();
      store.index.set(store.userKey(userId), ids.add(id));
    },

    removeFromIndex({ id, userId }) {
      if (userId !== null) store.index.get(store.userKey(userId))?.delete(id);
    },

    newEntry({ id, userId, data, idle, lifetime, authenticatedAt }, now) {
      const entry: Entry = {
        id,
        userId,
        authenticatedAt: userId === null ? null : store.loginTime(userId, authenticatedAt, now),
        data: store.storedData(data),
        version: 1,
        createdAt: now,
        touchedAt: now,
        idle,
        expiresAt: 0,
        endsAt: now + lifetime,
      };
      entry.expiresAt = store.expiryOf(entry);
      return entry;
    },

    apply(entry, changes, now) {
      const { data, userId, idle, lifetime, touch = true } = changes;
      entry.version += store.versionStep(changes, entry);
      if (data !== undefined) entry.data = store.storedData(data);
      entry.authenticatedAt = store.authenticatedAtAfter(entry, changes, now);
      if (userId !== undefined) {
        store.removeFromIndex(entry);
        entry.userId = userId;
        store.addToIndex(entry);
      }
      if (idle !== undefined) entry.idle = idle;
      if (lifetime !== undefined) entry.endsAt = now + lifetime;
      if (touch) entry.touchedAt = now;
      entry.expiresAt = store.expiryOf(entry);
    },

    versionStep: ({ data, userId, lifetime, authenticatedAt }) =>
      [data, userId, lifetime, authenticatedAt].some((given) => given !== undefined) ? 1 : 0,

    expiryOf: ({ touchedAt, idle, endsAt }) => Math.min(touchedAt + idle, endsAt),

    ofUser(userId, now) {
      const ids = [...(store.index.get(store.userKey(userId)) ?? [])];
      return ids.map((id) => store.find(id, now)).filter((entry) => entry !== undefined);
    },

    fenceOf: (userId) => store.fences.get(store.userKey(userId)) ?? -1,

    setFence(userId, instant) {
      store.fences.set(store.userKey(userId), Math.max(instant, store.fenceOf(userId)));
    },

    isTooOld: (authenticatedAt, now) => authenticatedAt <= now - HOUR,

    isRefused(userId, authenticatedAt, now) {
      if (authenticatedAt === undefined) return false;
      const at = Math.min(authenticatedAt, now);
      return store.isTooOld(at, now) || at <= store.fenceOf(userId);
    },

    isRefusedUpdate(entry, { userId = entry.userId, authenticatedAt }, now) {
      if (userId === null || authenticatedAt === undefined) return false;
      if (userId !== entry.userId) return store.isRefused(userId, authenticatedAt, now);
      return store.isTooOld(authenticatedAt, now);
    },

    loginTime: (userId, authenticatedAt, now) =>
      authenticatedAt === undefined
        ? Math.max(now, store.fenceOf(userId) + 1)
        : Math.min(authenticatedAt, now),

    authenticatedAtAfter(entry, { userId = entry.userId, authenticatedAt }, now) {
      if (userId === null) return null;
      if (userId === entry.userId && authenticatedAt === undefined) return entry.authenticatedAt;
      return Math.max(store.loginTime(userId, authenticatedAt, now), entry.authenticatedAt ?? 0);
    },

    sessionsToEnd: (userId, { except }, instant, now) =>
      store
        .ofUser(userId, now)
        .filter(({ id, authenticatedAt }) => id !== except && (authenticatedAt ?? 0) <= instant),

    async waitUntilPast(instant) {
      while (store.clock() <= instant) await sleep(1);
    },

    async create(session) {
      assertNewSession(session);
      const now = store.clock();
      if (store.hasTombstone(session.id, now) || store.find(session.id, now)) return "taken";
      const { userId, authenticatedAt } = session;
      if (userId !== null && store.isRefused(userId, authenticatedAt, now)) return "fenced";
      const entry = store.newEntry(session, now);
      store.sessions.set(store.idKey(session.id), entry);
      store.addToIndex(entry);
      return "created";
    },

    async read(id) {
      const entry = store.find(id, store.clock());
      return entry ? recordOf(entry) : null;
    },

    async update(id, changes): Promise<UpdateResult> {
      assertChanges(changes);
      const now = store.clock();
      const entry = store.find(id, now);
      if (!entry) return "gone";
      if (changes.ifVersion !== undefined && changes.ifVersion !== entry.version) return "conflict";
      if (store.isRefusedUpdate(entry, changes, now)) {
        store.end(id, entry, now);
        return "fenced";
      }
      store.apply(entry, changes, now);
      return "updated";
    },

    async revoke(id) {
      const now = store.clock();
      const entry = store.find(id, now);
      store.end(id, entry, now);
      return entry !== undefined;
    },

    async revokeUser(userId, options = {}) {
      assertRevokeUser(userId, options);
      const now = store.clock();
      // A session that is bound in the millisecond of the last fence has an `authenticatedAt` one millisecond
      // later.
      const { authenticatedUpTo = Math.max(now, store.fenceOf(userId) + 1) } = options;
      if (options.authenticatedUpTo !== undefined && authenticatedUpTo > now) throw instantInTheFuture();
      store.setFence(userId, authenticatedUpTo);
      const ended = store.sessionsToEnd(userId, options, authenticatedUpTo, now);
      for (const entry of ended) store.end(entry.id, entry, now);
      await store.waitUntilPast(authenticatedUpTo);
      return ended.length;
    },

    async listUser(userId) {
      return store
        .ofUser(userId, store.clock())
        .map(recordOf)
        .toSorted((a, b) => a.createdAt - b.createdAt);
    },

    // Not by `find`: the scan of one test must not delete the entries that another test waits for.
    async *scan() {
      for (const entry of store.sessions.values())
        if (!store.isDead(entry, store.clock())) yield recordOf(entry);
    },

    now: async () => store.clock(),
  };
  const base = { ...store };
  return Object.assign(store, replace(base));
}

export function recordOf(entry: Entry): SessionRecord {
  return { ...entry };
}

const HOUR = 60 * 60 * 1000;
