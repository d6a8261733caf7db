import type { LoginRefusal } from "../cap.ts";
import type { LoginSettings } from "../sessions.ts";
import type { UserId } from "../user.ts";

/** What a bridge's store offers in addition to the framework's own calls. */
export interface SessionCalls<Request> {
  /**
   * Logs a user in who has just authenticated: the session gets a new token, and its lifetime restarts. Changes that this request has
   * not saved yet are kept, with the data of an anonymous session or of one of the same user. Over another user's session a new one
   * begins, with the keys named in `keep`. A refused login logs nobody in.
   *
   * The framework's session object may be another one afterwards.
   */
  logIn(request: Request, user: UserId, options?: RequestLogin): Promise<LoginOutcome>;
  /** Ends the session that this request saw, whatever its token is by now. */
  logOut(request: Request): Promise<void>;
  /** Logs the session's user out everywhere and returns how many sessions ended. `keepThis`: all but this one, after a change of password. */
  logOutEverywhere(request: Request, options?: { readonly keepThis?: boolean }): Promise<number>;
  /**
   * Gives the session a new token at a change of privilege, with the same data; `logIn` does so by itself. The framework's session object
   * may be another one afterwards.
   */
  rotate(request: Request): Promise<RotateResult>;
  /** The user of the session, by its record. `null`: nobody. */
  userOf(request: Request): string | null;
}

/** What a login in a request may be given. It began when the request did. */
export type RequestLogin = Omit<LoginSettings, "since">;

/** What became of a login. */
export interface LoginOutcome {
  /**
   * `null`: the user is logged in. `"logged-out-meanwhile"`: the user was logged out everywhere after this request began.
   * `"too-many-sessions"`: the user has as many as `maxPerUser` allows.
   */
  readonly refused: LoginRefusal | null;
}

/**
 * What `rotate` did. `"new"`: the session is not stored yet, so nobody can know its token. `"superseded"`: another request of this browser has
 * its new token. `"dead"`: it has ended. After the last two, this request stores nothing.
 */
export type RotateResult = "rotated" | "new" | "superseded" | "dead";
