import type { SessionStore } from "@tenure/core";

/** A store whose calls a test counts, and that can be made to fail. */
export interface WatchedStore {
  readonly store: SessionStore;
  /** Calls so far, by kind. An update that brings no data is a touch. */
  readonly counts: Record<"reads" | "touches" | "updates" | "creates" | "revokes", number>;
  /** Which calls fail from now on. */
  fail(what: "nothing" | "everything" | "updates"): void;
}

export function watched(store: SessionStore): WatchedStore {
  const counts = { reads: 0, touches: 0, updates: 0, creates: 0, revokes: 0 };
  let failing: "nothing" | "everything" | "updates" = "nothing";
  const reach = (call: "update" | "other"): void => {
    if (failing === "nothing" || (failing === "updates" && call !== "update")) return;
    // What a missing unix socket gives: to frameworks this code says that there is no such session.
    throw Object.assign(new Error("connect ENOENT"), { code: "ENOENT" });
  };
  return {
    counts,
    fail(what) {
      failing = what;
    },
    store: {
      async create(session) {
        counts.creates += 1;
        reach("other");
        return store.create(session);
      },
      async read(id) {
        counts.reads += 1;
        reach("other");
        return store.read(id);
      },
      async update(id, changes) {
        counts[changes.data === undefined && changes.userId === undefined ? "touches" : "updates"] += 1;
        reach("update");
        return store.update(id, changes);
      },
      async revoke(id) {
        counts.revokes += 1;
        reach("other");
        return store.revoke(id);
      },
      async revokeUser(userId, options) {
        reach("other");
        return store.revokeUser(userId, options);
      },
      async listUser(userId) {
        reach("other");
        return store.listUser(userId);
      },
      async *scan() {
        reach("other");
        yield* store.scan();
      },
      async now() {
        reach("other");
        return store.now();
      },
    },
  };
}
