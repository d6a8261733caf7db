import { channel, type Channel } from "node:diagnostics_channel";

/**
 * Why a session was ended. `"login"`: another user logged in over it. `"user-changed"`: a plain save replaced its user by another.
 * `"fenced"`: a login in it was refused, because its user had been logged out everywhere.
 */
export type RevokeReason =
  | "logout"
  | "id"
  | "user"
  | "everyone"
  | "cap"
  | "login"
  | "user-changed"
  | "fenced";

/** What every event holds. Never a token, never session data (OWASP ASVS 5.0 16.2.1, 16.2.5). */
export interface SessionEvent {
  /** Epoch milliseconds, this process's clock. */
  readonly at: number;
  /** `null` where an event is about no single session. */
  readonly id: string | null;
  /** `null` while anonymous or not known. */
  readonly userId: string | null;
}

export interface SessionEvents {
  created: SessionEvent;
  /** A user has authenticated, by `logIn` or by data that name a user. */
  "logged-in": SessionEvent;
  /** A login was refused, and left no session of this user. */
  "login-refused": SessionEvent & { readonly why: "logged-out-meanwhile" | "too-many-sessions" };
  /** The session has a new token. */
  rotated: SessionEvent;
  /** `count`: how many sessions, where `id` is `null`. */
  revoked: SessionEvent & { readonly why: RevokeReason; readonly count: number };
  /** The session's data name its user no longer: it goes on anonymously. `userId`: whose it was. */
  unbound: SessionEvent;
  /**
   * A use found its session over. A `get` of a session that the store has ended cannot tell: to it, expired, revoked and unknown
   * are the same.
   */
  expired: SessionEvent;
  /** A save was dropped because the session had ended, or had another user or token by then. */
  "late-save-dropped": SessionEvent;
  /** A save met another's and kept the changes of both. */
  "conflict-merged": SessionEvent;
  /** The idle timeout was not restarted; the request went on. */
  "touch-failed": SessionEvent & { readonly error: unknown };
  /** A token was used that was replaced more than 30 seconds ago: it may have been stolen. */
  "superseded-token-used": SessionEvent;
  /**
   * A record was met that cannot be read: of another codec or version, written by hand, changed, or copied from another session. `keyId`: the key
   * that it names, if it is protected.
   */
  unreadable: SessionEvent & { readonly keyId: string | null };
  /** Bad input was refused before anything was written. `why`: one human-readable line. */
  refused: SessionEvent & { readonly why: string };
  "store-failure": SessionEvent & { readonly error: Error };
}

/** Publishes on `node:diagnostics_channel`, on the channel `tenure:` and the event's name. */
export function publish<Name extends keyof SessionEvents>(
  name: Name,
  event: Omit<SessionEvents[Name], "at">,
): void {
  const target = channels[name];
  if (target.hasSubscribers) target.publish({ at: Date.now(), ...event });
}

const channels: Record<keyof SessionEvents, Channel> = {
  created: channel("tenure:created"),
  "logged-in": channel("tenure:logged-in"),
  "login-refused": channel("tenure:login-refused"),
  rotated: channel("tenure:rotated"),
  revoked: channel("tenure:revoked"),
  unbound: channel("tenure:unbound"),
  expired: channel("tenure:expired"),
  "late-save-dropped": channel("tenure:late-save-dropped"),
  "conflict-merged": channel("tenure:conflict-merged"),
  "touch-failed": channel("tenure:touch-failed"),
  "superseded-token-used": channel("tenure:superseded-token-used"),
  unreadable: channel("tenure:unreadable"),
  refused: channel("tenure:refused"),
  "store-failure": channel("tenure:store-failure"),
};
