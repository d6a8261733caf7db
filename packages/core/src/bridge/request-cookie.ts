import type { Look } from "../look.ts";
import type { Session } from "../session.ts";
import type { SessionRecord } from "../store.ts";

/** What a request's cookie stands for. */
export interface Loaded<Data extends object> {
  /** The session to show to the framework. `null`: there is none, and the framework makes a new one. */
  readonly session: Session<Data> | null;
  readonly token: string;
  readonly look: Look;
  /** Of `performance.now()`. */
  readonly startedAt: number;
}

/** What a request's cookie stood for, if not for a live session. */
export type OtherCookie = Exclude<Look, { readonly state: "live" }>;

export const DEAD = { state: "dead" } as const;

/** Whether another request of this browser has just replaced the token, and its response brings the new one. */
export function isJustReplaced(cookie: OtherCookie): boolean {
  return cookie.state === "superseded" && cookie.isRecent;
}

/** Whether the token is an anonymous visitor's from before a login. Somebody else may have planted it, so it cannot log out. */
export function mayBePlanted(cookie: OtherCookie): boolean {
  return cookie.state === "superseded" && !cookie.previous.wasUsers;
}

/** The session that a logout with the cookie ends. `undefined`: none. */
export function sessionOf(cookie: OtherCookie): SessionRecord | undefined {
  if (cookie.state === "unreadable") return cookie.record;
  return cookie.state === "superseded" && !mayBePlanted(cookie) ? cookie.stored.record : undefined;
}
