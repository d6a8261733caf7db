import type { SessionStore } from "@tenure/core";
import { type Watched, watched } from "@tenure/watched-store";

/** A store whose calls a scenario sees, and that it can make fail. */
export interface WatchedStore extends Watched<SessionStore> {
  /** Which calls fail from here on. */
  fail(what: Failing): void;
  /** The next call of this name fails. */
  failOnce(call: string): void;
}

type Failing = "nothing" | "everything" | "updates";

export function watchedStore(store: SessionStore): WatchedStore {
  let failing: Failing = "nothing";
  let failingOnce: string | undefined;
  const watch = watched(store, (call) => {
    if (call === failingOnce) {
      failingOnce = undefined;
      throw new Error("the connection was lost");
    }
    const isUpdate = call === "update" || call === "touch";
    if (failing === "nothing" || (failing === "updates" && !isUpdate)) return;
    // What a missing unix socket gives: to frameworks this code says that there is no such session.
    throw Object.assign(new Error("connect ENOENT"), { code: "ENOENT" });
  });
  return {
    ...watch,
    fail(what) {
      failing = what;
    },
    failOnce(call) {
      failingOnce = call;
    },
  };
}
