import { type SessionRecord, Sessions, type SessionStore } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { type Competitor, IDLE } from "./competitor.ts";

export function tenure(store: SessionStore, close: Competitor["close"]): Competitor {
  let share = 1;
  const sessions = new Sessions({
    store: { ...store, read: (id) => store.read(id).then(aged) },
    idleTimeout: IDLE,
    lifetime: "12h",
    touchEvery: TOUCH_EVERY,
  });

  /**
   * Makes a touch due by chance. Normally, that depends on the age of the last touch, and so on how often the
   * same user comes back. Chance gives the same share at every speed.
   */
  function aged(record: SessionRecord | null): SessionRecord | null {
    if (record === null) return null;
    return { ...record, touchedAt: Math.random() < share ? Date.now() - 2 * TOUCH_EVERY : record.expiresAt };
  }

  return {
    // The loads with and without HTTP each have a middleware.
    store: expressSessionStore(sessions, { silence: ["TENURE_STORE_SHARED"] }),
    dueShare(due) {
      share = due;
    },
    revokeUser: (userId) => sessions.revokeAllForUser(userId),
    revocation: "sessions.revokeAllForUser(userId)",
    close,
  };
}

/** Milliseconds. */
const TOUCH_EVERY = 60_000;
