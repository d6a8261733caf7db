import type { ListedSession as StoredSession, Sessions, UserId } from "@tenure/core";
import {
  assertNotBegun,
  assertOptions,
  Bridge,
  type BridgeOptions,
  callBack,
  type LoginOutcome,
  type RequestLogin,
  type RotateResult,
  type SessionCalls,
  setKey,
  warnOfWeakSecret,
  warnOnce,
} from "@tenure/core/bridge";
import session, { type Session, type SessionData, type Store } from "express-session";
import { type Generate, hasBegun, Middleware, type Request, requestOf } from "./middleware.ts";
import { type Attached, Requests } from "./requests.ts";
import { isShown, isStored, loadedData, maxAgeOf, storedCookie, storedData } from "./stored-data.ts";

/** Options of `expressSessionStore`. */
export interface ExpressSessionStoreOptions extends BridgeOptions<Request> {
  /** The middleware's own secrets, only to warn if one is short. */
  readonly secret?: Secret | readonly Secret[];
}

type Secret = string | Uint8Array;

const OPTIONS = ["isUse", "secret", "silence"] satisfies (keyof ExpressSessionStoreOptions)[];

/** A session in the list that `all` returns. */
export type ListedSession = SessionData & {
  /** Names the session in lists, logs and `destroy`. It logs nobody in. */
  readonly id: string;
};

/**
 * A store for express-session's option `store`, with the logins and logouts that the framework lacks. `logIn`
 * and `rotate` replace the object `req.session`.
 */
export interface ExpressSessionStore extends Store, SessionCalls<Request> {
  touch(token: string, data: SessionData, callback?: () => void): void;
  /** Ends a session by its id, as `all` lists it, or by its token. */
  destroy(idOrToken: string, callback?: (error?: unknown) => void): void;
  /** Every live session. Reads them all. */
  all(callback: (error: unknown, sessions?: ListedSession[]) => void): void;
  /** How many sessions are alive. Reads them all. */
  length(callback: (error: unknown, count?: number) => void): void;
  /** Ends every session. Reads them all. */
  clear(callback?: (error?: unknown) => void): void;
}

/**
 * Returns a store for express-session over `Sessions`.
 *
 * Saving an ended session stores nothing and is not an error. Failures of the backend are the framework's
 * errors (`next(error)`), except for a failed touch, which is the event `touch-failed`.
 *
 * @throws TypeError for invalid options
 */
export function expressSessionStore<Data extends object = Record<string, unknown>>(
  sessions: Sessions<Data>,
  options: ExpressSessionStoreOptions = {},
): ExpressSessionStore {
  assertOptions(options, OPTIONS);
  const warn = warnOnce(options.silence);
  warnOfWeakSecret(warn, secretsOf(options.secret));
  const bridge = new Bridge(sessions, warn, isShown);
  return new TenureStore(bridge, new Middleware(warn), (req) => options.isUse?.(req) !== false);
}

function secretsOf(given: ExpressSessionStoreOptions["secret"] = []): readonly Secret[] {
  const secrets: readonly unknown[] = [given].flat();
  if (secrets.every((one) => typeof one === "string" || one instanceof Uint8Array)) return secrets;
  throw new TypeError("secret must be the middleware's own: a string, a Buffer or a list of them");
}

/** express-session requires an instance of its own class. */
class TenureStore<Data extends object> extends session.Store implements ExpressSessionStore {
  readonly #bridge: Bridge<Data>;
  readonly #middleware: Middleware;
  readonly #requests: Requests<Data>;

  constructor(bridge: Bridge<Data>, middleware: Middleware, isUse: (req: Request) => boolean) {
    super();
    this.#bridge = bridge;
    this.#middleware = middleware;
    this.#requests = new Requests(bridge, middleware, isUse, (req, data) => super.createSession(req, data));
  }

  override get(token: string, callback: (error: unknown, data?: SessionData | null) => void): void {
    this.#bridge.get(token, this.#requests.shown, callback);
  }

  /** The framework calls this for every session that it has loaded, and for none that it generates. */
  override createSession(req: Request, data: SessionData): Session & SessionData {
    return this.#requests.showLoaded(req, data);
  }

