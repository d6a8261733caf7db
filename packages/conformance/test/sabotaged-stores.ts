import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { type SessionRecord, type SessionStore, StoreError } from "@tenure/core";
import type { StoreUnderTest } from "../src/index.ts";
import { withMixedUpReplies } from "./mixed-up-replies.ts";
import { type Entry, type ModularStore, modularStore, recordOf, type Replace } from "./modular-store.ts";
import { ABSENT_RESULTS, type Failure, rejectWithStoreError, storeAt } from "./unreachable-backend.ts";

/** Stores with one fault each, by that fault. */
export const sabotagedStores: Readonly<Record<string, () => StoreUnderTest>> = {
  // First, because the suite waits 20 s for it.
  "a call never settles": sabotagedFailures(() => new Promise(() => {})),

  // Revocation
  "update creates a session that does not exist": sabotaged((base) => ({
    async update(id, changes) {
      const result = await base.update(id, changes);
      if (result !== "gone" || base.hasTombstone(id, base.clock())) return result;
      await base.create({ id, userId: null, data: "", idle: 60_000, lifetime: 60_000, ...changes });
      return "updated";
    },
  })),
  "update creates a session over its tombstone": sabotaged((base) => ({
    async update(id, changes) {
      const result = await base.update(id, changes);
      if (result !== "gone") return result;
      base.tombstones.delete(id);
      await base.create({ id, userId: null, data: "", idle: 60_000, lifetime: 60_000, ...changes });
      return "updated";
    },
  })),
  "revoke leaves no tombstone": sabotaged((base) => ({
    end(id, entry, now) {
      base.end(id, entry, now);
      base.tombstones.delete(id);
    },
  })),
  "revoke leaves no tombstone for an unknown id": sabotaged((base) => ({
    async revoke(id) {
      return base.sessions.has(id) || base.hasTombstone(id, base.clock()) ? base.revoke(id) : false;
    },
  })),
  "revoke leaves no tombstone for an expired session": sabotaged((base) => ({
    async revoke(id) {
      const entry = base.sessions.get(id);
      if (!entry || base.clock() < entry.expiresAt) return base.revoke(id);
      base.sessions.delete(id);
      return false;
    },
  })),
  "a tombstone lasts only until the session's endsAt": sabotaged((base) => ({
    end(id, entry, now) {
      base.end(id, entry, now);
      if (entry) base.tombstones.set(id, entry.endsAt);
    },
  })),
  "a tombstone lasts only two seconds": sabotaged((base) => ({
    end(id, entry, now) {
      base.end(id, entry, now);
      base.tombstones.set(id, now + 2000);
    },
  })),
  "revoke always returns false": sabotaged((base) => ({
    async revoke(id) {
      await base.revoke(id);
      return false;
    },
  })),
  "revoke always returns true": sabotaged((base) => ({
    async revoke(id) {
      await base.revoke(id);
      return true;
    },
  })),
  "revoke returns true for an expired session": sabotaged((base) => ({
    async revoke(id) {
      const wasStored = base.sessions.has(id);
      await base.revoke(id);
      return wasStored;
    },
  })),
  "concurrent revokes of one session all return true": sabotaged((base) => ({
    async revoke(id) {
      const wasAlive = (await base.read(id)) !== null;
      await turn();
      await base.revoke(id);
      return wasAlive;
    },
  })),
  "create checks for a tombstone, and writes in a later step": sabotaged((base) => ({
    async create(session) {
      if (base.hasTombstone(session.id, base.clock())) return "taken";
      const isFree = !base.find(session.id, base.clock());
      await turn();
      const until = base.tombstones.get(session.id);
      base.tombstones.delete(session.id);
      const created = isFree ? await base.create(session) : "taken";
      if (until !== undefined && created === "taken") base.tombstones.set(session.id, until);
      return created;
    },
  })),
  "an update that began before a revoke writes the session back after it": sabotaged((base) => ({
    async update(id, changes) {
      const entry = base.find(id, base.clock());
      await turn();
      if (!entry || base.sessions.has(id)) return base.update(id, changes);
      base.sessions.set(id, entry);
      base.addToIndex(entry);
      return base.update(id, changes);
    },
  })),

  // Expiry and lifetime
  "a touch moves endsAt": sabotaged((base) => ({
    apply(entry, changes, now) {
      entry.endsAt += now - entry.touchedAt;
      base.apply(entry, changes, now);
    },
  })),
  "expiresAt can be later than endsAt": sabotaged(() => ({
    expiryOf: ({ touchedAt, idle }) => touchedAt + idle,
  })),
  "an update with a new idle timeout can set expiresAt later than endsAt": sabotaged((base) => ({
    apply(entry, changes, now) {
      base.apply(entry, changes, now);
      if (changes.idle !== undefined) entry.expiresAt = now + changes.idle;
    },
  })),
  // MongoDB's TTL index, for example, deletes expired documents once a minute.
  "a session expires only when a sweep deletes it": sabotaged(() => ({ isDead: () => false })),
  "a session expires 20 ms too early": sabotaged(() => ({
    isDead: (entry, now) => now >= entry.expiresAt - 20,
  })),
  "a session expires 20 ms too late": sabotaged(() => ({
    isDead: (entry, now) => now >= entry.expiresAt + 20,
  })),
  "read checks the expiry and update does not": sabotaged((base) => ({
    async read(id) {
      const entry = base.sessions.get(id);
      return entry && base.clock() < entry.expiresAt ? { ...entry } : null;
    },
    async update(id, changes) {
      const entry = base.sessions.get(id);
      if (entry) entry.expiresAt = Math.max(entry.expiresAt, base.clock() + 1000);
      return base.update(id, changes);
    },
  })),
  "a read restarts the idle timeout": sabotaged((base) => ({
    async read(id) {
      const entry = base.find(id, base.clock());
      if (entry) base.apply(entry, {}, base.clock());
      return base.read(id);
    },
  })),
  "an idle timeout below one second counts as one second": sabotaged((base) => ({
    newEntry: (session, now) => base.newEntry({ ...session, idle: Math.max(1000, session.idle) }, now),
  })),
  "a write of data changes createdAt": sabotaged((base) => ({
    apply(entry, changes, now) {
      base.apply(entry, changes, now);
      if (changes.data !== undefined) entry.createdAt = now;
    },
  })),
  "a touch does not restart the idle timeout": sabotaged((base) => ({
    apply(entry, changes, now) {
      const { touchedAt, expiresAt } = entry;
      base.apply(entry, changes, now);
      if (Object.keys(changes).length === 0) Object.assign(entry, { touchedAt, expiresAt });
    },
  })),
  "update ignores a new idle timeout": sabotaged((base) => ({
    apply(entry, { idle: _idle, ...changes }, now) {
      base.apply(entry, changes, now);
    },
  })),
  "an update without idle resets the idle timeout to a default": sabotaged((base) => ({
    apply(entry, changes, now) {
      base.apply(entry, { idle: 30 * 60 * 1000, ...changes }, now);
    },
  })),
  "create does not validate durations": sabotaged((base) => ({
    async create(session) {
      const { idle, lifetime } = session;
      const created = await base.create({ ...session, idle: 1000, lifetime: 1000 });
      const entry = base.sessions.get(session.id);
      if (created === "created" && entry) {
        Object.assign(entry, { idle, endsAt: entry.createdAt + lifetime });
        entry.expiresAt = base.expiryOf(entry);
      }
      return created;
    },
  })),

  // Users and their index
  "revokeUser leaves no tombstones": sabotaged((base) => ({
    async revokeUser(userId, options) {
      const ended = base.ofUser(userId, base.clock()).filter(({ id }) => id !== options?.except);
      const count = await base.revokeUser(userId, options);
      for (const { id } of ended) base.tombstones.delete(id);
      return count;
    },
  })),
  "revokeUser works from a snapshot of the index and does not check each session's user again": sabotaged(
    (base) => ({
      async revokeUser(userId, { except } = {}) {
        const ending = base.ofUser(userId, base.clock()).filter(({ id }) => id !== except);
        let count = 0;
        for (const { id } of ending) {
          await turn();
          if (await base.revoke(id)) count += 1;
        }
        return count;
      },
    }),
  ),
  "revokeUser deletes the user's whole index at its end": sabotaged((base) => ({
    async revokeUser(userId, options) {
      const count = await base.revokeUser(userId, options);
      await turn();
      base.index.get(userId)?.clear();
      return count;
    },
  })),
  "revokeUser counts sessions that another call ended": sabotaged((base) => ({
    async revokeUser(userId, options) {
      const count = base.ofUser(userId, base.clock()).filter(({ id }) => id !== options?.except).length;
      await turn();
      await base.revokeUser(userId, options);
      return count;
    },
  })),
  "revokeUser counts every entry of the index, expired or not": sabotaged((base) => ({
    async revokeUser(userId, options) {
      const count = [...(base.index.get(userId) ?? [])].filter((id) => id !== options?.except).length;
      await base.revokeUser(userId, options);
      return count;
    },
  })),
  "revokeUser returns at least 1": sabotaged((base) => ({
    revokeUser: async (userId, options) => Math.max(1, await base.revokeUser(userId, options)),
  })),
  "revokeUser spares the latest session": sabotaged((base) => ({
    sessionsToEnd: (...given) => base.sessionsToEnd(...given).slice(0, -1),
  })),
  "revokeUser spares the session in `except` of a concurrent call": sabotaged((base) => {
    const excepted = new Set<string | undefined>();
    return {
      sessionsToEnd: (...given) => base.sessionsToEnd(...given).filter(({ id }) => !excepted.has(id)),
      async revokeUser(userId, options) {
        excepted.add(options?.except);
        await turn();
        const count = await base.revokeUser(userId, options);
        excepted.delete(options?.except);
        return count;
      },
    };
  }),
  "revokeUser also ends the session whose id equals the user id": sabotaged((base) => ({
    async revokeUser(userId, options) {
      await base.revoke(userId);
      return base.revokeUser(userId, options);
    },
  })),
  "revokeUser ignores `except`": sabotaged((base) => ({ revokeUser: (userId) => base.revokeUser(userId) })),
  "revokeUser ends nothing if `except` is not a session of the user": sabotaged((base) => ({
    async revokeUser(userId, { except } = {}) {
      if (except !== undefined && base.sessions.get(except)?.userId !== userId) return 0;
      return base.revokeUser(userId, except === undefined ? {} : { except });
    },
  })),
  "revokeUser removes the session in `except` from the index": sabotaged((base) => ({
    async revokeUser(userId, options) {
      const count = await base.revokeUser(userId, options);
      if (options?.except !== undefined) base.index.get(userId)?.delete(options.except);
      return count;
    },
  })),
  "revokeUser also ends the sessions of users whose ids begin with the given user id": sabotaged((base) => ({
    ofUser: (userId, now) =>
      [...base.sessions.values()].filter((entry) => {
        return entry.userId?.startsWith(userId) && base.find(entry.id, now);
      }),
    async listUser(userId) {
      return (await base.listUser(userId)).filter((record) => record.userId === userId);
    },
  })),
  "revokeUser ends only the first 1,000 sessions": sabotaged((base) => ({
    sessionsToEnd: (...given) => base.sessionsToEnd(...given).slice(0, 1000),
  })),
  "revokeUser ends only the first 10,000 sessions": sabotaged((base) => ({
    sessionsToEnd: (...given) => base.sessionsToEnd(...given).slice(0, 10_000),
  })),
  "listUser returns only the first 1,000 sessions": sabotaged((base) => ({
    async listUser(userId) {
      return (await base.listUser(userId)).slice(0, 1000);
    },
  })),
  "users whose ids have the same 12-bit hash share one list": sabotagedKeys({
    userKey(userId) {
      let hash = 7;
      for (let at = 0; at < userId.length; at += 1) hash = (31 * hash + userId.charCodeAt(at)) & 0xfff;
      return `${hash}`;
    },
  }),
  "a revoked session stays in the list of a user with many sessions": sabotaged(listRevoked(50)),
  "listUser returns records without data": sabotaged((base) => ({
    listUser: async (userId) =>
      (await base.listUser(userId)).map((record) => Object.assign(record, { data: "" })),
  })),
  "listUser rejects for a user without sessions": sabotaged((base) => ({
    async listUser(userId) {
      const records = await base.listUser(userId);
      if (records.length === 0) throw new Error("no such user");
      return records;
    },
  })),
  "listUser returns expired sessions": sabotaged((base) => ({
    async listUser(userId) {
      const keys = [...(base.index.get(userId) ?? [])];
      return keys
        .map((key) => base.sessions.get(key))
        .filter((entry) => entry !== undefined)
        .map(recordOf)
        .toSorted((a, b) => a.createdAt - b.createdAt);
    },
  })),
  "listUser returns revoked sessions": sabotaged(listRevoked(0)),
  "listUser returns the newest session first": sabotaged((base) => ({
    async listUser(userId) {
      return (await base.listUser(userId)).toReversed();
    },
  })),
  "listUser orders sessions by touchedAt": sabotaged((base) => ({
    async listUser(userId) {
      return (await base.listUser(userId)).toSorted((a, b) => a.touchedAt - b.touchedAt);
    },
  })),
  "an update that changes the user leaves the index entry of the old user": sabotaged((base) => ({
    apply(entry, changes, now) {
      const { userId } = entry;
      base.apply(entry, changes, now);
      if (userId !== null) base.index.get(userId)?.add(entry.id);
    },
  })),
  "an update that changes the user adds no index entry for the new user": sabotaged((base) => ({
    apply(entry, changes, now) {
      const { userId } = entry;
      base.apply(entry, changes, now);
      if (entry.userId !== null && entry.userId !== userId) base.index.get(entry.userId)?.delete(entry.id);
    },
  })),
  "an update that changes the user removes the index entry of the old user late": sabotaged((base) => ({
    async update(id, changes) {
      const before = base.find(id, base.clock())?.userId;
      const result = await base.update(id, changes);
      if (result === "updated" && changes.userId !== undefined && typeof before === "string") {
        if (before === changes.userId) return result;
        await turn();
        base.index.get(before)?.delete(id);
      }
      return result;
    },
  })),
  "an update that unbinds ignores its other changes": sabotaged((base) => ({
    apply: (entry, changes, now) => {
      base.apply(entry, changes.userId === null ? { userId: null } : changes, now);
    },
  })),
  "an update that binds and restarts the lifetime ignores touch: false": sabotaged((base) => ({
    apply(entry, { touch, ...changes }, now) {
      const binds = typeof changes.userId === "string" && changes.lifetime !== undefined;
      base.apply(entry, binds || touch === undefined ? changes : { touch, ...changes }, now);
    },
  })),
  "update treats userId null as absent": sabotaged((base) => ({
    update(id, { userId, ...changes }) {
      return base.update(id, userId ? { ...changes, userId } : changes);
    },
  })),
  "an update whose userId is undefined unbinds the session": sabotaged((base) => ({
    update(id, changes) {
      return base.update(id, "userId" in changes ? { ...changes, userId: changes.userId ?? null } : changes);
    },
  })),
  "update takes any touch for a boolean": sabotaged((base) => ({
    update(id, changes) {
      const touch: unknown = changes.touch ?? true;
      return base.update(id, { ...changes, touch: Boolean(touch) });
    },
  })),
  "an update that conflicts still adds an index entry": sabotaged((base) => ({
    async update(id, changes) {
      const result = await base.update(id, changes);
      const userId = changes.userId;
      const entry = base.find(id, base.clock());
      if (result === "conflict" && typeof userId === "string" && entry) base.addToIndex({ ...entry, userId });
      return result;
    },
  })),
  "a create of a taken id still adds an index entry": sabotaged((base) => ({
    async create(session) {
      const created = await base.create(session);
      const entry = base.find(session.id, base.clock());
      if (created === "taken" && entry) base.addToIndex({ ...entry, userId: session.userId });
      return created;
    },
  })),

  // Create and update
  "create overwrites a live session": sabotaged((base) => ({
    async create(session) {
      const entry = base.find(session.id, base.clock());
      if (entry) {
        base.removeFromIndex(entry);
        base.sessions.delete(session.id);
      }
      return base.create(session);
    },
  })),
  "create of an expired id continues its version": sabotaged((base) => ({
    async create(session) {
      const expired = base.sessions.get(session.id)?.version ?? 0;
      const result = await base.create(session);
      if (result === "created") base.sessions.get(session.id)!.version += expired;
      return result;
    },
  })),
  "create checks for a live session, and writes in a later step": sabotaged((base) => ({
    async create(session) {
      if (base.find(session.id, base.clock())) return "taken";
      await turn();
      const entry = base.find(session.id, base.clock());
      if (entry) {
        base.removeFromIndex(entry);
        base.sessions.delete(session.id);
      }
      return base.create(session);
    },
  })),
  "update compares the version, and writes in a later step": sabotaged((base) => ({
    async update(id, { ifVersion, ...changes }) {
      const entry = base.find(id, base.clock());
      if (entry && ifVersion !== undefined && ifVersion !== entry.version) return "conflict";
      if (ifVersion !== undefined) await turn();
      return base.update(id, changes);
    },
  })),
  "a touch writes back the whole record that it read": sabotaged((base) => ({
    async update(id, changes) {
      if (Object.keys(changes).length > 0) return base.update(id, changes);
      const before = base.find(id, base.clock());
      const copy = before && { ...before };
      await turn();
      const result = await base.update(id, changes);
      const entry = base.find(id, base.clock());
      if (copy && entry) {
        base.removeFromIndex(entry);
        const { userId, data, idle, version } = copy;
        Object.assign(entry, { userId, data, idle, version });
        base.addToIndex(entry);
      }
      return result;
    },
  })),
  "update computes the new version from an earlier read": sabotaged((base) => ({
    async update(id, changes) {
      const version = base.find(id, base.clock())?.version;
      await turn();
      const result = await base.update(id, changes);
      const entry = base.find(id, base.clock());
      if (result === "updated" && version !== undefined && entry) {
        entry.version = version + base.versionStep(changes, entry);
      }
      return result;
    },
  })),
  "an update is written in two steps": sabotaged((base) => ({
    async update(id, changes) {
      const { userId, idle, ifVersion, ...first } = changes;
      if (userId === undefined || changes.data === undefined) return base.update(id, changes);
      const result = await base.update(id, ifVersion === undefined ? first : { ...first, ifVersion });
      await turn();
      const entry = base.find(id, base.clock());
      if (result === "updated" && entry) {
        base.apply(entry, idle === undefined ? { userId } : { userId, idle }, base.clock());
        entry.version -= 1;
      }
      return result;
    },
  })),
  "an update that conflicts restarts the idle timeout": sabotaged((base) => ({
    async update(id, changes) {
      const result = await base.update(id, changes);
      const entry = base.find(id, base.clock());
      if (result === "conflict" && entry) base.apply(entry, {}, base.clock());
      return result;
    },
  })),
  "update returns conflict for a session that is gone": sabotaged((base) => ({
    async update(id, changes) {
      const result = await base.update(id, changes);
      return result === "gone" && changes.ifVersion !== undefined ? "conflict" : result;
    },
  })),
  "update returns gone for a conflict": sabotaged((base) => ({
    async update(id, changes) {
      const result = await base.update(id, changes);
      return result === "conflict" ? "gone" : result;
    },
  })),
  "update ignores ifVersion": sabotaged((base) => ({
    update: (id, { ifVersion: _ifVersion, ...changes }) => base.update(id, changes),
  })),
  "update ignores an ifVersion of 0": sabotaged((base) => ({
    update(id, { ifVersion, ...changes }) {
      return base.update(id, ifVersion ? { ...changes, ifVersion } : changes);
    },
  })),
  "the version grows with a touch": sabotaged(() => ({ versionStep: () => 1 })),
  "the version grows by 2 with data and userId": sabotaged(() => ({
    versionStep: ({ data, userId }) => Number(data !== undefined) + Number(userId !== undefined),
  })),
  "the version does not grow with unchanged values": sabotaged(() => ({
    versionStep: ({ data, userId, lifetime, authenticatedAt }, entry) =>
      (data ?? entry.data) !== entry.data ||
      (userId ?? entry.userId) !== entry.userId ||
      lifetime !== undefined ||
      authenticatedAt !== undefined
        ? 1
        : 0,
  })),
  "the version begins at 0": sabotaged((base) => ({
    newEntry: (session, now) => ({ ...base.newEntry(session, now), version: 0 }),
  })),
  "update ignores empty data": sabotaged((base) => ({
    update(id, { data, ...changes }) {
      return base.update(id, data ? { ...changes, data } : changes);
    },
  })),
  "a write of data is acknowledged before it is made": sabotaged((base) => ({
    async update(id, changes) {
      if (changes.data === undefined || changes.ifVersion !== undefined) return base.update(id, changes);
      if (!(await base.read(id))) return "gone";
      setImmediate(() => void base.update(id, changes));
      return "updated";
    },
  })),
  "a touch is acknowledged half a second before it is made": sabotaged((base) => ({
    async update(id, changes) {
      if (Object.keys(changes).length > 0) return base.update(id, changes);
      if (!(await base.read(id))) return "gone";
      setTimeout(() => void base.update(id, changes), 500);
      return "updated";
    },
  })),
  "each process has a separate backend": () => ({
    open: () => modularStore(),
    unreachable: null,
    mixedUp: null,
  }),
  "each process caches what it reads for five seconds": sabotagedCaches(5000),

  // Strings
  "lone surrogates in ids and users are replaced": sabotagedTexts((text) => text.toWellFormed()),
  "ids and users are truncated at NUL": sabotagedTexts((text) => text.split("\u0000")[0]!),
  "NUL is removed from ids": sabotaged((base) => ({
    decode: (_id, value) => value as Entry | undefined,
    newEntry(session, now) {
      return Object.assign(base.newEntry(session, now), { id: session.id.replaceAll("\u0000", "") });
    },
  })),
  "NUL is removed from users": sabotaged((base) => ({
    newEntry(session, now) {
      const { userId } = session;
      return base.newEntry({ ...session, userId: userId?.replaceAll?.("\u0000", "") ?? userId }, now);
    },
    apply(entry, changes, now) {
      const { userId } = changes;
      base.apply(entry, userId ? { ...changes, userId: userId.replaceAll("\u0000", "") } : changes, now);
    },
  })),
  "ids and users are truncated to 255 characters": sabotagedTexts((text) => text.slice(0, 255)),
  "ids and users are trimmed": sabotagedTexts((text) => text.trim()),
  "ids are compared case-insensitively": sabotagedKeys({ idKey: (id) => id.toLowerCase() }),
  "users are compared case-insensitively": sabotagedKeys({ userKey: (userId) => userId.toLowerCase() }),
  "ids that are equal as numbers are one id": sabotagedKeys({ idKey: numberIn }),
  "users that are equal as numbers are one user": sabotagedKeys({ userKey: numberIn }),
  "ids are normalized to NFKC": sabotagedKeys({ idKey: (id) => id.normalize("NFKC") }),
  "users are normalized to NFC": sabotagedKeys({ userKey: (userId) => userId.normalize("NFC") }),
  "data is trimmed": sabotaged(() => ({ storedData: (data) => data.trim() })),
  "data is truncated to 65,535 characters": sabotaged(() => ({
    storedData: (data) => data.slice(0, 65_535),
  })),
  "data that looks like an expression of a query language is evaluated": sabotaged(() => ({
    storedData: (data) => (data.startsWith("$$") ? String(Date.now()) : data),
  })),
  "data is used as a replacement pattern": sabotaged(() => ({
    storedData: (data) => "?".replace("?", data),
  })),
  "an anonymous session is stored with the empty user": sabotaged((base) => ({
    create: (session) => base.create({ ...session, userId: session.userId ?? "" }),
  })),
  "the empty user has no fence": sabotaged((base) => ({
    setFence: (userId, instant) => {
      if (userId !== "") base.setFence(userId, instant);
    },
  })),
  "a session of the empty user is stored as anonymous": sabotaged((base) => ({
    create: (session) => base.create({ ...session, userId: session.userId || null }),
  })),
  "anonymous sessions belong to a user called null": sabotaged((base) => ({
    addToIndex: (entry) => base.addToIndex({ ...entry, userId: entry.userId ?? "null" }),
    ofUser: (userId, now) =>
      [...(base.index.get(userId) ?? [])]
        .map((key) => base.find(key, now))
        .filter((entry) => entry !== undefined),
  })),
  "the index of users is an object that inherits from Object.prototype": sabotaged((base) => ({
    addToIndex(entry) {
      if (entry.userId !== null && entry.userId in {}) return;
      base.addToIndex(entry);
    },
  })),
  "an index entry is named by the user and the id joined with a colon": sabotaged((base) => {
    const joined = new Map<string, Entry>();
    return {
      addToIndex(entry) {
        if (entry.userId !== null) joined.set(`${entry.userId}:${entry.id}`, entry);
      },
      removeFromIndex(entry) {
        if (entry.userId !== null) joined.delete(`${entry.userId}:${entry.id}`);
      },
      ofUser: (userId, now) =>
        [...joined.values()].filter((entry) => entry.userId === userId && base.find(entry.id, now)),
    };
  }),
  "create converts values to strings": sabotaged((base) => ({
    create(session) {
      const { userId, data } = session;
      return base.create({
        ...session,
        userId: userId === null ? null : ["", userId].join(""),
        data: ["", data].join(""),
      });
    },
  })),
  "read accepts an object as a query": sabotaged((base) => ({
    async read(id) {
      if (typeof id === "string") return base.read(id);
      for (const entry of base.sessions.values()) if (base.find(entry.id, base.clock())) return { ...entry };
      return null;
    },
  })),

  // Scan, clock and shape
  "scan misses anonymous sessions": sabotaged((base) => ({
    async *scan() {
      for await (const record of base.scan()) if (record.userId !== null) yield record;
    },
  })),
  "scan yields each session twice": sabotaged((base) => ({
    async *scan() {
      for await (const record of base.scan()) yield* [record, record];
    },
  })),
  "scan yields dead sessions": sabotaged((base) => ({
    async *scan() {
      yield* [...base.sessions.values()].map(recordOf);
    },
  })),
  "scan misses sessions that are written during the scan": sabotaged((base) => ({
    async *scan() {
      const versions = new Map([...base.sessions].map(([id, { version }]) => [id, version]));
      await sleep(5);
      for await (const record of base.scan()) if (versions.get(record.id) === record.version) yield record;
    },
  })),
  "now() returns the clock of an application server that is ten minutes slow": sabotaged((base) => ({
    now: async () => base.clock() - 600_000,
  })),
  "now() returns seconds": sabotaged((base) => ({ now: async () => Math.floor(base.clock() / 1000) })),
  "read returns a record with a field of the backend": sabotaged((base) => ({
    async read(id) {
      const record = await base.read(id);
      return record && { ...record, _id: id };
    },
  })),
  "update rejects for a dead session": sabotaged((base) => ({
    async update(id, changes) {
      const result = await base.update(id, changes);
      if (result === "gone") throw new Error("no such session");
      return result;
    },
  })),

  // The login fence
  "revokeUser sets no fence": sabotaged(() => ({ setFence: () => {} })),
  "a login checks the fence, and writes in a later step": sabotaged((base) => ({
    isRefused: () => false,
    async create(session) {
      const { userId, authenticatedAt } = session;
      if (userId !== null && base.isRefused(userId, authenticatedAt, base.clock())) return "fenced";
      await turn();
      return base.create(session);
    },
    async update(id, changes) {
      const entry = base.find(id, base.clock());
      const { userId, authenticatedAt } = changes;
      if (entry && userId && base.isRefused(userId, authenticatedAt, base.clock())) {
        base.end(id, entry, base.clock());
        return "fenced";
      }
      await turn();
      return base.update(id, changes);
    },
  })),
  "revokeUser ends the sessions, and sets the fence in a later step": sabotaged((base) => ({
    async revokeUser(userId, options) {
      const before = base.fenceOf(userId);
      const revoking = base.revokeUser(userId, options);
      const fence = base.fenceOf(userId);
      base.fences.set(userId, before);
      await turn();
      base.setFence(userId, fence);
      return revoking;
    },
  })),
  "revokeUser resolves before the clock has passed the fence": sabotaged(() => ({
    waitUntilPast: async () => {},
  })),
  "a login without authenticatedAt is refused for a second after revokeUser": sabotaged((base) => ({
    isRefused: (userId, authenticatedAt, now) => base.isRefused(userId, authenticatedAt ?? now - 1000, now),
    isRefusedUpdate: (entry, changes, now) =>
      base.isRefusedUpdate(
        entry,
        changes.userId ? { authenticatedAt: now - 1000, ...changes } : changes,
        now,
      ),
  })),
  "revokeUser ends sessions authenticated up to the present, even if the last fence is later": sabotaged(
    (base) => ({
      async revokeUser(userId, options = {}) {
        const authenticatedUpTo = options.authenticatedUpTo ?? base.clock();
        return base.revokeUser(userId, { ...options, authenticatedUpTo });
      },
    }),
  ),
  "a login at the instant of the fence is accepted": sabotaged((base) => ({
    isRefused: (userId, authenticatedAt, now) =>
      base.isRefused(userId, authenticatedAt === undefined ? undefined : authenticatedAt + 1, now),
  })),
  "revokeUser ignores authenticatedUpTo": sabotaged((base) => ({
    async revokeUser(userId, { authenticatedUpTo, ...options } = {}) {
      if (authenticatedUpTo === undefined || authenticatedUpTo > base.clock() || !(authenticatedUpTo > 0)) {
        return base.revokeUser(
          userId,
          authenticatedUpTo === undefined ? options : { ...options, authenticatedUpTo },
        );
      }
      return base.revokeUser(userId, options);
    },
  })),
  "revokeUser spares sessions authenticated exactly at authenticatedUpTo": sabotaged((base) => ({
    sessionsToEnd: (userId, options, instant, now) =>
      base.sessionsToEnd(
        userId,
        options,
        options.authenticatedUpTo === undefined ? instant : instant - 1,
        now,
      ),
  })),
  "an authenticatedUpTo in the future counts as now": sabotaged((base) => ({
    async revokeUser(userId, options = {}) {
      const { authenticatedUpTo: upTo, ...rest } = options;
      return base.revokeUser(userId, upTo !== undefined && upTo > base.clock() ? rest : options);
    },
  })),
  "an authenticatedUpTo in the future is refused only after the fence is written": sabotaged((base) => ({
    async revokeUser(userId, options = {}) {
      if (Number.isSafeInteger(options.authenticatedUpTo))
        base.setFence(userId, options.authenticatedUpTo ?? 0);
      return base.revokeUser(userId, options);
    },
  })),
  "create treats an invalid authenticatedAt as absent": sabotaged((base) => ({
    async create({ authenticatedAt, ...session }) {
      return base.create(
        Number.isSafeInteger(authenticatedAt) && authenticatedAt ? { ...session, authenticatedAt } : session,
      );
    },
  })),
  "a later revokeUser can lower the fence": sabotaged((base) => ({
    setFence: (userId, instant) => void base.fences.set(userId, instant),
  })),
  "revokeUser reads the fence, and writes it in a later step": sabotaged((base) => ({
    async revokeUser(userId, options) {
      const before = base.fenceOf(userId);
      await turn();
      base.fences.set(userId, before);
      return base.revokeUser(userId, options);
    },
  })),
  "a login of any age is accepted": sabotaged(() => ({ isTooOld: () => false })),
  "an update for the session's own user accepts an authenticatedAt of any age": sabotaged((base) => ({
    isRefusedUpdate: (entry, changes, now) =>
      changes.userId !== entry.userId && base.isRefusedUpdate(entry, changes, now),
  })),
  "a login older than a minute is refused": sabotaged(() => ({
    isTooOld: (authenticatedAt, now) => authenticatedAt <= now - 60_000,
  })),
  "a fence also applies to users whose ids begin with its user id": sabotaged((base) => ({
    fenceOf: (userId) =>
      Math.max(-1, ...[...base.fences].filter(([key]) => userId.startsWith(key)).map(([, at]) => at)),
  })),
  "a fence applies to every user": sabotaged((base) => ({
    fenceOf: () => Math.max(-1, ...[...base.fences.values()].slice(-5)),
  })),
  "a fenced update leaves the session alive": sabotaged((base) => ({
    async update(id, changes) {
      const entry = base.find(id, base.clock());
      const { ifVersion = entry?.version } = changes;
      const isRefused =
        entry && ifVersion === entry.version && base.isRefusedUpdate(entry, changes, base.clock());
      return isRefused ? "fenced" : base.update(id, changes);
    },
  })),
  "a fenced update leaves no tombstone": sabotaged((base) => ({
    async update(id, changes) {
      const result = await base.update(id, changes);
      if (result === "fenced") base.tombstones.delete(id);
      return result;
    },
  })),
  "a fenced create is stored": sabotaged((base) => ({
    async create(session) {
      const result = await base.create(session);
      const { authenticatedAt: _authenticatedAt, ...given } = session;
      if (result === "fenced") await base.create(given);
      return result;
    },
  })),
  "create returns fenced for a taken id": sabotaged((base) => ({
    async create(session) {
      const { userId, authenticatedAt } = session;
      if (userId !== null && base.isRefused(userId, authenticatedAt, base.clock())) return "fenced";
      return base.create(session);
    },
  })),
  "update returns fenced for a conflict": sabotaged((base) => ({
    async update(id, changes) {
      const entry = base.find(id, base.clock());
      if (entry && base.isRefusedUpdate(entry, changes, base.clock())) return "fenced";
      return base.update(id, changes);
    },
  })),
  "an update that repeats the session's user is a binding": sabotaged((base) => ({
    isRefusedUpdate: (entry, { userId, authenticatedAt = entry.authenticatedAt ?? undefined }, now) =>
      typeof userId === "string" && base.isRefused(userId, authenticatedAt, now),
  })),
  "an update that repeats the session's user renews authenticatedAt": sabotaged((base) => ({
    authenticatedAtAfter: (entry, changes, now) =>
      changes.userId
        ? base.authenticatedAtAfter({ ...entry, userId: null }, changes, now)
        : base.authenticatedAtAfter(entry, changes, now),
  })),
  "a session that was once in `except` is never fenced": sabotaged((base) => {
    const excepted = new Set<string | undefined>();
    return {
      async revokeUser(userId, options) {
        excepted.add(options?.except);
        return base.revokeUser(userId, options);
      },
      isRefusedUpdate: (entry, changes, now) =>
        !excepted.has(entry.id) && base.isRefusedUpdate(entry, changes, now),
    };
  }),
  "revokeUser ends the session in `except` if it is written during the call": sabotaged((base) => ({
    async revokeUser(userId, options = {}) {
      const excepted = base.find(options.except ?? "", base.clock());
      const version = excepted?.version;
      await turn();
      const { except: _except, ...rest } = options;
      return base.revokeUser(userId, excepted?.version === version ? options : rest);
    },
  })),
  "authenticatedAt stays when the session loses its user": sabotaged((base) => ({
    authenticatedAtAfter: (entry, changes, now) =>
      base.authenticatedAtAfter(entry, changes, now) ?? entry.authenticatedAt,
  })),
  "an anonymous session stores the authenticatedAt of an update": sabotaged((base) => ({
    authenticatedAtAfter: (entry, changes, now) =>
      base.authenticatedAtAfter(entry, changes, now) ?? changes.authenticatedAt ?? null,
  })),
  "an authenticatedAt in the future is stored": sabotaged((base) => ({
    loginTime: (userId, authenticatedAt, now) => authenticatedAt ?? base.loginTime(userId, undefined, now),
  })),
  "authenticatedAt is rounded down to seconds": sabotaged((base) => ({
    loginTime: (...given) => 1000 * Math.floor(base.loginTime(...given) / 1000),
  })),
  "an update can decrease authenticatedAt": sabotaged((base) => ({
    authenticatedAtAfter: (entry, changes, now) =>
      changes.authenticatedAt === undefined
        ? base.authenticatedAtAfter(entry, changes, now)
        : base.authenticatedAtAfter({ ...entry, authenticatedAt: 0 }, changes, now),
  })),
  "an update that changes the user can decrease authenticatedAt": sabotaged((base) => ({
    authenticatedAtAfter: (entry, changes, now) =>
      typeof changes.userId === "string" && changes.userId !== entry.userId
        ? base.loginTime(changes.userId, changes.authenticatedAt, now)
        : base.authenticatedAtAfter(entry, changes, now),
  })),

  // Login and touch
  "update ignores touch: false": sabotaged((base) => ({
    apply(entry, { touch: _touch, ...changes }, now) {
      base.apply(entry, changes, now);
    },
  })),
  "update treats touch: true as false": sabotaged((base) => ({
    apply(entry, changes, now) {
      base.apply(entry, changes.touch === undefined ? changes : { ...changes, touch: false }, now);
    },
  })),
  "a new idle timeout with touch: false counts from now": sabotaged((base) => ({
    apply(entry, changes, now) {
      base.apply(entry, changes, now);
      if (changes.idle !== undefined) entry.expiresAt = Math.min(now + changes.idle, entry.endsAt);
    },
  })),
  "update ignores lifetime": sabotaged((base) => ({
    apply(entry, { lifetime, ...changes }, now) {
      base.apply(entry, changes, now);
      if (lifetime !== undefined) entry.version += 1;
    },
  })),
  "the lifetime in an update counts from the creation of the session": sabotaged((base) => ({
    apply(entry, changes, now) {
      base.apply(entry, changes, now);
      if (changes.lifetime !== undefined) entry.endsAt = entry.createdAt + changes.lifetime;
      entry.expiresAt = base.expiryOf(entry);
    },
  })),
  "the lifetime in an update never shortens the session's life": sabotaged((base) => ({
    apply(entry, changes, now) {
      const { endsAt } = entry;
      base.apply(entry, changes, now);
      entry.endsAt = Math.max(entry.endsAt, endsAt);
      entry.expiresAt = base.expiryOf(entry);
    },
  })),
  "an update with lifetime ignores touch: false": sabotaged((base) => ({
    apply(entry, changes, now) {
      base.apply(entry, changes.lifetime === undefined ? changes : { ...changes, touch: true }, now);
    },
  })),
  "an update that conflicts restarts the lifetime": sabotaged((base) => ({
    async update(id, changes) {
      const result = await base.update(id, changes);
      const entry = base.find(id, base.clock());
      if (result === "conflict" && entry && changes.lifetime) entry.endsAt = base.clock() + changes.lifetime;
      return result;
    },
  })),
  "idle timeouts wrap around at 31 bits": sabotaged((base) => ({
    newEntry: (session, now) => base.newEntry({ ...session, idle: session.idle % 2 ** 31 || 1 }, now),
  })),

  // More faults
  "a second revoke deletes the tombstone": sabotaged((base) => ({
    async revoke(id) {
      if (!base.hasTombstone(id, base.clock())) return base.revoke(id);
      base.tombstones.delete(id);
      return false;
    },
  })),
  "a tombstone of revokeUser lasts only until the session's endsAt": sabotaged((base) => ({
    async revokeUser(userId, options = {}) {
      const ending = base.sessionsToEnd(userId, options, base.clock(), base.clock());
      const count = await base.revokeUser(userId, options);
      for (const { id, endsAt } of ending) base.tombstones.set(id, endsAt);
      return count;
    },
  })),
  "revokeUser spares a session that is written during the call": sabotaged((base) => ({
    async revokeUser(userId, options = {}) {
      const seen = base.ofUser(userId, base.clock()).map(recordOf);
      await turn();
      const spared = new Set(
        seen
          .filter(({ id, touchedAt, version }) => {
            const entry = base.sessions.get(id);
            return entry && (entry.touchedAt !== touchedAt || entry.version !== version);
          })
          .map(({ id }) => id),
      );
      let count = 0;
      for (const { id } of seen) {
        if (id !== options.except && !spared.has(id) && (await base.revoke(id))) count += 1;
      }
      return count;
    },
  })),
  "revokeUser also spares sessions newer than the one in `except`": sabotaged((base) => ({
    sessionsToEnd(userId, options, instant, now) {
      const excepted = base.sessions.get(options.except ?? "");
      return base
        .sessionsToEnd(userId, options, instant, now)
        .filter(({ createdAt }) => excepted?.userId !== userId || createdAt <= excepted.createdAt);
    },
  })),
  "an index entry expires with the session's first idle timeout": sabotaged((base) => {
    const until = new Map<string, number>();
    return {
      addToIndex(entry) {
        base.addToIndex(entry);
        until.set(entry.id, base.clock() + entry.idle);
      },
      ofUser: (userId, now) => base.ofUser(userId, now).filter(({ id }) => now < (until.get(id) ?? 0)),
    };
  }),
  "binding a session to its own user again removes the index entry": sabotaged((base) => ({
    apply(entry, changes, now) {
      const { userId } = entry;
      base.apply(entry, changes, now);
      if (changes.userId !== undefined && changes.userId === userId) base.removeFromIndex(entry);
    },
  })),
  "the version wraps around at 256": sabotaged((base) => ({
    versionStep: (changes, entry) => base.versionStep(changes, entry) * (entry.version === 255 ? -255 : 1),
  })),
  "reads share a batch in which a repeated id shifts the results": sabotaged((base) => ({
    read: inBatches(
      (ids: readonly string[]) => Promise.all([...new Set(ids)].map((id) => base.read(id))),
      null,
    ),
  })),
  "calls of listUser share a batch whose results are in the order of the user ids": sabotaged((base) => ({
    listUser: inBatches(
      (users: readonly string[]) => Promise.all(users.toSorted().map((userId) => base.listUser(userId))),
      [],
    ),
  })),
  "touches share a batch in which one gone session makes all results gone": sabotaged((base) => {
    const touch = inBatches(async (ids: readonly string[]) => {
      const results = await Promise.all(ids.map((id) => base.update(id, {})));
      return results.map(() => (results.includes("gone") ? "gone" : "updated"));
    }, "gone" as const);
    return {
      update: async (id, changes) =>
        Object.keys(changes).length === 0 ? touch(id) : base.update(id, changes),
    };
  }),
  "each process caches what it reads for 20 ms": sabotagedCaches(20),

  // Faults that earlier sentences missed
  "a session expires one millisecond too late": sabotaged(() => ({
    isDead: (entry, now) => now > entry.expiresAt,
  })),
  "listUser leaves out sessions 100 ms before they expire": sabotaged((base) => ({
    async listUser(userId) {
      const now = base.clock();
      return (await base.listUser(userId)).filter(({ expiresAt }) => now < expiresAt - 100);
    },
  })),
  // A share of the idle timeout, because the suite uses longer timeouts on a slow machine.
  "revokeUser spares a session in the last quarter of its idle timeout": sabotaged((base) => ({
    sessionsToEnd: (userId, options, instant, now) =>
      base
        .sessionsToEnd(userId, options, instant, now)
        .filter(({ idle, expiresAt }) => now < expiresAt - idle / 4),
  })),
  "create of an expired id keeps the old authenticatedAt": sabotaged((base) => ({
    async create(session) {
      const { authenticatedAt = null } = base.sessions.get(session.id) ?? {};
      const result = await base.create(session);
      if (result === "created" && authenticatedAt !== null) {
        base.sessions.get(session.id)!.authenticatedAt = authenticatedAt;
      }
      return result;
    },
  })),
  "a touch between the read and the write of an update is taken for a conflict": sabotaged((base) => ({
    async update(id, changes) {
      const before = base.find(id, base.clock())?.touchedAt;
      await sleep(2);
      const after = base.find(id, base.clock())?.touchedAt;
      const isTouched = before !== undefined && after !== undefined && before !== after;
      return isTouched && changes.ifVersion !== undefined ? "conflict" : base.update(id, changes);
    },
  })),
  "create keeps the object that it was given": sabotaged((base) => {
    const given = new Map<string, { readonly data: string }>();
    return {
      async create(session) {
        given.set(session.id, session);
        return base.create(session);
      },
      async read(id) {
        const record = await base.read(id);
        return record?.version === 1 ? { ...record, data: given.get(id)!.data } : record;
      },
    };
  }),
  "read returns the stored object itself": sabotaged((base) => ({
    read: async (id) => base.find(id, base.clock()) ?? null,
  })),
  "scan yields the stored objects themselves": sabotaged((base) => ({
    async *scan() {
      for (const entry of base.sessions.values()) if (!base.isDead(entry, base.clock())) yield entry;
    },
  })),
  "an update with touch: false leaves expiresAt unchanged": sabotaged((base) => ({
    apply(entry, changes, now) {
      const { expiresAt } = entry;
      base.apply(entry, changes, now);
      if (changes.touch === false && changes.idle === undefined) entry.expiresAt = expiresAt;
    },
  })),
  "touch: false is ignored if ifVersion is given": sabotaged((base) => ({
    apply(entry, changes, now) {
      base.apply(entry, changes.ifVersion === undefined ? changes : { ...changes, touch: true }, now);
    },
  })),
  "a session never expires after an update that gives it a user": sabotaged((base) => {
    const forever = new Set<string>();
    return {
      apply(entry, changes, now) {
        base.apply(entry, changes, now);
        if (changes.userId) forever.add(entry.id);
      },
      isDead: (entry, now) => !forever.has(entry.id) && base.isDead(entry, now),
    };
  }),
  "a session dies at its first endsAt, whatever lifetime an update gives": sabotaged((base) => {
    const first = new Map<string, number>();
    return {
      newEntry(session, now) {
        first.set(session.id, now + session.lifetime);
        return base.newEntry(session, now);
      },
      isDead: (entry, now) => base.isDead(entry, now) || now >= first.get(entry.id)!,
    };
  }),
  "the durations in an update wrap around at 31 bits": sabotaged((base) => ({
    apply(entry, { idle, lifetime, ...changes }, now) {
      const wrapped = (duration: number): number => duration % 2 ** 31 || 1;
      base.apply(
        entry,
        {
          ...changes,
          ...(idle === undefined ? {} : { idle: wrapped(idle) }),
          ...(lifetime === undefined ? {} : { lifetime: wrapped(lifetime) }),
        },
        now,
      );
    },
  })),
  "a fence lasts only two seconds": sabotaged((base) => {
    const setAt = new Map<string, number>();
    return {
      setFence(userId, instant) {
        base.setFence(userId, instant);
        setAt.set(userId, base.clock());
      },
      fenceOf: (userId) => (base.clock() < (setAt.get(userId) ?? 0) + 2000 ? base.fenceOf(userId) : -1),
    };
  }),
  "the tombstone of a fenced update lasts only two seconds": sabotaged((base) => ({
    async update(id, changes) {
      const result = await base.update(id, changes);
      if (result === "fenced") base.tombstones.set(id, base.clock() + 2000);
      return result;
    },
  })),
  "revokeUser leaves tombstones for the first 1,000 sessions only": sabotaged((base) => ({
    async revokeUser(userId, options) {
      const later = base.ofUser(userId, base.clock()).slice(1000);
      const count = await base.revokeUser(userId, options);
      for (const { id } of later) base.tombstones.delete(id);
      return count;
    },
  })),
  "an authenticatedUpTo of 0 counts as absent": sabotaged((base) => ({
    async revokeUser(userId, { authenticatedUpTo, ...options } = {}) {
      const given = authenticatedUpTo === 0 ? undefined : authenticatedUpTo;
      return base.revokeUser(
        userId,
        given === undefined ? options : { ...options, authenticatedUpTo: given },
      );
    },
  })),
  "an authenticatedAt of 0 counts as absent": sabotaged((base) => ({
    async create({ authenticatedAt, ...session }) {
      const isGiven = authenticatedAt !== undefined && authenticatedAt !== 0;
      return base.create(isGiven ? { ...session, authenticatedAt } : session);
    },
  })),
  "`except` also spares sessions whose ids begin with it": sabotaged((base) => ({
    sessionsToEnd: (userId, { except = "-", ...options }, instant, now) =>
      base.sessionsToEnd(userId, options, instant, now).filter(({ id }) => !id.startsWith(except)),
  })),
  "`except` is compared case-insensitively": sabotaged((base) => ({
    sessionsToEnd: (userId, { except, ...options }, instant, now) =>
      base
        .sessionsToEnd(userId, options, instant, now)
        .filter(({ id }) => id.toLowerCase() !== except?.toLowerCase()),
  })),
  "an ifVersion of null counts as absent": sabotaged((base) => ({
    async update(id, { ifVersion, ...changes }) {
      return base.update(id, typeof ifVersion === "number" ? { ...changes, ifVersion } : changes);
    },
  })),
  "update accepts an object as a query": sabotaged((base) => ({
    async update(id, changes) {
      if (typeof id === "string") return base.update(id, changes);
      const [first] = base.sessions.keys();
      return first === undefined ? "gone" : base.update(first, changes);
    },
  })),
  "revokeUser of null ends anonymous sessions": sabotaged((base) => ({
    async revokeUser(userId, options) {
      if (typeof userId === "string") return base.revokeUser(userId, options);
      const ended = [...base.sessions.values()].filter((entry) => entry.userId === null);
      for (const entry of ended) base.end(entry.id, entry, base.clock());
      return ended.length;
    },
  })),
  "an update to the empty user makes the session anonymous": sabotaged((base) => ({
    update: async (id, changes) =>
      base.update(id, changes.userId === "" ? { ...changes, userId: null } : changes),
  })),
  "durations that are strings are stored": sabotaged((base) => ({
    async create(session) {
      if (typeof session.idle === "number") return base.create(session);
      return base.create({ ...session, idle: Number(session.idle) });
    },
  })),
  "a byte order mark at the beginning of data is lost": sabotaged(() => ({
    storedData: (data) => data.replace(/^\ufeff/u, ""),
  })),
  "data that looks like a date is stored as one": sabotaged(() => ({
    storedData: (data) => (/^\d{4}-\d\d-/u.test(data) ? new Date(data).toISOString() : data),
  })),
  "create of an expired id keeps the old data if the new data is empty": sabotaged((base) => ({
    async create(session) {
      const { data } = base.sessions.get(session.id) ?? session;
      const result = await base.create(session);
      if (result === "created" && session.data === "") base.sessions.get(session.id)!.data = data;
      return result;
    },
  })),
  "a fence is lost if the user id is not plain ASCII": sabotaged((base) => ({
    setFence(userId, instant) {
      if (/^[\w-]+$/u.test(userId)) base.setFence(userId, instant);
    },
  })),
  "a fence applies to users whose ids are equal but for case": sabotaged((base) => ({
    fenceOf: (userId) =>
      Math.max(
        -1,
        ...[...base.fences].filter(([key]) => key.toLowerCase() === userId.toLowerCase()).map(([, at]) => at),
      ),
  })),
  "a fence applies to users whose ids have the same first 255 characters": sabotaged((base) => ({
    setFence: (userId, instant) => {
      base.setFence(userId.slice(0, 255), instant);
    },
    fenceOf: (userId) => base.fenceOf(userId.slice(0, 255)),
  })),
  "listUser reads pages by offset": sabotaged((base) => ({
    async listUser(userId) {
      const records: SessionRecord[] = [];
      for (;;) {
        const page = (await base.listUser(userId)).slice(records.length, records.length + 100);
        records.push(...page);
        if (page.length < 100) return records;
        await turn();
      }
    },
  })),
  "scan reads pages by offset": sabotaged((base) => ({
    async *scan() {
      for (let offset = 0; ; offset += 100) {
        const page = [...base.sessions.values()].slice(offset, offset + 100);
        yield* page.filter((entry) => !base.isDead(entry, base.clock())).map(recordOf);
        if (page.length < 100) return;
      }
    },
  })),
  "scan yields only the first 1,000 sessions": sabotaged((base) => ({
    async *scan() {
      let left = 1000;
      for await (const record of base.scan()) {
        if (left === 0) return;
        left -= 1;
        yield record;
      }
    },
  })),
  "listUser ends at a page without live sessions": sabotaged((base) => ({
    async listUser(userId) {
      const ids = [...(base.index.get(userId) ?? [])];
      const isLive = (id: string): boolean => !base.isDead(base.sessions.get(id)!, base.clock());
      for (let from = 0; from < ids.length; from += 100) {
        if (!ids.slice(from, from + 100).some(isLive)) return [];
      }
      return base.listUser(userId);
    },
  })),
  "scan ends at a page without live sessions": sabotaged((base) => ({
    async *scan() {
      const entries = [...base.sessions.values()];
      for (let from = 0; from < entries.length; from += 100) {
        const live = entries.slice(from, from + 100).filter((entry) => !base.isDead(entry, base.clock()));
        if (live.length === 0) return;
        yield* live.map(recordOf);
      }
    },
    ofUser: (userId, now) =>
      [...(base.index.get(userId) ?? [])]
        .map((id) => base.sessions.get(id)!)
        .filter((entry) => !base.isDead(entry, now)),
  })),
  "concurrent calls of revokeUser share a batch whose results are in the order of the user ids": sabotaged(
    (base) => {
      const end = inBatches(
        (users: readonly string[]) => Promise.all(users.toSorted().map((userId) => base.revokeUser(userId))),
        0,
      );
      return {
        revokeUser: async (userId, options) =>
          options === undefined ? end(userId) : base.revokeUser(userId, options),
      };
    },
  ),
  "one invalid call makes the calls of the same turn reject": sabotaged((base) => {
    let isInvalid = false;
    return {
      async update(id, changes) {
        isInvalid ||= !((changes.idle ?? 1) > 0);
        await turn();
        const rejects = isInvalid;
        await turn();
        isInvalid = false;
        if (rejects) throw new TypeError("a call of the batch is invalid");
        return base.update(id, changes);
      },
    };
  }),

  // Mixed-up replies and an unreachable backend
  "a reply is not checked against the requested id": sabotagedReplies(() => ({
    decode: (_id, value) => value as Entry | undefined,
  })),
  "a reply that is not the requested session is treated as absent": sabotagedReplies(() => ({
    decode: (id, value) =>
      typeof value === "object" && value !== null && "id" in value && value.id === id
        ? (value as Entry)
        : undefined,
  })),
  "another session's value is returned under the requested id": sabotagedReplies(() => ({
    decode: (id, value) => (value === undefined ? undefined : { ...(value as Entry), id }),
  })),
  "an error's cause is the value of another session": sabotagedReplies(() => ({
    decode(id, value) {
      const entry = value as Entry | undefined;
      if (entry?.id === id || entry === undefined) return entry;
      throw new StoreError("read", "the reply is not the requested session", { cause: value });
    },
  })),
  "calls on an unreachable backend return absent results": sabotagedFailures(
    (operation) => ABSENT_RESULTS[operation],
  ),
  "a read that fails returns null": sabotagedFailures((operation, cause) =>
    operation === "read" ? null : rejectWithStoreError(operation, cause),
  ),
  "calls reject with the driver's error": sabotagedFailures((_operation, cause) => {
    throw cause;
  }),
  "a StoreError has the driver's code": sabotagedFailures((operation, cause) => {
    const error = new StoreError(operation, "the backend does not reply", { cause });
    throw Object.assign(error, { code: "ENOENT" });
  }),
  "a StoreError names the wrong operation": sabotagedFailures((_operation, cause) =>
    rejectWithStoreError("read", cause),
  ),
  // Last, because the suite compares how long one call and 64 calls take, and other tests would slow the one.
  "a call on an unreachable backend waits for the calls before it": () => {
    let before = Promise.resolve();
    return sabotagedFailures(async (operation, cause) => {
      await (before = before.then(() => sleep(300)));
      return rejectWithStoreError(operation, cause);
    })();
  },
};

