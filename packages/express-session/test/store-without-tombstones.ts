import type { SessionRecord, SessionStore } from "@tenure/core";

/**
 * A store without tombstones and fences: a revoked id can be created again. Only a bridge that knows which
 * session a request has loaded can then keep it from coming back.
 */
export function storeWithoutTombstones(clock: () => number): SessionStore {
  const records = new Map<string, SessionRecord>();
  const live = (id: string): SessionRecord | null => {
    const record = records.get(id);
    return record && clock() < record.expiresAt ? record : null;
  };
  return {
    async create({ id, userId, data, idle, lifetime, authenticatedAt = clock() }) {
      if (live(id)) return "taken";
      const endsAt = clock() + lifetime;
      const times = {
        createdAt: clock(),
        touchedAt: clock(),
        endsAt,
        expiresAt: Math.min(clock() + idle, endsAt),
      };
      const login = { userId, authenticatedAt: userId === null ? null : authenticatedAt };
      records.set(id, { id, ...login, data, idle, version: 1, ...times });
      return "created";
    },
    read: async (id) => live(id),
    async update(id, { ifVersion, touch = true, lifetime, ...changes }) {
      const record = live(id);
      if (!record) return "gone";
      if (ifVersion !== undefined && ifVersion !== record.version) return "conflict";
      const { data, userId, authenticatedAt } = changes;
      const isNewVersion = [data, userId, lifetime, authenticatedAt].some((given) => given !== undefined);
      const touchedAt = touch ? clock() : record.touchedAt;
      const endsAt = lifetime === undefined ? record.endsAt : clock() + lifetime;
      const next = {
        ...record,
        ...changes,
        version: record.version + (isNewVersion ? 1 : 0),
        touchedAt,
        endsAt,
      };
      records.set(id, { ...next, expiresAt: Math.min(touchedAt + next.idle, endsAt) });
      return "updated";
    },
    async revoke(id) {
      const wasAlive = live(id) !== null;
      records.delete(id);
      return wasAlive;
    },
    async revokeUser(user, { except } = {}) {
      const ending = [...records.values()].filter(
        ({ id, userId }) => userId === user && id !== except && live(id),
      );
      for (const { id } of ending) records.delete(id);
      return ending.length;
    },
    listUser: async (user) => [...records.values()].filter(({ id, userId }) => userId === user && live(id)),
    async *scan() {
      for (const { id } of records.values()) {
        const record = live(id);
        if (record) yield record;
      }
    },
    now: async () => clock(),
  };
}
