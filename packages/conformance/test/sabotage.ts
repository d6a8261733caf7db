import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { assertChanges, type SessionStore } from "@tenure/core";
import { type Entry, type Parts, recordOf, workshop } from "./workshop.ts";

/** Stores that are each wrong in one way, by what is wrong with them. Each answers the stores of two processes. */
export const sabotaged: Readonly<Record<string, () => readonly [SessionStore, SessionStore]>> = {
  // Revocation
  "update upserts what it doesn't find": both((sound) => ({
    async update(id, changes) {
      const answer = await sound.update(id, changes);
      if (answer !== "gone" || sound.isBuried(id, sound.clock())) return answer;
      await sound.create({ id, userId: null, data: "", idle: 60_000, lifetime: 60_000, ...changes });
      return "updated";
    },
  })),
  "update upserts over a tombstone": both((sound) => ({
    async update(id, changes) {
      const answer = await sound.update(id, changes);
      if (answer !== "gone") return answer;
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
      if (sound.isBuried(session.id, sound.clock())) return false;
      const free = !sound.find(session.id, sound.clock());
      await turn();
      const until = sound.tombstones.get(session.id);
      sound.tombstones.delete(session.id);
      const created = free && (await sound.create(session));
      if (until !== undefined && !created) sound.tombstones.set(session.id, until);
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
    }, 400).unref();
    return {
      find: (id) => {
        sweep.refresh();
        return sound.sessions.get(id);
      },
    };
  }),
  "a session dies 20 ms early": both(() => ({ isDead: (entry, now) => now >= entry.expiresAt - 20 })),
  "a session dies 20 ms late": both(() => ({ isDead: (entry, now) => now >= entry.expiresAt + 20 })),
  "read knows expiry and update doesn't": both((sound) => ({
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
  "a touch that waited counts by the clock of its start": both((sound) => ({
    find(id, now) {
      const entry = sound.sessions.get(id);
      return entry && now < entry.expiresAt ? entry : undefined;
    },
    ofUser: (userId, now) => sound.ofUser(userId, now).filter((entry) => entry.userId === userId),
    async update(id, changes) {
      assertChanges(changes);
      const now = sound.clock();
      await sleep(60);
      const entry = sound.sessions.get(id);
      if (!entry || now >= entry.expiresAt) return "gone";
      if (changes.ifVersion !== undefined && changes.ifVersion !== entry.version) return "conflict";
      sound.change(entry, changes, now);
      return "updated";
    },
  })),
  "reading is a use": both((sound) => ({
    async read(id) {
      const entry = sound.find(id, sound.clock());
      if (entry) sound.change(entry, {}, sound.clock());
      return sound.read(id);
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
  "createdAt is ignored": both((sound) => ({
    async create({ createdAt: _createdAt, ...session }) {
      return sound.create(session);
    },
  })),
  "createdAt of 0 is none": both((sound) => ({
    async create({ createdAt, ...session }) {
      return sound.create(createdAt ? { ...session, createdAt } : session);
    },
  })),
  "a createdAt in the future lengthens": both((sound) => ({
    begin(session, now) {
      const entry = sound.begin(session, now);
      entry.createdAt = session.createdAt ?? now;
      entry.endsAt = entry.createdAt + session.lifetime;
      return entry;
    },
  })),
  "a session whose end has passed is created, dead": both((sound) => ({
    async create(session) {
      const created = await sound.create(session);
      const { createdAt = Infinity, lifetime } = session;
      return created || createdAt + lifetime <= sound.clock();
    },
  })),
  "a session whose end has passed takes its id": both((sound) => ({
    async create(session) {
      const created = await sound.create(session);
      const { createdAt = Infinity, lifetime } = session;
      if (createdAt + lifetime <= sound.clock()) sound.tombstones.set(session.id, Infinity);
      return created;
    },
  })),
  "a duration is not checked": both((sound) => ({
    async create(session) {
      const { idle, lifetime } = session;
      const created = await sound.create({ ...session, idle: 1000, lifetime: 1000 });
      const entry = sound.sessions.get(session.id);
      if (created && entry) {
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
  "revokeUser ends the first 500": both((sound) => ({
    async revokeUser(userId, { except } = {}) {
      const now = sound.clock();
      const ending = sound.ofUser(userId, now).filter(({ id }) => id !== except);
      for (const entry of ending.slice(0, 500)) sound.bury(entry.id, entry, now);
      return Math.min(ending.length, 500);
    },
  })),
  "listUser has the first 500": both((sound) => ({
    async listUser(userId) {
      return (await sound.listUser(userId)).slice(0, 500);
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
  "listUser answers the newest first": both((sound) => ({
    async listUser(userId) {
      return (await sound.listUser(userId)).toReversed();
    },
  })),
  "listUser answers the longest unused first": both((sound) => ({
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
      const answer = await sound.update(id, changes);
      if (answer === "updated" && changes.userId !== undefined && typeof before === "string") {
        if (before === changes.userId) return answer;
        await turn();
        sound.index.get(before)?.delete(id);
      }
      return answer;
    },
  })),
  "userId null is taken for absent": both((sound) => ({
    update(id, { userId, ...changes }) {
      return sound.update(id, userId ? { ...changes, userId } : changes);
    },
  })),
  "an update that is refused makes an entry all the same": both((sound) => ({
    async update(id, changes) {
      const answer = await sound.update(id, changes);
      const userId = changes.userId;
      const entry = sound.find(id, sound.clock());
      if (answer === "conflict" && typeof userId === "string" && entry) sound.bind({ ...entry, userId });
      return answer;
    },
  })),
  "a create that is refused makes an entry all the same": both((sound) => ({
    async create(session) {
      const created = await sound.create(session);
      const entry = sound.find(session.id, sound.clock());
      if (!created && entry) sound.bind({ ...entry, userId: session.userId });
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
  "create looks first and writes later": both((sound) => ({
    async create(session) {
      if (sound.find(session.id, sound.clock())) return false;
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
      const answer = await sound.update(id, changes);
      const entry = sound.find(id, sound.clock());
      if (copy && entry) {
        sound.unbind(entry);
        const { userId, data, idle, version } = copy;
        Object.assign(entry, { userId, data, idle, version });
        sound.bind(entry);
      }
      return answer;
    },
  })),
  "a version is counted from what was read before": both((sound) => ({
    async update(id, changes) {
      const version = sound.find(id, sound.clock())?.version;
      await turn();
      const answer = await sound.update(id, changes);
      const entry = sound.find(id, sound.clock());
      if (answer === "updated" && version !== undefined && entry) {
        entry.version = version + sound.grows(changes, entry);
      }
      return answer;
    },
  })),
  "an update is written in two halves": both((sound) => ({
    async update(id, changes) {
      const { userId, idle, ifVersion, ...first } = changes;
      if (userId === undefined || changes.data === undefined) return sound.update(id, changes);
      const answer = await sound.update(id, ifVersion === undefined ? first : { ...first, ifVersion });
      await turn();
      const entry = sound.find(id, sound.clock());
      if (answer === "updated" && entry) {
        sound.change(entry, idle === undefined ? { userId } : { userId, idle }, sound.clock());
        entry.version -= 1;
      }
      return answer;
    },
  })),
  "a conflict restarts the idle timeout": both((sound) => ({
    async update(id, changes) {
      const answer = await sound.update(id, changes);
      const entry = sound.find(id, sound.clock());
      if (answer === "conflict" && entry) sound.change(entry, {}, sound.clock());
      return answer;
    },
  })),
  "conflict is said of what is gone": both((sound) => ({
    async update(id, changes) {
      const answer = await sound.update(id, changes);
      return answer === "gone" && changes.ifVersion !== undefined ? "conflict" : answer;
    },
  })),
  "gone is said of a conflict": both((sound) => ({
    async update(id, changes) {
      const answer = await sound.update(id, changes);
      return answer === "conflict" ? "gone" : answer;
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
  "the version doesn't grow with the same value": both(() => ({
    grows: ({ data, userId }, entry) =>
      (data !== undefined && data !== entry.data) || (userId !== undefined && userId !== entry.userId)
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
  "touches are kept back for a while": both((sound) => ({
    async update(id, changes) {
      if (Object.keys(changes).length > 0) return sound.update(id, changes);
      if (!(await sound.read(id))) return "gone";
      setTimeout(() => void sound.update(id, changes), 500);
      return "updated";
    },
  })),
  "each process keeps what it read for five seconds": () => {
    const backend = workshop();
    return [caching(backend), caching(backend)];
  },

  // Strings
  "lone surrogates are replaced": stringly((text) => text.toWellFormed()),
  "text is cut at NUL": stringly((text) => text.split("\u0000")[0]!),
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
  "what isn't a string becomes one": both((sound) => ({
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
  "scan answers doubles": both((sound) => ({
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
      const answer = await sound.update(id, changes);
      if (answer === "gone") throw new Error("no such session");
      return answer;
    },
  })),
};

function both(exchange: (sound: Parts) => Partial<Parts>): () => readonly [SessionStore, SessionStore] {
  return () => {
    const store = workshop(exchange);
    return [store, store];
  };
}

/** Ids and users both suffer. */
function stringly(change: (text: string) => string): () => readonly [SessionStore, SessionStore] {
  return keyly({ idKey: change, userKey: change });
}

function keyly(keys: Partial<Pick<Parts, "idKey" | "userKey">>): () => readonly [SessionStore, SessionStore] {
  return both(() => keys);
}

function caching(backend: SessionStore): SessionStore {
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
      setTimeout(forget, 5000, id).unref();
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