  /** The middleware assigns its own function, and calls the one that this returns. */
  get generate(): Generate {
    return this.#requests.begin;
  }
  set generate(generate: Generate) {
    this.#middleware.introduce(generate);
  }

  override set(token: string, data: SessionData, callback?: (error?: unknown) => void): void {
    callBack(this.#set(token, data), callback);
  }

  override touch(token: string, data: SessionData, callback?: (error?: unknown) => void): void {
    const attached = this.#requests.ofData(data) ?? this.#requests.ofCopy(token, data);
    const { current } = attached;
    // The framework's hash excludes the cookie: with `resave: false`, only this call reports its changes.
    const isChanged = !isStored(data.cookie, attached.cookie, current.maxAge);
    const isRested = !isChanged && current.isRested(maxAgeOf(data.cookie));
    // Synchronously, as the framework allows: most page views end so.
    if (isRested || current.token !== token) callback?.();
    else callBack(this.#touch(attached, data, isChanged), callback);
  }

  override destroy(idOrToken: string, callback?: (error?: unknown) => void): void {
    const current = this.#requests.ending(idOrToken);
    callBack(current ? current.end() : this.#end(idOrToken), callback);
  }

  /** Even on an error, `req.session` is blank and nothing more of this request is stored. */
  override regenerate(req: Request, callback: (error?: unknown) => void): void {
    callBack(this.#regenerate(req), callback);
  }

  async logIn(given: Request, user: UserId, options: RequestLogin = {}): Promise<LoginOutcome> {
    const req = requestOf(given);
    const attached = this.#requests.of(req);
    assertNotBegun(hasBegun(req));
    if (req.session) return this.#logIn(req, attached, user, options);
    // So that a logout while the login runs can remove it.
    this.#requests.showNew(req, attached);
    const { session: blank } = req;
    try {
      return await this.#logIn(req, attached, user, options);
    } finally {
      // The login failed. The framework would save the blank data in the session that the application dropped.
      if (req.session === blank) Reflect.deleteProperty(req, "session");
    }
  }

  async #logIn(
    req: Request,
    attached: Attached<Data>,
    user: UserId,
    options: RequestLogin,
  ): Promise<LoginOutcome> {
    const { current } = attached;
    const { session: before } = req;
    const fresh = this.#middleware.newCookie(req);
    const settings = before?.cookie ?? fresh;
    const ofLogin = await current.maxAgeOfLogin(options, maxAgeOf(settings));
    const maxAge = ofLogin === undefined ? maxAgeOf(settings) : (ofLogin ?? maxAgeOf(fresh));
    // The session may have begun over plain HTTP (`secure: "auto"`), or before the setting was changed.
    const secure = settings.secure || fresh.secure;
    const cookie = { ...storedCookie(settings), ...(secure && { secure }), originalMaxAge: maxAge };
    const data = { ...(before && storedData(before, current.maxAge)), cookie } as unknown as Data;
    const result = await current.logIn(user, data, options, { maxAge, ownKeys: ["cookie"] });
    const { refused } = result;
    // A logout in between has removed `req.session`. It may have ended the session before this login.
    if (before && !req.session) {
      await current.end();
      return { refused: refused ?? "logged-out-meanwhile" };
    }
    if (refused === null) {
      this.#requests.show(req, attached, loadedData(result.session));
      this.#noteStored(attached, req.session, hasBegun(req));
    } else if (current.isEnded) this.#requests.showNew(req, attached);
    return { refused };
  }

  async logOut(given: Request): Promise<void> {
    const req = requestOf(given);
    const { current } = this.#requests.of(req);
    Reflect.deleteProperty(req, "session");
    await current.end();
  }

  async logOutEverywhere(given: Request, options: { readonly keepThis?: boolean } = {}): Promise<number> {
    const req = requestOf(given);
    const { current } = this.#requests.of(req);
    const { session: before } = req;
    const keepsThis = options.keepThis === true;
    // At once, as in `logOut`: a login that runs when `req.session` is removed counts as logged out again.
    if (!keepsThis) Reflect.deleteProperty(req, "session");
    try {
      const count = await current.logOutEverywhere(options);
      // The session of an anonymous visitor is not kept.
      if (keepsThis && current.isEnded) Reflect.deleteProperty(req, "session");
      return count;
    } catch (error) {
      // The session stays alive, even with `unset: "destroy"`: only a user who is logged in can try again.
      if (!req.session && !current.isEnded) req.session = before;
      throw error;
    }
  }

  async rotate(given: Request): Promise<RotateResult> {
    const req = requestOf(given);
    const attached = this.#requests.of(req);
    assertNotBegun(hasBegun(req));
    const result = await attached.current.rotate();
    if (result === "rotated" && req.session) {
      this.#requests.showRotated(req, attached);
      this.#noteStored(attached, req.session, hasBegun(req));
    }
    return result;
  }

  userOf(req: Request): string | null {
    return this.#requests.of(requestOf(req)).current.userId;
  }

  override all(callback: (error: unknown, sessions?: ListedSession[]) => void): void {
    callBack(Array.fromAsync(this.#bridge.sessions.all(), listed), callback);
  }

  override length(callback: (error: unknown, count?: number) => void): void {
    callBack(this.#count(), callback);
  }

  override clear(callback?: (error?: unknown) => void): void {
    callBack(this.#bridge.sessions.revokeEveryone(), callback);
  }

  async #end(idOrToken: string | undefined): Promise<void> {
    if (idOrToken !== undefined) return this.#bridge.end(idOrToken);
    // While the response must leave the cookie alone, `req.sessionID` is undefined, which stands for the
    // session only within the turn in which it is read.
    throw new TypeError("destroy got no session id: call req.session.destroy() or store.logOut(req)");
  }

  async #set(token: string, data: SessionData): Promise<void> {
    const { req } = data as { readonly req?: Request };
    const isTooLate = hasBegun(req);
    const attached = this.#requests.ofData(data);
    const maxAge = maxAgeOf(data.cookie);
    if (!attached) return setKey(this.#bridge, token, storedData(data) as Data, maxAge);
    const { current } = attached;
    if (current.token !== token) return assertFormer(data, token);
    const stored = storedData(data, current.maxAge);
    if ((await current.save(stored as Data, maxAge)) !== "saved") return;
    attached.cookie = stored.cookie;
    this.#noteStored(attached, data, isTooLate);
  }

  /** @param isTooLate as for `warnIfNotSent` */
  #noteStored(attached: Attached<Data>, made: SessionData, isTooLate: boolean): void {
    const { current } = attached;
    if (!current.isTokenNew || current.token === attached.storedToken) return;
    attached.storedToken = current.token;
    this.#middleware.warnIfNotSent(made, current, isTooLate);
  }

  async #touch(attached: Attached<Data>, data: SessionData, isChanged: boolean): Promise<void> {
    const { current } = attached;
    const changed = isChanged ? storedData(data, current.maxAge) : undefined;
    const touched = await current.touch(maxAgeOf(data.cookie), changed as Data | undefined);
    if (touched === "saved" && changed) attached.cookie = changed.cookie;
  }

  async #regenerate(given: Request): Promise<void> {
    const req = requestOf(given);
    const attached = this.#requests.of(req);
    const { current } = attached;
    const data = req.session && (storedData(req.session, current.maxAge) as Data);
    try {
      await current.regenerate(undefined, data);
    } finally {
      this.#requests.showNew(req, attached);
    }
  }

  async #count(): Promise<number> {
    let count = 0;
    for await (const _ of this.#bridge.sessions.all()) count += 1;
    return count;
  }
}

function listed({ id, data, expiresAt }: StoredSession<object>): ListedSession {
  return { cookie: { originalMaxAge: null }, ...(data && loadedData({ data, expiresAt })), id };
}

/**
 * Accepts a `req.session` from before a login or rotation in this request; it stores nothing.
 *
 * @throws TypeError for a token that it never had: one session must not get the data of another
 */
function assertFormer(data: SessionData, token: string): void {
  if ((data as Partial<Session>).id === token) return;
  throw new TypeError(
    "this is the data of a session with another token: call store.logIn(req, user) or store.rotate(req) for a new token",
  );
}
