import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { type SessionStore, StoreError } from "@tenure/core";
import type { StoreUnderTest } from "../src/index.ts";
import { ABSENCES, type Failure, failsSoundly, storeAt } from "./absent-backend.ts";
import { mixedUp } from "./mixed-up.ts";
import { type Entry, type Parts, recordOf, workshop } from "./workshop.ts";

/** Stores that are each wrong in one way, by what is wrong with them. */
export const sabotaged: Readonly<Record<string, () => StoreUnderTest>> = {
  // Revocation
  "update upserts what it does not find": both((sound) => ({
    async update(id, changes) {
      const result = await sound.update(id, changes);
      if (result !== "gone" || sound.isBuried(id, sound.clock())) return result;
      await sound.create({ id, userId: null, data: "", idle: 60_000, lifetime: 60_000, ...changes });
      return "updated";
    },
  })),
  "update upserts over a tombstone": both((sound) => ({
    async update(id, changes) {
      const result = await sound.update(id, changes);
      if (result !== "gone") return result;
      sound.tombstones.delete(id);
      await sound.create({ id, userId: null, data: "", idle: 60_000, lifetime: 60_000, ...changes });
      return "updated";
    },
  })),
  "revoke leaves no tombstone": both((sound) => ({
    bury(id, entry, now) {
      sound.bury(id, entry, now);
      sound.tombstones.delete(id);
    },
  })),
  "revoke leaves no tombstone for an unknown id": both((sound) => ({
    async revoke(id) {
      return sound.sessions.has(id) || sound.isBuried(id, sound.clock()) ? sound.revoke(id) : false;
    },
  })),
  "revoke leaves no tombstone for an expired session": both((sound) => ({
    async revoke(id) {
      const entry = sound.sessions.get(id);
      if (!entry || sound.clock() < entry.expiresAt) return sound.revoke(id);
      sound.sessions.delete(id);
      return false;
    },
  })),
  "a tombstone lasts until the session's end and no longer": both((sound) => ({
    bury(id, entry, now) {
      sound.bury(id, entry, now);
      if (entry) sound.tombstones.set(id, entry.endsAt);
    },
  })),
  "a tombstone lasts two seconds": both((sound) => ({
    bury(id, entry, now) {
      sound.bury(id, entry, now);
      sound.tombstones.set(id, now + 2000);
    },
  })),
  "revoke always says false": both((sound) => ({
    revoke: async (id) => (await sound.revoke(id)) && false,
  })),
  "revoke says true again and again": both((sound) => ({
    async revoke(id) {
      return (await sound.revoke(id)) || sound.isBuried(id, sound.clock());
    },
  })),
  "revoke says true of an expired session": both((sound) => ({
    async revoke(id) {
      const held = sound.sessions.has(id);
      await sound.revoke(id);
      return held;
    },
  })),
  "two revokes both count the same session": both((sound) => ({
    async revoke(id) {
      const alive = (await sound.read(id)) !== null;
      await turn();
      await sound.revoke(id);
      return alive;
    },
  })),
  "create looks for a tombstone, and writes later": both((sound) => ({
    async create(session) {
      if (sound.isBuried(session.id, sound.clock())) return "taken";
      const free = !sound.find(session.id, sound.clock());
      await turn();
      const until = sound.tombstones.get(session.id);
      sound.tombstones.delete(session.id);
      const created = free ? await sound.create(session) : "taken";
      if (until !== undefined && created === "taken") sound.tombstones.set(session.id, until);
      return created;
    },
  })),
  "an update that began before a revoke writes after it": both((sound) => ({
    async update(id, changes) {
      const entry = sound.find(id, sound.clock());
      await turn();
      if (!entry || sound.sessions.has(id)) return sound.update(id, changes);
      sound.sessions.set(id, entry);
      sound.bind(entry);
      return sound.update(id, changes);
    },
  })),

  // Expiry and lifetime
  "a touch moves endsAt": both((sound) => ({
    change(entry, changes, now) {
      entry.endsAt += now - entry.touchedAt;
      sound.change(entry, changes, now);
    },
  })),
  "expiresAt is not cut at endsAt": both(() => ({
    expiryOf: ({ touchedAt, idle }) => touchedAt + idle,
  })),
  "an update with a new idle timeout outlives endsAt": both((sound) => ({
    change(entry, changes, now) {
      sound.change(entry, changes, now);
      if (changes.idle !== undefined) entry.expiresAt = now + changes.idle;
    },
  })),
  "expiry is only by sweeping": both((sound) => {
    const sweep = setInterval(() => {
      for (const entry of sound.sessions.values()) sound.find(entry.id, sound.clock());
    }, 30_000).unref();
    return {
      find: (id) => {
        sweep.refresh();
        return sound.sessions.get(id);
      },
    };
  }),
  "a session dies 20 ms early": both(() => ({ isDead: (entry, now) => now >= entry.expiresAt - 20 })),
  "a session dies 20 ms late": both(() => ({ isDead: (entry, now) => now >= entry.expiresAt + 20 })),
  "read knows expiry and update does not": both((sound) => ({
    async read(id) {
      const entry = sound.sessions.get(id);
      return entry && sound.clock() < entry.expiresAt ? { ...entry } : null;
    },
    async update(id, changes) {
      const entry = sound.sessions.get(id);
      if (entry) entry.expiresAt = Math.max(entry.expiresAt, sound.clock() + 1000);
      return sound.update(id, changes);
    },
  })),
  "reading is a use": both((sound) => ({
    async read(id) {
      const entry = sound.find(id, sound.clock());
      if (entry) sound.change(entry, {}, sound.clock());
      return sound.read(id);
    },
  })),
  "a duration below a second counts as a second": both((sound) => ({
    begin: (session, now) => sound.begin({ ...session, idle: Math.max(1000, session.idle) }, now),
  })),
  "a write restarts createdAt": both((sound) => ({
    change(entry, changes, now) {
      sound.change(entry, changes, now);
      if (changes.data !== undefined) entry.createdAt = now;
    },
  })),
  "a touch restarts nothing": both((sound) => ({
    change(entry, changes, now) {
      const { touchedAt, expiresAt } = entry;
      sound.change(entry, changes, now);
      if (Object.keys(changes).length === 0) Object.assign(entry, { touchedAt, expiresAt });
    },
  })),
  "a new idle timeout is ignored": both((sound) => ({
    change(entry, { idle: _idle, ...changes }, now) {
      sound.change(entry, changes, now);
    },
  })),
  "an update without idle goes back to the default": both((sound) => ({
    change(entry, changes, now) {
      sound.change(entry, { idle: 30 * 60 * 1000, ...changes }, now);
    },
  })),
  "a duration is not checked": both((sound) => ({
    async create(session) {
      const { idle, lifetime } = session;
      const created = await sound.create({ ...session, idle: 1000, lifetime: 1000 });
      const entry = sound.sessions.get(session.id);
      if (created === "created" && entry) {
        Object.assign(entry, { idle, endsAt: entry.createdAt + lifetime });
        entry.expiresAt = sound.expiryOf(entry);
      }
      return created;
    },
  })),

  // Users and their index
  "revokeUser leaves no tombstones": both((sound) => ({
    async revokeUser(userId, options) {
      const ended = sound.ofUser(userId, sound.clock()).filter(({ id }) => id !== options?.except);
      const count = await sound.revokeUser(userId, options);
      for (const { id } of ended) sound.tombstones.delete(id);
      return count;
    },
  })),
  "revokeUser goes by a snapshot of the index": both((sound) => ({
    async revokeUser(userId, { except } = {}) {
      const ending = sound.ofUser(userId, sound.clock()).filter(({ id }) => id !== except);
      let count = 0;
      for (const { id } of ending) {
        await turn();
        if (await sound.revoke(id)) count += 1;
      }
      return count;
    },
  })),
  "revokeUser drops the whole index at its end": both((sound) => ({
    async revokeUser(userId, options) {
      const count = await sound.revokeUser(userId, options);
      await turn();
      sound.index.get(userId)?.clear();
      return count;
    },
  })),
  "revokeUser counts what another ended": both((sound) => ({
    async revokeUser(userId, options) {
      const count = sound.ofUser(userId, sound.clock()).filter(({ id }) => id !== options?.except).length;
      await turn();
      await sound.revokeUser(userId, options);
      return count;
    },
  })),
  "revokeUser counts what the index held, expired or not": both((sound) => ({
    async revokeUser(userId, options) {
      const held = [...(sound.index.get(userId) ?? [])].filter((id) => id !== options?.except).length;
      await sound.revokeUser(userId, options);
      return held;
    },
  })),
  "revokeUser returns at least 1": both((sound) => ({
    revokeUser: async (userId, options) => Math.max(1, await sound.revokeUser(userId, options)),
  })),
  "revokeUser spares the latest session": both((sound) => ({
    ending: (...given) => sound.ending(...given).slice(0, -1),
  })),
  "revokeUser spares what another call excepts": both((sound) => {
    const excepted = new Set<string | undefined>();
    return {
      ending: (...given) => sound.ending(...given).filter(({ id }) => !excepted.has(id)),
      async revokeUser(userId, options) {
        excepted.add(options?.except);
        await turn();
        const count = await sound.revokeUser(userId, options);
        excepted.delete(options?.except);
        return count;
      },
    };
  }),
  "revokeUser also ends the session whose id is the user's name": both((sound) => ({
    async revokeUser(userId, options) {
      await sound.revoke(userId);
      return sound.revokeUser(userId, options);
    },
  })),
  "revokeUser ignores except": both((sound) => ({ revokeUser: (userId) => sound.revokeUser(userId) })),
  "revokeUser keeps all alive when except is no session of the user": both((sound) => ({
    async revokeUser(userId, { except } = {}) {
      if (except !== undefined && sound.sessions.get(except)?.userId !== userId) return 0;
      return sound.revokeUser(userId, except === undefined ? {} : { except });
    },
  })),
  "revokeUser with except takes that session out of the index": both((sound) => ({
    async revokeUser(userId, options) {
      const count = await sound.revokeUser(userId, options);
      if (options?.except !== undefined) sound.index.get(userId)?.delete(options.except);
      return count;
    },
  })),
  "revokeUser also ends users whose name begins the same": both((sound) => ({
    ofUser: (userId, now) =>
      [...sound.sessions.values()].filter((entry) => {
        return entry.userId?.startsWith(userId) && sound.find(entry.id, now);
      }),
    async listUser(userId) {
      return (await sound.listUser(userId)).filter((record) => record.userId === userId);
    },
  })),
  "revokeUser ends the first 1,000": both((sound) => ({
    ending: (...given) => sound.ending(...given).slice(0, 1000),
  })),
  "revokeUser ends the first 10,000": both((sound) => ({
    ending: (...given) => sound.ending(...given).slice(0, 10_000),
  })),
  "listUser has the first 1,000": both((sound) => ({
    async listUser(userId) {
      return (await sound.listUser(userId)).slice(0, 1000);
    },
  })),
  "users with the same short hash share a list": keyly({
    userKey(userId) {
      let hash = 7;
      for (let at = 0; at < userId.length; at += 1) hash = (31 * hash + userId.charCodeAt(at)) & 0xffff;
      return `${hash}`;
    },
  }),
  "a session stays in a long list when it is revoked": both((sound) => {
    const kept: Entry[] = [];
    return {
      bury(id, entry, now) {
        if (entry && (sound.index.get(entry.userId ?? "")?.size ?? 0) > 50) kept.push(entry);
        sound.bury(id, entry, now);
      },
      async listUser(userId) {
        const stale = kept.filter((entry) => entry.userId === userId);
        return [...stale, ...(await sound.listUser(userId))].toSorted(
          (one, other) => one.createdAt - other.createdAt,
        );
      },
    };
  }),
  "listUser leaves the data out": both((sound) => ({
    listUser: async (userId) =>
      (await sound.listUser(userId)).map((record) => Object.assign(record, { data: "" })),
  })),
  "a user without sessions is an error": both((sound) => ({
    async listUser(userId) {
      const records = await sound.listUser(userId);
      if (records.length === 0) throw new Error("no such user");
      return records;
    },
  })),
  "listUser has sessions that expired": both((sound) => ({
    async listUser(userId) {
      const keys = [...(sound.index.get(userId) ?? [])];
      return keys
        .map((key) => sound.sessions.get(key))
        .filter((entry) => entry !== undefined)
        .map(recordOf)
        .toSorted((a, b) => a.createdAt - b.createdAt);
    },
  })),
  "listUser has sessions that were revoked": both((sound) => {
    const kept = new Map<string, Entry>();
    return {
      bury(id, entry, now) {
        if (entry) kept.set(id, entry);
        sound.bury(id, entry, now);
      },
      async listUser(userId) {
        const stale = [...kept.values()].filter((entry) => entry.userId === userId);
        return [...stale, ...(await sound.listUser(userId))].toSorted((a, b) => a.createdAt - b.createdAt);
      },
    };
  }),
  "listUser has the newest first": both((sound) => ({
    async listUser(userId) {
      return (await sound.listUser(userId)).toReversed();
    },
  })),
  "listUser has the longest unused first": both((sound) => ({
    async listUser(userId) {
      return (await sound.listUser(userId)).toSorted((a, b) => a.touchedAt - b.touchedAt);
    },
  })),
  "a rebinding leaves the entry of the old user": both((sound) => ({
    change(entry, changes, now) {
      const { userId } = entry;
      sound.change(entry, changes, now);
      if (userId !== null) sound.index.get(userId)?.add(entry.id);
    },
  })),
  "a rebinding makes no entry for the new user": both((sound) => ({
    change(entry, changes, now) {
      const { userId } = entry;
      sound.change(entry, changes, now);
      if (entry.userId !== null && entry.userId !== userId) sound.index.get(entry.userId)?.delete(entry.id);
    },
  })),
  "a rebinding writes the old user's index late": both((sound) => ({
    async update(id, changes) {
      const before = sound.find(id, sound.clock())?.userId;
      const result = await sound.update(id, changes);
      if (result === "updated" && changes.userId !== undefined && typeof before === "string") {
        if (before === changes.userId) return result;
        await turn();
        sound.index.get(before)?.delete(id);
      }
      return result;
    },
  })),
  "userId null is taken for absent": both((sound) => ({
    update(id, { userId, ...changes }) {
      return sound.update(id, userId ? { ...changes, userId } : changes);
    },
  })),
  "an update that is refused makes an entry all the same": both((sound) => ({
    async update(id, changes) {
      const result = await sound.update(id, changes);
      const userId = changes.userId;
      const entry = sound.find(id, sound.clock());
      if (result === "conflict" && typeof userId === "string" && entry) sound.bind({ ...entry, userId });
      return result;
    },
  })),
  "a create that is refused makes an entry all the same": both((sound) => ({
    async create(session) {
      const created = await sound.create(session);
      const entry = sound.find(session.id, sound.clock());
      if (created === "taken" && entry) sound.bind({ ...entry, userId: session.userId });
      return created;
    },
  })),

  // Create and update
  "create overwrites": both((sound) => ({
    async create(session) {
      const entry = sound.find(session.id, sound.clock());
      if (entry) {
        sound.unbind(entry);
        sound.sessions.delete(session.id);
      }
      return sound.create(session);
    },
  })),
  "create of an expired id goes on with its version": both((sound) => ({
    async create(session) {
      const expired = sound.sessions.get(session.id)?.version ?? 0;
      const result = await sound.create(session);
      if (result === "created") sound.sessions.get(session.id)!.version += expired;
      return result;
    },
  })),
  "create looks first and writes later": both((sound) => ({
    async create(session) {
      if (sound.find(session.id, sound.clock())) return "taken";
      await turn();
      const entry = sound.find(session.id, sound.clock());
      if (entry) {
        sound.unbind(entry);
        sound.sessions.delete(session.id);
      }
      return sound.create(session);
    },
  })),
  "the version is compared, and written later": both((sound) => ({
    async update(id, { ifVersion, ...changes }) {
      const entry = sound.find(id, sound.clock());
      if (entry && ifVersion !== undefined && ifVersion !== entry.version) return "conflict";
      if (ifVersion !== undefined) await turn();
      return sound.update(id, changes);
    },
  })),
  "a touch writes the whole record back": both((sound) => ({
    async update(id, changes) {
      if (Object.keys(changes).length > 0) return sound.update(id, changes);
      const before = sound.find(id, sound.clock());
      const copy = before && { ...before };
      await turn();
      const result = await sound.update(id, changes);
      const entry = sound.find(id, sound.clock());
      if (copy && entry) {
        sound.unbind(entry);
        const { userId, data, idle, version } = copy;
        Object.assign(entry, { userId, data, idle, version });
        sound.bind(entry);
      }
      return result;
    },
  })),
  "a version is counted from what was read before": both((sound) => ({
    async update(id, changes) {
      const version = sound.find(id, sound.clock())?.version;
      await turn();
      const result = await sound.update(id, changes);
      const entry = sound.find(id, sound.clock());
      if (result === "updated" && version !== undefined && entry) {
        entry.version = version + sound.grows(changes, entry);
      }
      return result;
    },
  })),
  "an update is written in two halves": both((sound) => ({
    async update(id, changes) {
      const { userId, idle, ifVersion, ...first } = changes;
      if (userId === undefined || changes.data === undefined) return sound.update(id, changes);
      const result = await sound.update(id, ifVersion === undefined ? first : { ...first, ifVersion });
      await turn();
      const entry = sound.find(id, sound.clock());
      if (result === "updated" && entry) {
        sound.change(entry, idle === undefined ? { userId } : { userId, idle }, sound.clock());
        entry.version -= 1;
      }
      return result;
    },
  })),
  "a conflict restarts the idle timeout": both((sound) => ({
    async update(id, changes) {
      const result = await sound.update(id, changes);
      const entry = sound.find(id, sound.clock());
      if (result === "conflict" && entry) sound.change(entry, {}, sound.clock());
      return result;
    },
  })),
  "conflict is said of what is gone": both((sound) => ({
    async update(id, changes) {
      const result = await sound.update(id, changes);
      return result === "gone" && changes.ifVersion !== undefined ? "conflict" : result;
    },
  })),
  "gone is said of a conflict": both((sound) => ({
    async update(id, changes) {
      const result = await sound.update(id, changes);
      return result === "conflict" ? "gone" : result;
    },
  })),
  "ifVersion is ignored": both((sound) => ({
    update: (id, { ifVersion: _ifVersion, ...changes }) => sound.update(id, changes),
  })),
  "ifVersion is ignored when it is 0": both((sound) => ({
    update(id, { ifVersion, ...changes }) {
      return sound.update(id, ifVersion ? { ...changes, ifVersion } : changes);
    },
  })),
  "the version grows with a touch": both(() => ({ grows: () => 1 })),
  "the version grows twice with data and userId": both(() => ({
    grows: ({ data, userId }) => Number(data !== undefined) + Number(userId !== undefined),
  })),
  "the version does not grow with the same value": both(() => ({
    grows: ({ data, userId, lifetime, authenticatedAt }, entry) =>
      (data ?? entry.data) !== entry.data ||
      (userId ?? entry.userId) !== entry.userId ||
      lifetime !== undefined ||
      authenticatedAt !== undefined
        ? 1
        : 0,
  })),
  "the version begins with 0": both((sound) => ({
    begin: (session, now) => ({ ...sound.begin(session, now), version: 0 }),
  })),
  "an update with empty data keeps the old": both((sound) => ({
    update(id, { data, ...changes }) {
      return sound.update(id, data ? { ...changes, data } : changes);
    },
  })),
  "a write is acknowledged before it is made": both((sound) => ({
    async update(id, changes) {
      if (changes.data === undefined || changes.ifVersion !== undefined) return sound.update(id, changes);
      if (!(await sound.read(id))) return "gone";
      setImmediate(() => void sound.update(id, changes));
      return "updated";
    },
  })),
  "touches are kept back for a while": both((sound) => ({
    async update(id, changes) {
      if (Object.keys(changes).length > 0) return sound.update(id, changes);
      if (!(await sound.read(id))) return "gone";
      setTimeout(() => void sound.update(id, changes), 500);
      return "updated";
    },
  })),
  "each process has a backend of its own": () => ({
    open: () => workshop(),
    unreachable: null,
    mixedUp: null,
  }),
  "each process keeps what it read for five seconds": () => {
    const backend = workshop();
    const stores = [caching(backend, 5000), caching(backend, 5000)];
    return { open: () => stores.shift() ?? backend, unreachable: null, mixedUp: null };
  },

  // Strings
  "lone surrogates are replaced": stringly((text) => text.toWellFormed()),
  "text is cut at NUL": stringly((text) => text.split("\u0000")[0]!),
  "NUL is lost from ids": both((sound) => ({
    checked: (_id, value) => value as Entry | undefined,
    begin(session, now) {
      return Object.assign(sound.begin(session, now), { id: session.id.replaceAll("\u0000", "") });
    },
  })),
  "NUL is lost from users": both((sound) => ({
    begin(session, now) {
      const { userId } = session;
      return sound.begin({ ...session, userId: userId?.replaceAll?.("\u0000", "") ?? userId }, now);
    },
    change(entry, changes, now) {
      const { userId } = changes;
      sound.change(entry, userId ? { ...changes, userId: userId.replaceAll("\u0000", "") } : changes, now);
    },
  })),
  "text is cut at 255 characters": stringly((text) => text.slice(0, 255)),
  "text is trimmed": stringly((text) => text.trim()),
  "ids are compared without case": keyly({ idKey: (id) => id.toLowerCase() }),
  "users are compared without case": keyly({ userKey: (userId) => userId.toLowerCase() }),
  "ids are normalized": keyly({ idKey: (id) => id.normalize("NFKC") }),
  "users are normalized": keyly({ userKey: (userId) => userId.normalize("NFC") }),
  "data is trimmed": both(() => ({ kept: (data) => data.trim() })),
  "data is cut at 65,535 characters": both(() => ({ kept: (data) => data.slice(0, 65_535) })),
  "data that looks like a field is taken for it": both(() => ({
    kept: (data) => (data.startsWith("$$") ? String(Date.now()) : data),
  })),
  "data is a replacement pattern": both(() => ({ kept: (data) => "?".replace("?", data) })),
  "nobody is the empty user": both((sound) => ({
    create: (session) => sound.create({ ...session, userId: session.userId ?? "" }),
  })),
  "the empty user is nobody": both((sound) => ({
    create: (session) => sound.create({ ...session, userId: session.userId || null }),
  })),
  "anonymous sessions belong to the user null": both((sound) => ({
    bind: (entry) => sound.bind({ ...entry, userId: entry.userId ?? "null" }),
    ofUser: (userId, now) =>
      [...(sound.index.get(userId) ?? [])]
        .map((key) => sound.find(key, now))
        .filter((entry) => entry !== undefined),
  })),
  "the index is an object with a prototype": both((sound) => ({
    bind(entry) {
      if (entry.userId !== null && entry.userId in {}) return;
      sound.bind(entry);
    },
  })),
  "id and user are joined with a colon": both((sound) => {
    const joined = new Map<string, Entry>();
    return {
      bind(entry) {
        if (entry.userId !== null) joined.set(`${entry.userId}:${entry.id}`, entry);
      },
      unbind(entry) {
        if (entry.userId !== null) joined.delete(`${entry.userId}:${entry.id}`);
      },
      ofUser: (userId, now) =>
        [...joined.values()].filter((entry) => entry.userId === userId && sound.find(entry.id, now)),
    };
  }),
  "what is not a string becomes one": both((sound) => ({
    create(session) {
      const { userId, data } = session;
      return sound.create({
        ...session,
        userId: userId === null ? null : ["", userId].join(""),
        data: ["", data].join(""),
      });
    },
  })),
  "an object is taken for a query": both((sound) => ({
    async read(id) {
      if (typeof id === "string") return sound.read(id);
      for (const entry of sound.sessions.values())
        if (sound.find(entry.id, sound.clock())) return { ...entry };
      return null;
    },
  })),

  // Scan, clock and shape
  "scan misses anonymous sessions": both((sound) => ({
    async *scan() {
      for await (const record of sound.scan()) if (record.userId !== null) yield record;
    },
  })),
  "scan has sessions twice": both((sound) => ({
    async *scan() {
      for await (const record of sound.scan()) yield* [record, record];
    },
  })),
  "scan has the dead": both((sound) => ({
    async *scan() {
      yield* [...sound.sessions.values()].map(recordOf);
    },
  })),
  "scan misses what is written meanwhile": both((sound) => ({
    async *scan() {
      const held = new Map([...sound.sessions].map(([id, { version }]) => [id, version]));
      await sleep(5);
      for await (const record of sound.scan()) if (held.get(record.id) === record.version) yield record;
    },
  })),
  "now() is the application's clock, ten minutes off": both((sound) => ({
    now: async () => sound.clock() - 600_000,
  })),
  "now() is in seconds": both((sound) => ({ now: async () => Math.floor(sound.clock() / 1000) })),
  "a record has a field of the backend": both((sound) => ({
    async read(id) {
      const record = await sound.read(id);
      return record && { ...record, _id: id };
    },
  })),
  "an update of a dead session is an error": both((sound) => ({
    async update(id, changes) {
      const result = await sound.update(id, changes);
      if (result === "gone") throw new Error("no such session");
      return result;
    },
  })),

  // The login fence
  "revokeUser leaves no fence": both(() => ({ fence: () => {} })),
  "a login looks for the fence, and writes later": both((sound) => ({
    isRefused: () => false,
    async create(session) {
      const { userId, authenticatedAt } = session;
      if (userId !== null && sound.isRefused(userId, authenticatedAt, sound.clock())) return "fenced";
      await turn();
      return sound.create(session);
    },
    async update(id, changes) {
      const entry = sound.find(id, sound.clock());
      const { userId, authenticatedAt } = changes;
      if (entry && userId && sound.isRefused(userId, authenticatedAt, sound.clock())) {
        sound.bury(id, entry, sound.clock());
        return "fenced";
      }
      await turn();
      return sound.update(id, changes);
    },
  })),
  "revokeUser ends sessions, and fences later": both((sound) => ({
    async revokeUser(userId, options) {
      const before = sound.fenceOf(userId);
      const done = sound.revokeUser(userId, options);
      const fence = sound.fenceOf(userId);
      sound.fences.set(userId, before);
      await turn();
      sound.fence(userId, fence);
      return done;
    },
  })),
  "revokeUser resolves before the clock is past the fence": both(() => ({ passed: async () => {} })),
  "a login without an instant is refused for a second after a revokeUser": both((sound) => ({
    isRefused: (userId, authenticatedAt, now) => sound.isRefused(userId, authenticatedAt ?? now - 1000, now),
    isRefusedUpdate: (entry, changes, now) =>
      sound.isRefusedUpdate(
        entry,
        changes.userId ? { authenticatedAt: now - 1000, ...changes } : changes,
        now,
      ),
  })),
  "revokeUser ends what was authenticated up to its clock, not up to the last fence": both((sound) => ({
    async revokeUser(userId, options = {}) {
      const authenticatedUpTo = options.authenticatedUpTo ?? sound.clock();
      return sound.revokeUser(userId, { ...options, authenticatedUpTo });
    },
  })),
  "a login at the very instant of the fence is accepted": both((sound) => ({
    isRefused: (userId, authenticatedAt, now) =>
      sound.isRefused(userId, authenticatedAt === undefined ? undefined : authenticatedAt + 1, now),
  })),
  "authenticatedUpTo is ignored": both((sound) => ({
    async revokeUser(userId, { authenticatedUpTo, ...options } = {}) {
      if (authenticatedUpTo === undefined || authenticatedUpTo > sound.clock() || !(authenticatedUpTo > 0)) {
        return sound.revokeUser(
          userId,
          authenticatedUpTo === undefined ? options : { ...options, authenticatedUpTo },
        );
      }
      return sound.revokeUser(userId, options);
    },
  })),
  "authenticatedUpTo spares what was authenticated at that instant": both((sound) => ({
    ending: (userId, options, instant, now) =>
      sound.ending(userId, options, options.authenticatedUpTo === undefined ? instant : instant - 1, now),
  })),
  "an authenticatedUpTo in the future counts as now": both((sound) => ({
    async revokeUser(userId, options = {}) {
      const { authenticatedUpTo: upTo, ...rest } = options;
      return sound.revokeUser(userId, upTo !== undefined && upTo > sound.clock() ? rest : options);
    },
  })),
  "an authenticatedUpTo in the future is refused after the fence was written": both((sound) => ({
    async revokeUser(userId, options = {}) {
      if (Number.isSafeInteger(options.authenticatedUpTo))
        sound.fence(userId, options.authenticatedUpTo ?? 0);
      return sound.revokeUser(userId, options);
    },
  })),
  "an instant that is not one is taken for absent": both((sound) => ({
    async create({ authenticatedAt, ...session }) {
      return sound.create(
        Number.isSafeInteger(authenticatedAt) && authenticatedAt ? { ...session, authenticatedAt } : session,
      );
    },
  })),
  "a later revokeUser lowers the fence": both((sound) => ({
    fence: (userId, instant) => void sound.fences.set(userId, instant),
  })),
  "revokeUser reads the fence, and writes it later": both((sound) => ({
    async revokeUser(userId, options) {
      const before = sound.fenceOf(userId);
      await turn();
      sound.fences.set(userId, before);
      return sound.revokeUser(userId, options);
    },
  })),
  "a login may be as old as it likes": both(() => ({ isTooOld: () => false })),
  "a login of the user who is there already may be as old as it likes": both((sound) => ({
    isRefusedUpdate: (entry, changes, now) =>
      changes.userId !== entry.userId && sound.isRefusedUpdate(entry, changes, now),
  })),
  "a login older than a minute is refused": both(() => ({
    isTooOld: (authenticatedAt, now) => authenticatedAt <= now - 60_000,
  })),
  "a fence also concerns users whose name begins the same": both((sound) => ({
    fenceOf: (userId) =>
      Math.max(-1, ...[...sound.fences].filter(([key]) => userId.startsWith(key)).map(([, at]) => at)),
  })),
  "one fence is everybody's": both((sound) => ({
    fenceOf: () => Math.max(-1, ...[...sound.fences.values()].slice(-5)),
  })),
  "an update that is refused leaves the session alive": both((sound) => ({
    async update(id, changes) {
      const entry = sound.find(id, sound.clock());
      const { ifVersion = entry?.version } = changes;
      const isRefused =
        entry && ifVersion === entry.version && sound.isRefusedUpdate(entry, changes, sound.clock());
      return isRefused ? "fenced" : sound.update(id, changes);
    },
  })),
  "an update that is refused leaves no tombstone": both((sound) => ({
    async update(id, changes) {
      const result = await sound.update(id, changes);
      if (result === "fenced") sound.tombstones.delete(id);
      return result;
    },
  })),
  "a create that is refused is stored all the same": both((sound) => ({
    async create(session) {
      const result = await sound.create(session);
      const { authenticatedAt: _authenticatedAt, ...given } = session;
      if (result === "fenced") await sound.create(given);
      return result;
    },
  })),
  "fenced is said of an id that is taken": both((sound) => ({
    async create(session) {
      const { userId, authenticatedAt } = session;
      if (userId !== null && sound.isRefused(userId, authenticatedAt, sound.clock())) return "fenced";
      return sound.create(session);
    },
  })),
  "fenced is said before conflict": both((sound) => ({
    async update(id, changes) {
      const entry = sound.find(id, sound.clock());
      if (entry && sound.isRefusedUpdate(entry, changes, sound.clock())) return "fenced";
      return sound.update(id, changes);
    },
  })),
  "the same user again is a binding": both((sound) => ({
    isRefusedUpdate: (entry, { userId, authenticatedAt = entry.authenticatedAt ?? undefined }, now) =>
      typeof userId === "string" && sound.isRefused(userId, authenticatedAt, now),
  })),
  "the same user again counts as a login": both((sound) => ({
    bindingOf: (entry, changes, now) =>
      changes.userId
        ? sound.bindingOf({ ...entry, userId: null }, changes, now)
        : sound.bindingOf(entry, changes, now),
  })),
  "a session that was excepted once is never fenced": both((sound) => {
    const excepted = new Set<string | undefined>();
    return {
      async revokeUser(userId, options) {
        excepted.add(options?.except);
        return sound.revokeUser(userId, options);
      },
      isRefusedUpdate: (entry, changes, now) =>
        !excepted.has(entry.id) && sound.isRefusedUpdate(entry, changes, now),
    };
  }),
  "revokeUser ends the excepted session if it is written meanwhile": both((sound) => ({
    async revokeUser(userId, options = {}) {
      const excepted = sound.find(options.except ?? "", sound.clock());
      const version = excepted?.version;
      await turn();
      const { except: _except, ...rest } = options;
      return sound.revokeUser(userId, excepted?.version === version ? options : rest);
    },
  })),
  "authenticatedAt stays when the user is gone": both((sound) => ({
    bindingOf: (entry, changes, now) => sound.bindingOf(entry, changes, now) ?? entry.authenticatedAt,
  })),
  "an anonymous session keeps the authenticatedAt that it is given": both((sound) => ({
    bindingOf: (entry, changes, now) =>
      sound.bindingOf(entry, changes, now) ?? changes.authenticatedAt ?? null,
  })),
  "an authenticatedAt in the future is stored": both((sound) => ({
    loginOf: (userId, authenticatedAt, now) => authenticatedAt ?? sound.loginOf(userId, undefined, now),
  })),
  "authenticatedAt is in seconds": both((sound) => ({
    loginOf: (...given) => 1000 * Math.floor(sound.loginOf(...given) / 1000),
  })),
  "authenticatedAt decreases": both((sound) => ({
    bindingOf: (entry, changes, now) =>
      sound.bindingOf({ ...entry, authenticatedAt: entry.authenticatedAt && 0 }, changes, now),
  })),
  "authenticatedAt decreases when the user changes": both((sound) => ({
    bindingOf: (entry, changes, now) =>
      typeof changes.userId === "string" && changes.userId !== entry.userId
        ? sound.loginOf(changes.userId, changes.authenticatedAt, now)
        : sound.bindingOf(entry, changes, now),
  })),

  // What a login restarts, and what is not a use
  "touch false is ignored": both((sound) => ({
    change(entry, { touch: _touch, ...changes }, now) {
      sound.change(entry, changes, now);
    },
  })),
  "touch true is taken for false": both((sound) => ({
    change(entry, changes, now) {
      sound.change(entry, changes.touch === undefined ? changes : { ...changes, touch: false }, now);
    },
  })),
  "a new idle timeout with touch false counts from now": both((sound) => ({
    change(entry, changes, now) {
      sound.change(entry, changes, now);
      if (changes.idle !== undefined) entry.expiresAt = Math.min(now + changes.idle, entry.endsAt);
    },
  })),
  "a lifetime in an update is ignored": both((sound) => ({
    change(entry, { lifetime, ...changes }, now) {
      sound.change(entry, changes, now);
      if (lifetime !== undefined) entry.version += 1;
    },
  })),
  "a lifetime in an update counts from the creation": both((sound) => ({
    change(entry, changes, now) {
      sound.change(entry, changes, now);
      if (changes.lifetime !== undefined) entry.endsAt = entry.createdAt + changes.lifetime;
      entry.expiresAt = sound.expiryOf(entry);
    },
  })),
  "a lifetime in an update never shortens": both((sound) => ({
    change(entry, changes, now) {
      const { endsAt } = entry;
      sound.change(entry, changes, now);
      entry.endsAt = Math.max(entry.endsAt, endsAt);
      entry.expiresAt = sound.expiryOf(entry);
    },
  })),
  "a lifetime in an update is a use": both((sound) => ({
    change(entry, changes, now) {
      sound.change(entry, changes.lifetime === undefined ? changes : { ...changes, touch: true }, now);
    },
  })),
  "a conflict restarts the lifetime": both((sound) => ({
    async update(id, changes) {
      const result = await sound.update(id, changes);
      const entry = sound.find(id, sound.clock());
      if (result === "conflict" && entry && changes.lifetime) entry.endsAt = sound.clock() + changes.lifetime;
      return result;
    },
  })),
  "durations have 32 bits": both((sound) => ({
    begin: (session, now) => sound.begin({ ...session, idle: session.idle % 2 ** 31 || 1 }, now),
  })),

  // More that stores get wrong
  "a second revoke takes the tombstone away": both((sound) => ({
    async revoke(id) {
      if (!sound.isBuried(id, sound.clock())) return sound.revoke(id);
      sound.tombstones.delete(id);
      return false;
    },
  })),
  "revokeUser's tombstones last until the session's end and no longer": both((sound) => ({
    async revokeUser(userId, options = {}) {
      const ending = sound.ending(userId, options, sound.clock(), sound.clock());
      const count = await sound.revokeUser(userId, options);
      for (const { id, endsAt } of ending) sound.tombstones.set(id, endsAt);
      return count;
    },
  })),
  "revokeUser spares a session that is written meanwhile": both((sound) => ({
    async revokeUser(userId, options = {}) {
      const seen = sound.ofUser(userId, sound.clock()).map(recordOf);
      await turn();
      const spared = new Set(
        seen
          .filter(({ id, touchedAt, version }) => {
            const entry = sound.sessions.get(id);
            return entry && (entry.touchedAt !== touchedAt || entry.version !== version);
          })
          .map(({ id }) => id),
      );
      let count = 0;
      for (const { id } of seen) {
        if (id !== options.except && !spared.has(id) && (await sound.revoke(id))) count += 1;
      }
      return count;
    },
  })),
  "except also spares what is newer": both((sound) => ({
    ending(userId, options, instant, now) {
      const kept = sound.sessions.get(options.except ?? "");
      return sound
        .ending(userId, options, instant, now)
        .filter(({ createdAt }) => kept?.userId !== userId || createdAt <= kept.createdAt);
    },
  })),
  "an index entry ends with the first idle timeout": both((sound) => {
    const until = new Map<string, number>();
    return {
      bind(entry) {
        sound.bind(entry);
        until.set(entry.id, sound.clock() + entry.idle);
      },
      ofUser: (userId, now) => sound.ofUser(userId, now).filter(({ id }) => now < (until.get(id) ?? 0)),
    };
  }),
  "binding the same user again loses the index entry": both((sound) => ({
    change(entry, changes, now) {
      const { userId } = entry;
      sound.change(entry, changes, now);
      if (changes.userId !== undefined && changes.userId === userId) sound.unbind(entry);
    },
  })),
  "the version has eight bits": both((sound) => ({
    grows: (changes, entry) => sound.grows(changes, entry) * (entry.version === 255 ? -255 : 1),
  })),
  "reads share a batch, and a double shifts the results": both((sound) => ({
    read: inBatches(
      (ids: readonly string[]) => Promise.all([...new Set(ids)].map((id) => sound.read(id))),
      null,
    ),
  })),
  "lists share a batch, and come in the order of the users": both((sound) => ({
    listUser: inBatches(
      (users: readonly string[]) => Promise.all(users.toSorted().map((userId) => sound.listUser(userId))),
      [],
    ),
  })),
  "touches share a batch, and one that is gone makes all gone": both((sound) => {
    const touch = inBatches(async (ids: readonly string[]) => {
      const results = await Promise.all(ids.map((id) => sound.update(id, {})));
      return results.map(() => (results.includes("gone") ? "gone" : "updated"));
    }, "gone" as const);
    return {
      update: async (id, changes) =>
        Object.keys(changes).length === 0 ? touch(id) : sound.update(id, changes),
    };
  }),
  "each process keeps what it read for 20 ms": () => {
    const backend = workshop();
    const stores = [caching(backend, 20), caching(backend, 20)];
    return { open: () => stores.shift() ?? backend, unreachable: null, mixedUp: null };
  },

  // Replies that are mixed up, and a backend that is not there
  "a reply is not checked": mixing(() => ({ checked: (_id, value) => value as Entry | undefined })),
  "a reply that is not a session is an absence": mixing(() => ({
    checked: (id, value) =>
      typeof value === "object" && value !== null && "id" in value && value.id === id
        ? (value as Entry)
        : undefined,
  })),
  "another session's value is shown as the one that was asked for": mixing(() => ({
    checked: (id, value) => (value === undefined ? undefined : { ...(value as Entry), id }),
  })),
  "an error shows the value": mixing(() => ({
    checked(id, value) {
      const entry = value as Entry | undefined;
      if (entry?.id === id || entry === undefined) return entry;
      throw new StoreError("read", "the reply is not the session that was asked for", { cause: value });
    },
  })),
  "the backend's absence is taken for the session's": () => absent((operation) => ABSENCES[operation]),
  "a failing read is taken for an absence": () =>
    absent((operation, cause) => (operation === "read" ? null : failsSoundly(operation, cause))),
  "the driver's error comes through": () =>
    absent((_operation, cause) => {
      throw cause;
    }),
  "a StoreError has the driver's code": () =>
    absent((operation, cause) => {
      const error = new StoreError(operation, "the backend does not result", { cause });
      throw Object.assign(error, { code: "ENOENT" });
    }),
  "a StoreError names another operation": () => absent((_operation, cause) => failsSoundly("read", cause)),
  "a call never settles": () => absent(() => new Promise(() => {})),
  "a call waits for those before it, though they wait in vain": () => {
    let before = Promise.resolve();
    return absent(async (operation, cause) => {
      await (before = before.then(() => sleep(500)));
      return failsSoundly(operation, cause);
    });
  },
};

