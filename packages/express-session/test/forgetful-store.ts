import type { SessionRecord, SessionStore } from "@tenure/core";

/** A store that keeps no tombstones: an id that was revoked can be created anew. What then holds, holds by identity alone. */
export function forgetfulStore(clock: () => number): SessionStore {
  const records = new Map<string, SessionRecord>();
  const live = (id: string): SessionRecord | null => {
    const record = records.get(id);
    return record && clock() < record.expiresAt ? record : null;
  };
  return {
    async create({ id, userId, data, idle, lifetime, createdAt = clock() }) {
      if (live(id)) return false;
      const endsAt = createdAt + lifetime;
      const times = { createdAt, touchedAt: clock(), endsAt, expiresAt: Math.min(clock() + idle, endsAt) };
      records.set(id, { id, userId, data, idle, version: 1, ...times });
      return true;
    },
    read: async (id) => live(id),
    async update(id, { ifVersion, ...changes }) {
      const record = live(id);
      if (!record) return "gone";
      if (ifVersion !== undefined && ifVersion !== record.version) return "conflict";
      const grown = changes.data !== undefined || changes.userId !== undefined ? 1 : 0;
      const next = { ...record, ...changes, version: record.version + grown, touchedAt: clock() };
      records.set(id, { ...next, expiresAt: Math.min(clock() + next.idle, next.endsAt) });
      return "updated";
    },
    async revoke(id) {
      const wasAlive = live(id) !== null;
      records.delete(id);
      return wasAlive;
    },
    async revokeUser(userId, { except } = {}) {
      const ending = [...records.values()].filter(
        (record) => record.userId === userId && record.id !== except && live(record.id),
      );
      for (const { id } of ending) records.delete(id);
      return ending.length;
    },
    listUser: async (userId) =>
      [...records.values()].filter(({ id, userId: of }) => of === userId && live(id)),
    async *scan() {
      for (const { id } of records.values()) {
        const record = live(id);
        if (record) yield record;
      }
    },
    now: async () => clock(),
  };
}
