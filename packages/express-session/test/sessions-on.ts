import { Sessions, type SessionStore } from "@tenure/core";

/** The policy of the tests: an unmodified request touches at once, so that a late touch is seen. */
export function sessionsOn(store: SessionStore): Sessions {
  return new Sessions({ store, idleTimeout: "30m", lifetime: "12h", touchEvery: "1ms" });
}
