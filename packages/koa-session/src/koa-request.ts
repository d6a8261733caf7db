import type { LoginRefusal, UserId } from "@tenure/core";
import {
  assertNotBegun,
  type Bridge,
  type RequestLogin,
  type RequestSession,
  type RotateResult,
} from "@tenure/core/bridge";
import { guardCookie } from "./cookie.ts";
import {
  applicationData,
  type CookieAge,
  loadedAge,
  maxAgeOf,
  nextOwnData,
  type OwnData,
  ownData,
  savedAge,
  type StoredData,
} from "./data.ts";
import type { FrameworkContext, FrameworkOptions, FrameworkSession } from "./framework.ts";

/**
 * The session of one Koa request, and the state of `ctx.session`.
 *
 * koa-session passes its key with every call to the store. It changes the key only when it creates a session,
 * and in `regenerate` after `destroy`: it then calls `genid`.
 */
export class KoaRequest<Data extends object> {
  session: RequestSession<Data>;
  /** Whether koa-session is taking over a new key. Its `destroy` of the old key must then do nothing. */
  isMoving = false;
  readonly #bridge: Bridge<Data>;
  readonly #ctx: FrameworkContext;
  /** The configured `maxAge`. koa-session overwrites the option when it loads a session. */
  readonly #configured: FrameworkOptions["maxAge"];
  /** As loaded or last saved. */
  #age: CookieAge;
  #own: OwnData;
  /** The loaded session, if the option `valid` rejected it. Only a logout still applies to it. */
  #refused: RequestSession<Data> | undefined;
  readonly #formerKeys: string[] = [];
  /** The token whose cookie this response has set, or cannot set any more. */
  #settledToken: string | undefined;
  /** Whether `ctx.session` was set to `null`. koa-session calls the store for this only when it commits. */
  #isNull = false;
  /** How many times `ctx.session` was set to `null`. */
  #logouts = 0;
  /** How many logins of the store the request has begun. */
  #logins = 0;
  /** Whether the response leaves the browser's cookie alone. */
  #isCookieWithheld = false;
  #isCookieGuarded = false;

