import type { LoginRefusal, UserId } from "@tenure/core";
import type { Bridge, RequestLogin, RequestSession, RotateResult } from "@tenure/core/bridge";
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
 * One request of Koa: its session, and what koa-session has done to `ctx.session`.
 *
 * koa-session gives the store a key with every call, and asks `genid` for a new one at its load, or in `regenerate` after it has
 * called `destroy`. It changes its key nowhere else.
 */
export class KoaRequest<Data extends object> {
  session: RequestSession<Data>;
  /** While koa-session is given the new key of a login or a rotation: it destroys a key that is replaced already. */
  isMoving = false;
  readonly #bridge: Bridge<Data>;
  readonly #ctx: FrameworkContext;
  /** The option `maxAge`, which koa-session replaces when it loads a session. */
  readonly #configured: FrameworkOptions["maxAge"];
  /** As it was loaded or last saved. */
  #age: CookieAge;
  #own: OwnData;
  /** The session that was loaded, and that the option `valid` has refused: only a logout still means it. */
  #refused: RequestSession<Data> | undefined;
  readonly #formerKeys: string[] = [];
  /** `ctx.session = null`, by which koa-session calls the store only when it commits. */
  #isNull = false;
  /** Whether the response leaves the browser's cookie alone. */
  #isCookieWithheld = false;
  #isCookieGuarded = false;

  /** @param data what was loaded. Absent: nothing */
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

  /** Whether koa-session means this request by a key: `ctx.session` goes on naming the one from before a `regenerate`. */
  has(token: string): boolean {
    return token === this.session.token || this.#formerKeys.includes(token);
  }

  /** For `genid`. */
  nextToken(): string {
    if (!this.session.isTokenNew) {
      this.#refused = this.session;
      this.session = this.#bridge.request();
      this.#own = {};
      this.#age = undefined;
    }
    return this.session.token;
  }

  /** Of `ctx.session`, before koa-session does anything about it. */
  noteAssigned(value: unknown): void {
    if (value === null) this.#isNull = true;
  }

  get userId(): string | null {
    return this.#isNull ? null : this.session.userId;
  }

  /** Stores what koa-session saves. It sets the cookie when this resolves. */
  async save(saved: StoredData): Promise<void> {
    if (this.#isNull) {
      await this.#endSessions();
      throw new TypeError(
        "ctx.session = {…} after ctx.session = null keeps the key of the session that has ended: call await ctx.session.regenerate() after it, or log in with await store.logIn(ctx, user)",
      );
    }
    const data = this.#dataToStore(saved);
    this.#withholdCookie((await this.session.save(data, maxAgeOf(this.#age))) !== "saved");
  }

  /** Logs out, after `ctx.session = null`. koa-session clears the cookie when this resolves. */
  async end(): Promise<void> {
    await this.#endSessions();
    this.#withholdCookie(!this.session.mayClearCookie);
  }

  /**
   * The first half of koa-session's `regenerate`, which asks for the new key and saves all data under it next. Because it keeps the data, a
   * live session is rotated and not hidden: its user stays, also one whom the data do not name.
   */
  async regenerate(): Promise<void> {
    const { session } = this;
    // koa-session clears its cookie now, and sets it if the save succeeds.
    this.#withholdCookie(true);
    this.#formerKeys.push(session.token);
    if (this.#isNull) await this.#endSessions();
    const data = this.#dataToStore((this.#ctx.session?.toJSON() ?? {}) as StoredData);
    if ((await session.rotate(data)) !== "rotated") await session.regenerate();
    this.#isNull = false;
  }

  async logIn(user: UserId, options: RequestLogin = {}): Promise<LoginRefusal | null> {
    const { session } = this;
    const current = this.#ctx.session;
    const settings = this.#ctx.sessionOptions ?? {};
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
    if (this.#isNull) {
      await this.end();
      return "logged-out-meanwhile";
    }
    if (maxAge) settings.maxAge = maxAge;
    this.#assign(applicationData(this.#bridge.shown(result.session.data) as StoredData));
    await this.#giveNewKey();
    return null;
  }

  async rotate(): Promise<RotateResult> {
    if (this.#isNull) return "dead";
    const result = await this.session.rotate();
    // Logged out meanwhile: koa-session ends the session when it commits.
    if (this.#isNull) return "dead";
    if (result === "rotated") await this.#giveNewKey();
    return result;
  }

  async logOut(): Promise<void> {
    const { session } = this.#ctx;
    if (!session) return this.end();
    this.#ctx.session = null;
    return session.manuallyCommit();
  }

  async logOutEverywhere(options: { readonly keepThis?: boolean } | undefined): Promise<number> {
    const count = await this.session.logOutEverywhere(options);
    // It is done, and koa-session has its cookie cleared.
    if (this.session.state === "logged-out") await this.logOut();
    return count;
  }

  /**
   * Has koa-session go on under the session's token. Only its `regenerate` changes its key; it calls `destroy`, `genid` and `set`, saves
   * nothing new by it, and sets the cookie.
   */
  async #giveNewKey(): Promise<void> {
    this.isMoving = true;
    try {
      await this.#ctx.session?.regenerate();
    } finally {
      this.isMoving = false;
    }
    // The object there is goes on naming the old key.
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
