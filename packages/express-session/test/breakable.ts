import type { SessionStore } from "@tenure/core";
import { watched } from "@tenure/store-wrappers/watched";

/** A store whose methods fail on demand, as if its server were gone. */
export function breakable(store: SessionStore): {
  readonly store: SessionStore;
  /**
   * Makes these methods fail, and all others succeed. `undefined`: all succeed. `touch` is an `update`
   * without data and without a user.
   */
  readonly fail: (methods: readonly (keyof SessionStore | "touch")[] | undefined) => void;
} {
  let failing: ReadonlySet<string> = new Set();
  const { store: breaking } = watched(store, (call) => {
    if (!failing.has(call)) return;
    // The error of a client whose Unix socket is gone. express-session takes this code for "no session".
    throw Object.assign(new Error("connect ENOENT /run/redis.sock"), { code: "ENOENT" });
  });
  return {
    store: breaking,
    fail: (methods = []) => {
      failing = new Set(methods);
    },
  };
}
