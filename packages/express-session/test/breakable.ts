import type { SessionStore } from "@tenure/core";
import { watched } from "@tenure/watched-store";

/** A store whose methods fail on demand, as one whose server is gone. */
export function breakable(store: SessionStore): {
  readonly store: SessionStore;
  /** From now on. `undefined`: it is back. `touch` stands for updates of nothing but the idle timeout. */
  readonly fail: (methods: readonly (keyof SessionStore | "touch")[] | undefined) => void;
} {
  let failing: ReadonlySet<string> = new Set();
  const { store: breaking } = watched(store, (call) => {
    if (!failing.has(call)) return;
    // The error of a client whose unix socket is gone. Express-session takes its code for "no session".
    throw Object.assign(new Error("connect ENOENT /run/redis.sock"), { code: "ENOENT" });
  });
  return {
    store: breaking,
    fail: (methods = []) => {
      failing = new Set(methods);
    },
  };
}
