import type { Live, Look } from "../look.ts";
import type { Session } from "../session.ts";
import type { SessionRecord } from "../store.ts";

/** What a request's cookie stands for. Unless it is a live session, the framework makes a new one. */
export type Loaded<Data extends object> = LoadedLive<Data> | LoadedOther;

/** A live session. */
export type LoadedLive<Data extends object> = LoadResult<Session<Data>, Live>;

/** No live session; `look` is what the cookie stands for instead. */
export type LoadedOther = LoadResult<null, OtherCookie>;

/** A class for the reason given at `StoredSession`. */
export class LoadResult<Shown, Found extends Look> {
  readonly session: Shown;
  readonly token: string;
  readonly look: Found;
  /** When the read began, by `performance.now()`. */
  readonly startedAt: number;

  constructor(session: Shown, token: string, found: Found, startedAt: number) {
    this.session = session;
    this.token = token;
    this.look = found;
    this.startedAt = startedAt;
  }
}

/** Session data from a cache in front of the store. The session itself has not been read. */
export interface Copy<Data extends object> {
  readonly token: string;
  readonly data: Data;
  /** Whether the request may have changed the data already, so that the original is unknown. */
  readonly mayBeChanged: boolean;
}

/** What a request's cookie stands for, unless it is a live session. */
export type OtherCookie = Exclude<Look, Live>;

/** Whether another request of this browser has just replaced the token. Its response brings the new one. */
export function isJustReplaced(cookie: OtherCookie): boolean {
  return cookie.state === "superseded" && cookie.isRecent;
}

/**
 * Whether a replaced token belonged to an anonymous visitor or another user. Somebody else may have planted
 * it, so it cannot log out.
 */
export function mayBePlanted(cookie: OtherCookie): boolean {
  return cookie.state === "superseded" && !cookie.previous.wasUsers;
}

/** Returns the session that a logout with the cookie ends. `undefined`: none. */
export function sessionOf(cookie: OtherCookie): SessionRecord | undefined {
  if (cookie.state === "unreadable") return cookie.record;
  return cookie.state === "superseded" && !mayBePlanted(cookie) ? cookie.stored.record : undefined;
}