function sabotaged(replace: Replace): () => StoreUnderTest {
  return () => {
    const store = modularStore(replace);
    return { open: () => store, unreachable: null, mixedUp: null };
  };
}

/** Changes both ids and users. */
function sabotagedTexts(change: (text: string) => string): () => StoreUnderTest {
  return sabotagedKeys({ idKey: change, userKey: change });
}

function sabotagedKeys(keys: Partial<Pick<ModularStore, "idKey" | "userKey">>): () => StoreUnderTest {
  return sabotaged(() => ({ ...keys, decode: (_id, value) => value as Entry | undefined }));
}

/** As a column of numbers stores a text. */
function numberIn(text: string): string {
  const number = Number(text);
  return text.trim() === "" || Number.isNaN(number) ? text : String(number);
}

function sabotagedReplies(replace: Replace): () => StoreUnderTest {
  return () => {
    const store = modularStore(replace);
    return {
      open: () => store,
      unreachable: null,
      mixedUp: (mixUp) => withMixedUpReplies(store, mixUp, replace),
    };
  };
}

function sabotagedFailures(failure: Failure): () => StoreUnderTest {
  return () => {
    const store = modularStore();
    return { open: () => store, unreachable: (address) => storeAt(address, failure), mixedUp: null };
  };
}

function sabotagedCaches(duration: number): () => StoreUnderTest {
  return () => {
    const backend = modularStore();
    return { open: () => cachingStore(backend, duration), unreachable: null, mixedUp: null };
  };
}

