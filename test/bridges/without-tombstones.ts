import type { SessionRecord, SessionStore } from "@tenure/core";

/**
 * Returns the store without tombstones: it forgets revoked sessions immediately, so that their ids can be
 * created again. This breaks promise 3 of the contract. A bridge that knows what its request loaded works on
 * it; a bridge that relies on tombstones does not.
 */
export function withoutTombstones(store: SessionStore): SessionStore {
  /** How often each id was revoked. After each time, the inner store gets another id for it. */
  const revocations = new Map<string, number>();
  const inner = (id: string): string => `${id}#${revocations.get(id) ?? 0}`;
  const outer = (record: SessionRecord): SessionRecord => ({ ...record, id: record.id.replace(/#\d+$/, "") });
  const forget = (id: string): void => void revocations.set(id, (revocations.get(id) ?? 0) + 1);

  return {
    create: (session) => store.create({ ...session, id: inner(session.id) }),
    async read(id) {
      const record = await store.read(inner(id));
      return record && outer(record);
    },
    update: (id, changes) => store.update(inner(id), changes),
    async revoke(id) {
      const wasAlive = await store.revoke(inner(id));
      forget(id);
      return wasAlive;
    },
    async revokeUser(userId, { except } = {}) {
      const ended = (await store.listUser(userId)).map((record) => outer(record).id);
      const count = await store.revokeUser(userId, except === undefined ? {} : { except: inner(except) });
      for (const id of ended.filter((one) => one !== except)) forget(id);
      return count;
    },
    listUser: async (userId) => (await store.listUser(userId)).map(outer),
    async *scan() {
      for await (const record of store.scan()) yield outer(record);
    },
    now: () => store.now(),
  };
}
