/**
 * The contract between Tenure and a backend.
 *
 * A store keeps session records and changes each of them atomically. It knows nothing about tokens, cookies,
 * policy or frameworks. Every instant is epoch milliseconds of the **store's** clock and every duration is
 * milliseconds, so an application server with a wrong clock can neither shorten nor lengthen a session.
 *
 * An optional key of the input that is `undefined` counts as absent.
 *
 * Absence is a value: `null`, `false` or `"gone"` for a session that is dead, unknown or expired. If the
 * backend is down, slow or refuses, a call rejects with a {@link StoreError}, and the change may or may not
 * have happened.
 *
 * `docs/ARCHITECTURE.md` lists the promises of a store. Each is a chapter of `@tenure/conformance`.
 */
export interface SessionStore {
  /**
   * Stores a new session. Of any number of concurrent creates of one id, one resolves to `"created"`.
   *
   * @returns `"taken"`: a session with this id is alive or was revoked. `"fenced"`: the user was logged out
   *   everywhere at or after `authenticatedAt`. Neither leaves anything readable
   */
  create(session: NewSession): Promise<CreateResult>;
  /** Returns the live session. `null`: unknown, expired or revoked. A read is not a use. */
  read(id: string): Promise<SessionRecord | null>;
  /**
   * Makes all of `changes` to a live session, or none. Restarts the idle timeout unless `touch` is `false`;
   * `{}` is a touch.
   *
   * @returns `"gone"`: there is no live session. `"conflict"`: the session is alive, but its version is not
   *   `ifVersion`. `"fenced"`: the change would bind the session to a user who was logged out everywhere at
   *   or after `authenticatedAt`; the session has ended
   */
  update(id: string, changes: SessionChanges): Promise<UpdateResult>;
  /**
   * Ends a session, and leaves a tombstone even if there is none to end. `true`: this call ended a live
   * session.
   */
  revoke(id: string): Promise<boolean>;
  /**
   * Sets the user's fence to an instant of the store's clock, ends the user's sessions that authenticated at
   * or before it, and resolves once the clock has passed it.
   *
   * From then on, the store refuses every create for this user, and every update that binds a session that is
   * not yet this user's, if its `authenticatedAt` is at or before the fence, whether that call began before
   * or after this one. A later call never lowers the fence.
   *
   * @returns how many sessions this call ended
   */
  revokeUser(userId: string, options?: RevokeUserOptions): Promise<number>;
  /** Returns the live sessions of a user, oldest `createdAt` first; ties in any order. */
  listUser(userId: string): Promise<SessionRecord[]>;
  /**
   * Iterates over the live sessions, in any order, for counting and audit. Includes each session that is
   * alive throughout. If a record cannot be decoded, the scan yields all others first and then rejects.
   */
  scan(): AsyncIterable<SessionRecord>;
  /** Returns the store's clock, epoch milliseconds. */
  now(): Promise<number>;
}

/** A session as a store keeps it. */
export interface SessionRecord {
  /** Names the session for its whole life. */
  readonly id: string;
  /** `null` while anonymous. */
  readonly userId: string | null;
  /** When the user logged in. `null` while anonymous. Never decreases while the session has a user. */
  readonly authenticatedAt: number | null;
  /** Opaque to the store. */
  readonly data: string;
  /** 1 at creation. Grows by 1 when an update gives `data`, `userId`, `lifetime` or `authenticatedAt`. */
  readonly version: number;
  readonly createdAt: number;
  /** The last create, or update that did not give `touch: false`. */
  readonly touchedAt: number;
  /** The idle timeout in force, milliseconds. */
  readonly idle: number;
  /** The session is dead from this instant on: `min(touchedAt + idle, endsAt)`. */
  readonly expiresAt: number;
  /** The end of the absolute lifetime. Only an update with `lifetime` moves it. */
  readonly endsAt: number;
}

/** A session to create. Its durations are positive integers of milliseconds, up to {@link MAX_DURATION}. */
export interface NewSession {
  readonly id: string;
  readonly userId: string | null;
  readonly data: string;
  readonly idle: number;
  readonly lifetime: number;
  /**
   * An instant at or before the user's login, as in {@link SessionChanges.authenticatedAt}. Only with a
   * `userId`.
   */
  readonly authenticatedAt?: number;
}

/** What an update changes. A key that is absent or `undefined` changes nothing. */
export interface SessionChanges {
  readonly data?: string;
  /** `null` unbinds the session from its user. */
  readonly userId?: string | null;
  /** A new idle timeout, milliseconds. */
  readonly idle?: number;
  /** Restarts the absolute lifetime: `endsAt` is this many milliseconds from now. */
  readonly lifetime?: number;
  /**
   * An instant of the store's clock at or before the beginning of the login. A future instant counts as now.
   * If a change that binds has none, it counts as later than every fence so far. An instant older than the
   * store's tombstone minimum is always refused (`"fenced"`), so that a store may forget a fence after that
   * time.
   *
   * An update **binds** if it changes `userId` to a user or gives `authenticatedAt`. The same `userId` alone
   * changes nothing.
   */
  readonly authenticatedAt?: number;
  /**
   * `false`: this update is not a use and leaves `touchedAt` unchanged. A value that is not a boolean is a
   * `TypeError`.
   */
  readonly touch?: boolean;
  /** Change only this version of the session. */
  readonly ifVersion?: number;
}

/** The results of {@link SessionStore.create}. */
export type CreateResult = "created" | "taken" | "fenced";

/** The results of {@link SessionStore.update}. */
export type UpdateResult = "updated" | "gone" | "conflict" | "fenced";

/** Limits what `revokeUser` ends. */
export interface RevokeUserOptions {
  /** The id of a session to leave alive: the current one, after a change of password. */
  readonly except?: string;
  /**
   * Sets the fence to this instant instead of now, so that a logout that arrives late ends only older logins.
   * A future instant is a `TypeError`.
   */
  readonly authenticatedUpTo?: number;
}

/** The longest duration that a store must accept, milliseconds: 100 years of 365 days. */
export const MAX_DURATION: number = 100 * 365 * 24 * 60 * 60 * 1000;
