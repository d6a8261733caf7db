/**
 * The contract between Tenure and a backend, on one screen.
 *
 * A store keeps session records, each changed atomically and on its own. It knows nothing of tokens, cookies, policy or
 * frameworks. Every instant is epoch milliseconds of the **store's** clock, every duration is milliseconds: an
 * application server whose clock is wrong can neither shorten nor lengthen a session.
 *
 * Absence is a value: what is dead, unknown or expired is `null`, `false` or `"gone"`. A backend that is down, slow or
 * refuses rejects with a {@link StoreError}, and then nobody knows whether the change happened.
 *
 * The eleven promises a store keeps, and how their words are read, are in `docs/ARCHITECTURE.md`; each is a chapter of
 * `@tenure/conformance`.
 */
export interface SessionStore {
  /**
   * Stores a new session. `false`: the id is alive or was revoked, or the session's end has already passed; nothing is
   * written. Of any number of concurrent creates of one id, one answers `true`.
   */
  create(session: NewSession): Promise<boolean>;
  /** The live session, or `null`: unknown, expired or revoked. Reading is not a use: it restarts nothing. */
  read(id: string): Promise<SessionRecord | null>;
  /**
   * Changes a live session, all of `changes` or nothing, and restarts its idle timeout; `{}` only restarts it (a touch).
   * Never moves `endsAt`. `"gone"`: there is no live session. `"conflict"`: alive, but its version is not `ifVersion`.
   */
  update(id: string, changes: SessionChanges): Promise<UpdateResult>;
  /** Ends a session and leaves a tombstone, whatever it found. `true`: it was alive, and this call ended it. */
  revoke(id: string): Promise<boolean>;
  /** Ends every live session of a user, but for the id in `except`. Answers how many this very call ended. */
  revokeUser(userId: string, options?: RevokeUserOptions): Promise<number>;
  /** The live sessions of a user, oldest `createdAt` first; ties in any order. */
  listUser(userId: string): Promise<SessionRecord[]>;
  /** Every live session, in any order: for counting and audit. Holds each that is alive throughout. */
  scan(): AsyncIterable<SessionRecord>;
  /** The store's clock, epoch milliseconds. */
  now(): Promise<number>;
}

/** A session as a store keeps it. */
export interface SessionRecord {
  readonly id: string;
  /** `null` while anonymous. */
  readonly userId: string | null;
  /** Opaque to the store. */
  readonly data: string;
  /** 1 at creation; grows by exactly 1 when `data` or `userId` is given, never by a touch. */
  readonly version: number;
  readonly createdAt: number;
  /** The last create or update. */
  readonly touchedAt: number;
  /** The idle timeout in force, milliseconds. */
  readonly idle: number;
  /** The session is dead from this instant on: `min(touchedAt + idle, endsAt)`. */
  readonly expiresAt: number;
  /** `createdAt + lifetime`. No sequence of calls moves it. */
  readonly endsAt: number;
}

export interface NewSession {
  readonly id: string;
  readonly userId: string | null;
  readonly data: string;
  /** The idle timeout, milliseconds. A positive integer up to {@link MAX_DURATION}. */
  readonly idle: number;
  /** The absolute lifetime, milliseconds. A positive integer up to {@link MAX_DURATION}. */
  readonly lifetime: number;
  /**
   * When the session began, where it continues another (rotation): the other's own `createdAt`, so that `endsAt` stays
   * where it was. Absent, or later than the store's clock: now.
   */
  readonly createdAt?: number;
}

/** At least the idle timeout restarts. A key that is absent leaves what is stored. */
export interface SessionChanges {
  readonly data?: string;
  /** `null` unbinds the session from its user. */
  readonly userId?: string | null;
  /** A new idle timeout, milliseconds. */
  readonly idle?: number;
  /** Change only this version of the session. */
  readonly ifVersion?: number;
}

export type UpdateResult = "updated" | "gone" | "conflict";

export interface RevokeUserOptions {
  /** The id of a session to leave alive: the current one, after a change of password. */
  readonly except?: string;
}

/** The longest duration that a store must take, milliseconds: 100 years of 365 days. */
export const MAX_DURATION: number = 100 * 365 * 24 * 60 * 60 * 1000;
