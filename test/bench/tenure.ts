import { type SessionRecord, Sessions, type SessionStore } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { type Competitor, IDLE } from "./competitor.ts";

export function tenure(store: SessionStore, close: Competitor["close"]): Competitor {
  let share = 1;
  const sessions = new Sessions({
    store: { ...store, read: (id) => store.read(id).then(withRandomTouchedAt) },
    idleTimeout: IDLE,
    lifetime: "12h",
    touchEvery: TOUCH_EVERY,
  });

  /**
   * Decides at random whether a touch is due. Otherwise it would depend on the age of the last touch, and so
   * on how often the load uses the same session. This way, the share is the same at every speed.
   */
  function withRandomTouchedAt(record: SessionRecord | null): SessionRecord | null {
    if (record === null) return null;
    return { ...record, touchedAt: Math.random() < share ? Date.now() - 2 * TOUCH_EVERY : record.expiresAt };
  }

  return {
    // The loads with and without HTTP have a middleware each, which share the store.
    store: expressSessionStore(sessions, { silence: ["TENURE_STORE_SHARED"] }),
    setDueShare(due) {
      share = due;
    },
    revokeUser: (userId) => sessions.revokeAllForUser(userId),
    revocation: "sessions.revokeAllForUser(userId)",
    close,
  };
}

/** In milliseconds. */
const TOUCH_EVERY = 60_000;
