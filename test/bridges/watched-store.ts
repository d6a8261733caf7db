import type { SessionStore } from "@tenure/core";
import { type Watched, watched } from "@tenure/store-wrappers/watched";

/** A store whose calls a scenario can observe and make fail. */
export interface WatchedStore extends Watched<SessionStore> {
  /** Sets which calls fail from now on. */
  fail(what: Failing): void;
  /** Makes the next call of this name fail. */
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
    // The code of a missing Unix socket. Frameworks take this code to mean that there is no such session.
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
