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

/** Who ended a session. `"policy"`: Tenure, by the options or by a rule. `"unknown"`: the call was given no `actor`. */
export type EndedBy = "user" | "administrator" | "policy" | "unknown";

/** `"refused"`: what was asked was not done. `"failure"`: it could not be done. */
export type EventOutcome = "success" | "refused" | "failure";

/** What every event holds: when, what, about whom, with which outcome. Never a token, never session data (OWASP ASVS 5.0 16.2.1, 16.2.5). */
export interface SessionEvent {
  /** What happened: the name of the event, which is also its channel's after `tenure:`. */
  readonly event: keyof SessionEvents;
  /** When: epoch milliseconds, this process's clock. `new Date(at).toISOString()` is the time in UTC. */
  readonly at: number;
  readonly outcome: EventOutcome;
  /** The session. `null` where an event is about no single session. */
  readonly id: string | null;
  /** Whose session it is, or who wanted to log in. `null` while anonymous or not known. */
  readonly userId: string | null;
}

/** A session, or several, ended before their time. */
export interface RevokedEvent extends SessionEvent {
  readonly why: RevokeReason;
  readonly by: EndedBy;
  /** Who ended it: the `actor` of the call. `null`: the call was given none. */
  readonly actor: string | null;
  /** How many sessions. It is 1 where `id` is not `null`. */
  readonly count: number;
}

/** What is published on each channel `tenure:<name>` of `node:diagnostics_channel`. */
export interface SessionEvents {
  created: SessionEvent;
  /** A user has authenticated, by `logIn` or by data that name a user. */
  "logged-in": SessionEvent;
  /** A login was refused, and left no session of this user. */
  "login-refused": SessionEvent & { readonly why: "logged-out-meanwhile" | "too-many-sessions" };
  /** The session has a new token. */
  rotated: SessionEvent;
  revoked: RevokedEvent;
  /** The session's data name its user no longer: it goes on anonymously. `userId`: whose it was. */
  unbound: SessionEvent;
  /**
   * A use found its session over. A `get` of a session that the store has ended does not publish it: to `get`, expired, revoked and
   * unknown are the same.
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
  facts: Omit<SessionEvents[Name], "event" | "at" | "outcome">,
): void {
  const target = channels[name];
  if (!target.hasSubscribers) return;
  target.publish({ event: name, at: Date.now(), outcome: OUTCOMES[name], ...facts });
}

/** Publishes that sessions were ended, and by whom. */
export function publishRevoked(
  facts: Pick<RevokedEvent, "id" | "userId" | "why"> & Partial<Pick<RevokedEvent, "count" | "actor">>,
): void {
  const { id, userId, why, actor = null, count = 1 } = facts;
  const byActor = actor === userId ? "user" : "administrator";
  const by = actor === null || why === "everyone" ? ENDED_BY[why] : byActor;
  publish("revoked", { id, userId, why, by, actor, count });
}

/** Who ends sessions for which reason, if the call was given no `actor`. */
const ENDED_BY: Record<RevokeReason, EndedBy> = {
  logout: "user",
  id: "unknown",
  user: "unknown",
  everyone: "administrator",
  cap: "policy",
  login: "policy",
  "user-changed": "policy",
  fenced: "policy",
};

const OUTCOMES: Record<keyof SessionEvents, EventOutcome> = {
  created: "success",
  "logged-in": "success",
  "login-refused": "refused",
  rotated: "success",
  revoked: "success",
  unbound: "success",
  expired: "refused",
  "late-save-dropped": "refused",
  "conflict-merged": "success",
  "touch-failed": "failure",
  "superseded-token-used": "refused",
  unreadable: "failure",
  refused: "refused",
  "store-failure": "failure",
};

const channels = Object.fromEntries(
  Object.keys(OUTCOMES).map((name) => [name, channel(`tenure:${name}`)]),
) as Record<keyof SessionEvents, Channel>;
