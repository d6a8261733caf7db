import { channel, type Channel } from "node:diagnostics_channel";
import type { SessionRecord } from "./store.ts";

/**
 * Why a session was ended. `"login"`: a login began a new session instead of it. `"user-changed"`: a plain
 * save replaced its user by another. `"fenced"`: a login in it was refused, because the user had been logged
 * out everywhere.
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

/**
 * Who ended a session. `"policy"`: Tenure, by an option or a rule. `"unknown"`: the call was given no
 * `actor`.
 */
export type EndedBy = "user" | "administrator" | "policy" | "unknown";

/** `"refused"`: Tenure declined to do it. `"failure"`: it was attempted and failed. */
export type EventOutcome = "success" | "refused" | "failure";

/** The fields of every event. No event holds a token or session data (OWASP ASVS 5.0 16.2.1, 16.2.5). */
export interface SessionEvent {
  /** The name of the event. It is published on the channel `tenure:<name>`. */
  readonly event: keyof SessionEvents;
  /** Epoch milliseconds by this process's clock. `new Date(at).toISOString()` is the time in UTC. */
  readonly at: number;
  readonly outcome: EventOutcome;
  /** The session's id. `null` if the event is not about a single session. */
  readonly id: string | null;
  /** The session's user, or the user who tried to log in. `null` if anonymous or unknown. */
  readonly userId: string | null;
}

/** One or several sessions were ended before they expired. */
export interface RevokedEvent extends SessionEvent {
  readonly why: RevokeReason;
  readonly by: EndedBy;
  /** The `actor` given to the call. `null`: none was given. */
  readonly actor: string | null;
  /** How many sessions ended: 1 unless `id` is `null`. */
  readonly count: number;
}

/** The events by name. Each is published on the channel `tenure:<name>` of `node:diagnostics_channel`. */
export interface SessionEvents {
  created: SessionEvent;
  /** A user logged in, by `logIn` or by saving data that name a user. */
  "logged-in": SessionEvent;
  /** A login was refused. The user has no session from it. */
  "login-refused": SessionEvent & { readonly why: "logged-out-meanwhile" | "too-many-sessions" };
  rotated: SessionEvent;
  revoked: RevokedEvent;
  /**
   * The session's data stopped naming its user, and the session continues anonymously. `userId`: the former
   * user.
   */
  unbound: SessionEvent;
  /**
   * A session had expired when it was used. A `get` for which the store returns nothing does not publish
   * this, because it cannot tell expired from revoked or unknown.
   */
  expired: SessionEvent;
  /**
   * A save was dropped: the session had ended, or its user or token had changed since the request read it.
   */
  "late-save-dropped": SessionEvent;
  /** A save conflicted with another, and the changes of both were kept. */
  "conflict-merged": SessionEvent;
  /** The idle timeout could not be restarted. The request continued. */
  "touch-failed": SessionEvent & { readonly error: unknown };
  /** A token was used more than 30 seconds after its replacement: it may have been stolen. */
  "superseded-token-used": SessionEvent;
  /**
   * A record could not be read: it has another codec or version, was written or changed by hand, or was
   * copied from another session. `keyId`: the key that a protected record names.
   */
  unreadable: SessionEvent & { readonly keyId: string | null };
  /** Bad input was refused before anything was written. `why`: one human-readable line. */
  refused: SessionEvent & { readonly why: string };
  "store-failure": SessionEvent & { readonly error: Error };
}

/** Publishes an event on its channel of `node:diagnostics_channel`. */
export function publish<Name extends keyof SessionEvents>(
  name: Name,
  facts: Omit<SessionEvents[Name], "event" | "at" | "outcome">,
): void {
  const target = channels[name];
  if (!target.hasSubscribers) return;
  target.publish({ event: name, at: Date.now(), outcome: OUTCOMES[name], ...facts });
}

/** Publishes that sessions were ended, and derives `by` from the reason and the `actor`. */
export function publishRevoked(
  facts: Pick<RevokedEvent, "id" | "userId" | "why"> & Partial<Pick<RevokedEvent, "count" | "actor">>,
): void {
  const { id, userId, why, actor = null, count = 1 } = facts;
  const byActor = actor === userId ? "user" : "administrator";
  const by = actor === null || why === "everyone" ? ENDED_BY[why] : byActor;
  publish("revoked", { id, userId, why, by, actor, count });
}

/** Publishes that the store refused to log a user in to a session, and has ended it. */
export function publishFenced(
  { id, userId: owner }: Pick<SessionRecord, "id" | "userId">,
  userId: string,
): void {
  publish("login-refused", { id, userId, why: "logged-out-meanwhile" });
  publishRevoked({ id, userId: owner, why: "fenced" });
}

/** For calls without an `actor`. */
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