function both(replace: (sound: Parts) => Partial<Parts>): () => StoreUnderTest {
  return () => {
    const store = workshop(replace);
    return { open: () => store, unreachable: null, mixedUp: null };
  };
}

/** Both ids and users are changed. */
function stringly(change: (text: string) => string): () => StoreUnderTest {
  return keyly({ idKey: change, userKey: change });
}

function keyly(keys: Partial<Pick<Parts, "idKey" | "userKey">>): () => StoreUnderTest {
  return both(() => ({ ...keys, checked: (_id, value) => value as Entry | undefined }));
}

function mixing(replace: (sound: Parts) => Partial<Parts>): () => StoreUnderTest {
  return () => {
    const store = workshop(replace);
    return { open: () => store, unreachable: null, mixedUp: (mixUp) => mixedUp(store, mixUp, replace) };
  };
}

function absent(failure: Failure): StoreUnderTest {
  const store = workshop();
  return { open: () => store, unreachable: (address) => storeAt(address, failure), mixedUp: null };
}

/** Joins the calls of one turn of the event loop. Each gets the result at its place. */
function inBatches<Result>(
  run: (given: readonly string[]) => Promise<readonly Result[]>,
  none: Result,
): (given: string) => Promise<Result> {
  let batch: { readonly given: string[]; readonly done: Promise<readonly Result[]> } | undefined;
  return async (given) => {
    if (!batch) {
      const all: string[] = [];
      const done = turn().then(() => {
        batch = undefined;
        return run(all);
      });
      batch = { given: all, done };
    }
    const at = batch.given.push(given) - 1;
    return (await batch.done)[at] ?? none;
  };
}

function caching(backend: SessionStore, duration: number): SessionStore {
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