  /** @param data absent: no session was loaded */
  constructor(
    bridge: Bridge<Data>,
    ctx: FrameworkContext,
    session: RequestSession<Data>,
    data?: StoredData | null,
    configured: FrameworkOptions["maxAge"] = ctx.sessionOptions?.maxAge,
  ) {
    this.#bridge = bridge;
    this.#ctx = ctx;
    this.session = session;
    this.#configured = configured;
    this.#own = data ? ownData(data) : {};
    this.#age = data ? loadedAge(this.#own, configured) : undefined;
    session.maxAge = maxAgeOf(this.#age);
  }

  isOf(bridge: object): boolean {
    return this.#bridge === bridge;
  }

  /** Whether a key is this request's. `ctx.session` keeps the key from before a `regenerate`. */
  has(token: string): boolean {
    return token === this.session.token || this.#formerKeys.includes(token);
  }

  /** Returns the key for `genid`. */
  nextToken(): string {
    if (!this.session.isTokenNew) {
      this.#refused = this.session;
      this.session = this.session.successor();
      this.#own = {};
      this.#age = undefined;
    }
    return this.session.token;
  }

  /** Called with each value assigned to `ctx.session`, before koa-session handles it. */
  noteAssigned(value: unknown): void {
    if (value !== null) return;
    this.#isNull = true;
    this.#logouts += 1;
  }

  get userId(): string | null {
    return this.#isNull ? null : this.session.userId;
  }

  /** Stores the data that koa-session saves. koa-session sets the cookie once this resolves. */
  async save(saved: StoredData): Promise<void> {
    if (this.#isNull) {
      await this.#endSessions();
      throw new TypeError(
        "ctx.session = {…} after ctx.session = null keeps the key of the session that has ended: call await ctx.session.regenerate() after it, or log in with await store.logIn(ctx, user)",
      );
    }
    const data = this.#dataToStore(saved);
    const isSaved = (await this.session.save(data, maxAgeOf(this.#age))) === "saved";
    // A response that has begun cannot set a cookie. That is an error only if the browser needs it.
    const { res } = this.#ctx;
    const { token, isTokenNew } = this.session;
    const hasCookie = !isTokenNew || this.#settledToken === token;
    if (isSaved && res?.headersSent === false) this.#settledToken = token;
    this.#withholdCookie(!isSaved || (res?.headersSent === true && hasCookie));
  }

  /**
   * Logs out, after `ctx.session = null`. koa-session clears the cookie once this resolves, which would be an
   * error if the response has begun.
   */
  async end(): Promise<void> {
    await this.#endSessions();
    this.#withholdCookie(this.#ctx.res?.headersSent === true || !this.session.mayClearCookie);
  }

  /**
   * Does the first half of koa-session's `regenerate`, which then takes a new key and saves all data under
   * it. Because the data are kept, a live session is rotated, not hidden: its user stays, even if the data do
   * not name one.
   */
  async regenerate(): Promise<void> {
    const { session } = this;
    // koa-session clears its cookie next, and sets it only if the save succeeds.
    this.#withholdCookie(true);
    this.#formerKeys.push(session.token);
    if (this.#isNull) await this.#endSessions();
    const data = this.#dataToStore((this.#ctx.session?.toJSON() ?? {}) as StoredData);
    if ((await session.rotate(data)) !== "rotated") await session.regenerate();
    this.#isNull = false;
  }

  async logIn(user: UserId, options: RequestLogin = {}): Promise<LoginRefusal | null> {
    assertNotBegun(this.#hasBegun);
    const { session } = this;
    const current = this.#ctx.session;
    const settings = this.#ctx.sessionOptions ?? {};
    const logouts = this.#logouts;
    this.#logins += 1;
    if (this.#isNull) await this.#endSessions();
    this.#isNull = false;
    const maxAge = await session.maxAgeOfLogin(options, maxAgeOf(savedAge({}, settings, this.#age)));
    if (maxAge === null) settings.maxAge = this.#configured;
    const data = this.#dataToStore((current?.toJSON() ?? {}) as StoredData);
    const result = await session.logIn(user, data, options, { maxAge: maxAgeOf(this.#age) });
    if (result.refused !== null) {
      if (current && session.isEnded) this.#assign({});
      this.#isNull = !current;
      return result.refused;
    }
    // A logout that began while the login ran may have ended the session before the login.
    if (this.#logouts > logouts) {
      await this.end();
      return "logged-out-meanwhile";
    }
    if (maxAge) settings.maxAge = maxAge;
    this.#assign(applicationData(this.#bridge.shown(result.session.data) as StoredData));
    await this.#giveNewKey();
    return null;
  }

  async rotate(): Promise<RotateResult> {
    assertNotBegun(this.#hasBegun);
    if (this.#isNull) return "dead";
    const result = await this.session.rotate();
    // Logged out during the rotation. koa-session ends the session when it commits.
    if (this.#isNull) return "dead";
    if (result === "rotated") await this.#giveNewKey();
    return result;
  }

  async logOut(): Promise<void> {
    const { session } = this.#ctx;
    this.#ctx.session = null;
    await this.#commitLogout(session);
  }

  async logOutEverywhere(options: { readonly keepThis?: boolean } = {}): Promise<number> {
    const { session: before } = this.#ctx;
    const keepsThis = options.keepThis === true;
    const ending = this.session.logOutEverywhere(options);
    // At once: a login that runs when `ctx.session` becomes `null` counts as logged out again.
    if (!keepsThis) this.#ctx.session = null;
    const [logins, logouts] = [this.#logins, this.#logouts];
    let count: number;
    try {
      count = await ending;
    } catch (error) {
      // The session stays alive: only a user who is logged in can try again.
      const isLast = this.#logins === logins && this.#logouts === logouts;
      if (!keepsThis && before && isLast && !this.session.isEnded) {
        this.#isNull = false;
        this.#assign(before.toJSON());
      }
      throw error;
    }
    // The session of an anonymous visitor is not kept.
    if (keepsThis && this.session.state === "logged-out") await this.logOut();
    else if (!keepsThis && this.#logins === logins) await this.#commitLogout(before);
    return count;
  }

  /** Makes koa-session clear the cookie, after `ctx.session = null`. */
  async #commitLogout(before: FrameworkContext["session"]): Promise<void> {
    await (before && this.#ctx.res ? before.manuallyCommit() : this.end());
  }

  /** koa-session may keep an external key elsewhere than in the response's headers. */
  get #hasBegun(): boolean {
    const { res, sessionOptions } = this.#ctx;
    return !res || (res.headersSent && !sessionOptions?.externalKey);
  }

  /**
   * Makes koa-session continue under the session's new token. Only its `regenerate` changes its key. That
   * calls `destroy`, `genid` and `set`, which saves nothing new, and sets the cookie.
   */
  async #giveNewKey(): Promise<void> {
    if (this.#hasBegun) {
      this.#bridge.warn("TENURE_COOKIE_TOO_LATE");
      this.#settledToken = this.session.token;
      this.#withholdCookie(true);
    }
    this.isMoving = true;
    try {
      await this.#ctx.session?.regenerate();
    } finally {
      this.isMoving = false;
    }
    // The current object still has the old key.
    this.#assign(this.#ctx.session?.toJSON() ?? {});
  }

  #assign(data: object): void {
    this.#ctx.session = data as FrameworkSession;
  }

  #dataToStore(saved: StoredData): Data {
    const { sessionOptions = {} } = this.#ctx;
    const age = savedAge(saved, sessionOptions, this.#age);
    this.#own = nextOwnData(this.#own, this.#age, age, sessionOptions.rolling === true);
    this.#age = age;
    return { ...applicationData(saved), ...this.#own } as unknown as Data;
  }

  async #endSessions(): Promise<void> {
    await this.#refused?.end();
    await this.session.end();
  }

  #withholdCookie(isWithheld: boolean): void {
    if (isWithheld && !this.#isCookieGuarded) {
      this.#isCookieGuarded = true;
      guardCookie(this.#ctx, () => this.#isCookieWithheld);
    }
    this.#isCookieWithheld = isWithheld;
  }
}