/** Makes `listUser` also return each session that ended while its user had more than `few` sessions. */
function listRevoked(few: number): Replace {
  return (base) => {
    const revoked: Entry[] = [];
    return {
      end(id, entry, now) {
        if (entry && (base.index.get(entry.userId ?? "")?.size ?? 0) > few) revoked.push(entry);
        base.end(id, entry, now);
      },
      async listUser(userId) {
        const stale = revoked.filter((entry) => entry.userId === userId);
        return [...stale, ...(await base.listUser(userId))].toSorted((a, b) => a.createdAt - b.createdAt);
      },
    };
  };
}

/** Joins the calls of one turn of the event loop. Each gets the result at its index. */
function inBatches<Result>(
  run: (inputs: readonly string[]) => Promise<readonly Result[]>,
  missing: Result,
): (input: string) => Promise<Result> {
  let batch: { readonly inputs: string[]; readonly results: Promise<readonly Result[]> } | undefined;
  return async (input) => {
    if (!batch) {
      const inputs: string[] = [];
      const results = turn().then(() => {
        batch = undefined;
        return run(inputs);
      });
      batch = { inputs, results };
    }
    const index = batch.inputs.push(input) - 1;
    return (await batch.results)[index] ?? missing;
  };
}

function cachingStore(backend: SessionStore, duration: number): SessionStore {
  const cache = new Map<string, Awaited<ReturnType<SessionStore["read"]>>>();
  const forget = (id: string): void => {
    cache.delete(id);
  };
  return {
    ...backend,
    async read(id) {
      const cached = cache.get(id);
      if (cached) return cached;
      const record = await backend.read(id);
      if (record) cache.set(id, record);
      setTimeout(forget, duration, id).unref();
      return record;
    },
    async update(id, changes) {
      forget(id);
      return backend.update(id, changes);
    },
    async revoke(id) {
      forget(id);
      return backend.revoke(id);
    },
  };
}
