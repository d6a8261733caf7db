import type { SessionStore } from "@tenure/core";

export interface Counted {
  readonly store: SessionStore;
  /** The calls since it was last asked, in order. */
  readonly calls: () => string[];
  /** Everything that the store was given, as text. */
  readonly written: () => string;
}

/** A store that records its calls. */
export function counted(store: SessionStore): Counted {
  let calls: string[] = [];
  const written: unknown[] = [];
  const note = (name: string, ...values: unknown[]): void => {
    calls.push(name);
    written.push(values);
  };
  return {
    calls: () => {
      const before = calls;
      calls = [];
      return before;
    },
    written: () => JSON.stringify(written),
    store: {
      create: (session) => (note("create", session), store.create(session)),
      read: (id) => (note("read", id), store.read(id)),
      update: (id, changes) => (note("update", id, changes), store.update(id, changes)),
      revoke: (id) => (note("revoke", id), store.revoke(id)),
      revokeUser: (userId, options) => (
        note("revokeUser", userId, options),
        store.revokeUser(userId, options)
      ),
      listUser: (userId) => (note("listUser", userId), store.listUser(userId)),
      scan: () => (note("scan"), store.scan()),
      now: () => (note("now"), store.now()),
    },
  };
}
