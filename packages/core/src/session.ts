import type { StoredSession } from "./envelope.ts";
import type { Policy } from "./policy.ts";
import { timeoutsOf } from "./timeouts.ts";

/**
 * A session when it was returned. Instants are epoch milliseconds of the store's clock. It holds no token and
 * is safe to list.
 */
export interface Session<Data extends object = Record<string, unknown>> extends SessionFacts {
  /** The caller's own copy: change it and `save` it. */
  readonly data: Data;
}

/** A session in a list. */
export interface ListedSession<Data extends object = Record<string, unknown>> extends SessionFacts {
  /**
   * `null`: unreadable (another codec or version, a row written by hand). `revokeById` can still end the
   * session.
   */
  readonly data: Data | null;
}

/** A session without its data. */
export interface SessionFacts {
  /** Names the session for its whole life. Logs nobody in. */
  readonly id: string;
  /** `null` while anonymous. */
  readonly userId: string | null;
  /** When the user logged in. `null` while anonymous. */
  readonly authenticatedAt: number | null;
  readonly createdAt: number;
  /** The last use. After a save or touch: this process's estimate of the store's clock. */
  readonly touchedAt: number;
  /** The idle timeout in force, milliseconds. */
  readonly idle: number;
  /** The session ends at this instant unless it is used before. */
  readonly expiresAt: number;
  /** The session ends at this instant, however much it is used. */
  readonly endsAt: number;
}

/** A session that keeps the stored session behind it out of the caller's reach. */
export class LoadedSession<Data extends object> implements Session<Data> {
  readonly id: string;
  readonly userId: string | null;
  readonly authenticatedAt: number | null;
  readonly data: Data;
  readonly createdAt: number;
  readonly touchedAt: number;
  readonly idle: number;
  readonly expiresAt: number;
  readonly endsAt: number;
  // Copies and JSON omit a private field, and it costs a page view nothing. A WeakMap doubles the work of the
  // garbage collector.
  readonly #stored: StoredSession;

  constructor(stored: StoredSession, data: Data, policy: Policy<never>) {
    const { record } = stored;
    const timeouts = timeoutsOf(stored, policy);
    this.id = record.id;
    this.userId = record.userId;
    this.authenticatedAt = record.authenticatedAt;
    this.data = data;
    this.createdAt = record.createdAt;
    this.touchedAt = record.touchedAt;
    this.idle = timeouts.idle;
    this.expiresAt = timeouts.expiresAt;
    this.endsAt = timeouts.endsAt;
    this.#stored = stored;
  }

  /** @throws TypeError for an object that `Sessions` did not return, such as a copy */
  static storedOf(session: Session<object>): StoredSession {
    if (typeof session === "object" && session !== null && #stored in session) return session.#stored;
    throw new TypeError(
      "this is not a session that create, get, save or logIn returned: pass the object itself, not a copy",
    );
  }
}
