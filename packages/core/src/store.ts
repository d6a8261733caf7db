/**
 * The contract between Tenure and a backend.
 *
 * A store keeps session records and changes each of them atomically. It knows nothing about tokens, cookies, policy or
 * frameworks. Every instant is epoch milliseconds of the **store's** clock and every duration is milliseconds, so an
 * application server with a wrong clock can neither shorten nor lengthen a session.
 *
 * Absence is a value: a session that is dead, unknown or expired is `null`, `false` or `"gone"`. A backend that is down, slow or
 * refuses rejects with a {@link StoreError}, and then the change may or may not have happened.
 *
 * The promises of a store, and how their words are read, are in `docs/ARCHITECTURE.md`. Each is a chapter of
 * `@tenure/conformance`.
 */
export interface SessionStore {
  /**
   * Stores a new session. `"taken"`: a session with this id is alive or was revoked. `"fenced"`: the user was logged out
   * everywhere at or after `authenticatedAt`. In both cases nothing readable is written. Of any number of concurrent creates of one id, one
   * resolves to `"created"`.
   */
  create(session: NewSession): Promise<CreateResult>;
  /** The live session, or `null`: unknown, expired or revoked. Reading is not a use and restarts nothing. */
  read(id: string): Promise<SessionRecord | null>;
  /**
   * Makes all of `changes` to a live session, or none. Restarts the idle timeout unless `touch` is `false`; `{}` is a touch.
   *
   * `"gone"`: there is no live session. `"conflict"`: it is alive, and its version is not `ifVersion`. `"fenced"`: the change binds a
   * session to a user who was logged out everywhere at or after `authenticatedAt`; the session has been ended.
   */
  update(id: string, changes: SessionChanges): Promise<UpdateResult>;
  /** Ends a session and leaves a tombstone, whatever it found. `true`: it was alive, and this call ended it. */
  revoke(id: string): Promise<boolean>;
  /**
   * Fixes the user's fence at an instant of the store's clock, ends the user's sessions that were authenticated at or before it, and
   * resolves once the clock has passed it. Resolves to the number of sessions that this call ended.
   *
   * Once it has resolved, every create for this user, and every update that binds another session to this user, is refused if its
   * `authenticatedAt` is at or before the fence, whether it began before or after this call. A later call never lowers the fence.
   */
  revokeUser(userId: string, options?: RevokeUserOptions): Promise<number>;
  /** The live sessions of a user, oldest `createdAt` first; ties in any order. */
  listUser(userId: string): Promise<SessionRecord[]>;
  /**
   * Every live session, in any order, for counting and audit. Includes each that is alive throughout. If a record cannot be decoded, it rejects at
   * its end, after all others.
   */
  scan(): AsyncIterable<SessionRecord>;
  /** The store's clock, epoch milliseconds. */
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

/** A session to create. Durations are milliseconds, and the store's clock decides. */
export interface NewSession {
  readonly id: string;
  readonly userId: string | null;
  readonly data: string;
  /** The idle timeout, milliseconds. A positive integer up to {@link MAX_DURATION}. */
  readonly idle: number;
  /** The absolute lifetime, milliseconds. A positive integer up to {@link MAX_DURATION}. */
  readonly lifetime: number;
  /** An instant at or before the user's login, as in {@link SessionChanges.authenticatedAt}. Only with a `userId`. */
  readonly authenticatedAt?: number;
}

/** What an update changes. A key that is absent leaves what is stored. */
export interface SessionChanges {
  readonly data?: string;
  /** `null` unbinds the session from its user. */
  readonly userId?: string | null;
  /** A new idle timeout, milliseconds. */
  readonly idle?: number;
  /** Restarts the absolute lifetime: `endsAt` is this many milliseconds from now. */
  readonly lifetime?: number;
  /**
   * An instant of the store's clock that is certainly not after the beginning of the login. An instant in the future counts as now. Absent in
   * a change that binds: after every fence so far. If it is older than the store's tombstone minimum, the call is refused (`"fenced"`)
   * in any case, so that a store may forget a fence after that time.
   *
   * An update **binds** if it changes `userId` to a user or gives `authenticatedAt`. The same `userId` alone changes nothing.
   */
  readonly authenticatedAt?: number;
  /** `false`: this update is not a use and leaves `touchedAt` as it is. */
  readonly touch?: boolean;
  /** Change only this version of the session. */
  readonly ifVersion?: number;
}

/** `"taken"`: the id is alive or was revoked. `"fenced"`: the login is older than the user's fence. Both wrote nothing. */
export type CreateResult = "created" | "taken" | "fenced";

/** `"gone"`: the session is dead. `"conflict"`: it is alive, with another version. `"fenced"`: the login was refused, and the session has ended. */
export type UpdateResult = "updated" | "gone" | "conflict" | "fenced";

/** What `revokeUser` spares. */
export interface RevokeUserOptions {
  /** The id of a session to leave alive: the current one, after a change of password. */
  readonly except?: string;
  /**
   * Fixes the fence at this instant instead of now, so that a logout that arrives late ends only older logins. A `TypeError` if it is in
   * the future.
   */
  readonly authenticatedUpTo?: number;
}

/** The longest duration that a store must accept, milliseconds: 100 years of 365 days. */
export const MAX_DURATION: number = 100 * 365 * 24 * 60 * 60 * 1000;
