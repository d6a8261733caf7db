import type { SessionStore } from "@tenure/core";

/** A store that counts what it is asked, and a way to look at the calls since the last look. */
export function counted(store: SessionStore): {
  readonly store: SessionStore;
  readonly calls: () => string[];
} {
  let calls: string[] = [];
  const note = <Answer>(name: string, call: () => Answer): Answer => {
    calls.push(name);
    return call();
  };
  return {
    calls: () => {
      const since = calls;
      calls = [];
      return since;
    },
    store: {
      create: (session) => note("create", () => store.create(session)),
      read: (id) => note("read", () => store.read(id)),
      update: (id, changes) =>
        note(changes.data === undefined ? "touch" : "update", () => store.update(id, changes)),
      revoke: (id) => note("revoke", () => store.revoke(id)),
      revokeUser: (userId, options) => note("revokeUser", () => store.revokeUser(userId, options)),
      listUser: (userId) => note("listUser", () => store.listUser(userId)),
      scan: () => note("scan", () => store.scan()),
      // The clock is sampled now and then, whatever the requests do.
      now: () => store.now(),
    },
  };
}
