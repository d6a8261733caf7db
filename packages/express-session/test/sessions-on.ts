import { Sessions, type SessionStore } from "@tenure/core";

/**
 * The policy of most tests. A short `touchEvery` makes late requests touch, so that a test can observe it.
 */
export function sessionsOn(store: SessionStore): Sessions {
  return new Sessions({ store, idleTimeout: "30m", lifetime: "12h", touchEvery: "1ms" });
}
