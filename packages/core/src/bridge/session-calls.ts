import type { LoginRefusal } from "../cap.ts";
import type { LoginSettings } from "../sessions.ts";
import type { UserId } from "../user.ts";

/**
 * The calls that a bridge's store adds to the framework's own. After `logIn` and `rotate`, the framework's
 * session object may be another one.
 */
export interface SessionCalls<Request> {
  /**
   * Logs in a user who has just authenticated: the session gets a new token, and its lifetime restarts. An
   * anonymous session, or one of the same user, keeps its data, with this request's unsaved changes. Another
   * user's session is replaced by a new one, which takes over the keys named in `keep`. A refused login logs
   * nobody in.
   */
  logIn(request: Request, user: UserId, options?: RequestLogin): Promise<LoginOutcome>;
  /** Ends the session that this request saw, even if its token has been replaced since. */
  logOut(request: Request): Promise<void>;
  /**
   * Logs the session's user out everywhere and returns how many sessions ended. If it rejects, sessions may be
   * left, and the request keeps its own if that is alive: call it again. `keepThis`: keep this one, after a
   * change of password.
   */
  logOutEverywhere(request: Request, options?: { readonly keepThis?: boolean }): Promise<number>;
  /**
   * Gives the session a new token after a change of privilege, with the same data; `logIn` does so itself.
   */
  rotate(request: Request): Promise<RotateResult>;
  /** Returns the user in the session's record. `null`: nobody. */
  userOf(request: Request): string | null;
}

/** The options of a login in a request. The login counts as begun when the request did. */
export type RequestLogin = Omit<LoginSettings, "since">;

/** The outcome of a login. */
export interface LoginOutcome {
  /**
   * `null`: the user is logged in. `"logged-out-meanwhile"`: the user was logged out everywhere after this
   * request began, or this request logged out while the login ran. `"too-many-sessions"`: the user already
   * has `maxPerUser` sessions.
   */
  readonly refused: LoginRefusal | null;
}

/**
 * The outcome of `rotate`. `"new"`: the session is not stored yet, so nobody can know its token.
 * `"superseded"`: another request of this browser has the new token. `"dead"`: the session has ended. After
 * the last two, this request stores nothing.
 */
export type RotateResult = "rotated" | "new" | "superseded" | "dead";
