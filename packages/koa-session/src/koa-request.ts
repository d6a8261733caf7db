import { type LoginRefusal, newToken, type UserId } from "@tenure/core";
import type { RequestLogin, RequestSession, RotateResult } from "@tenure/core/bridge";
import { type CookieGuard, guardCookie } from "./cookie.ts";
import { type CookieAge, loadedAge, maxAgeOf, nextOwnData, savedAge } from "./cookie-age.ts";
import { applicationData, type OwnData, ownData, shownData, type StoredData } from "./data.ts";
import type { FrameworkContext, FrameworkOptions, FrameworkSession } from "./framework.ts";

/**
 * One request of Koa: its session, and what koa-session has done to `ctx.session`.
 *
 * koa-session gives the store a key with every call, and asks `genid` for a new one at its load, or in `regenerate` after it has
 * called `destroy`. It changes its key nowhere else.
 */
export class KoaRequest<Data extends object> {
  readonly session: RequestSession<Data>;
  /** While koa-session is given the new key of a login or a rotation: it destroys a key that is replaced already. */
  isMoving = false;
  readonly #ctx: FrameworkContext;
  /** The option `maxAge`, which koa-session replaces when it loads a session. */
  readonly #configured: FrameworkOptions["maxAge"];
  readonly #loadedAge: CookieAge;
  /** As it was loaded or last saved. */
  #age: CookieAge;
  #own: OwnData;
  /** Whether koa-session is to be given the session's token as its new key. */
  #isKeyDue: boolean;
  /** A key that koa-session asked for without having ended the loaded session: its option `valid` refused it. */
  #sparedKey: string | undefined;
  /** `ctx.session = null`, by which koa-session calls the store only when it commits. */
  #isNull = false;
  #hasEnded = false;
  /** koa-session's `regenerate` is under way, or has failed. */
  #isLost = false;
  readonly #formerTokens: string[] = [];
  #cookie: CookieGuard | undefined;

  /** @param data what was loaded. Absent: nothing */
  constructor(
    ctx: FrameworkContext,
    session: RequestSession<Data>,
    data?: StoredData | null,
    configured: FrameworkOptions["maxAge"] = ctx.sessionOptions?.maxAge,
  ) {
    this.#ctx = ctx;
    this.session = session;
    this.#configured = configured;
    this.#own = data ? ownData(data) : {};
    this.#loadedAge = loadedAge(this.#own, configured);
    this.#age = data ? this.#loadedAge : undefined;
    this.#isKeyDue = session.isNew;
    session.maxAge = maxAgeOf(this.#age);
  }

  /** Whether this is the token of the request's session: loaded, or of {@link nextToken}. */
  has(token: string): boolean {
    if (token === this.#sparedKey) {
      this.session.begin(token);
      this.#sparedKey = undefined;
      this.#own = {};
      this.#age = undefined;
    }
    return token === this.session.token;
  }

  /** Whether `ctx.session` may name this token: it goes on naming the one from before a `regenerate`. */
  isNamedBy(token: string): boolean {
    return this.has(token) || this.#formerTokens.includes(token);
  }

  /** For `genid`. */
  nextToken(): string {
    return this.#isKeyDue ? this.session.token : (this.#sparedKey = newToken());
  }

  /** Of `ctx.session`, before koa-session does anything about it. */
  noteAssigned(value: unknown): void {
    if (value === null) this.#isNull = true;
  }

  get userId(): string | null {
    return this.#isNull || this.#sparedKey !== undefined ? null : this.session.userId;
  }

  /** Stores what koa-session saves. It sets the cookie when this resolves. */
  async save(saved: StoredData): Promise<void> {
    if (this.#isNull) {
      await this.#endOnce();
      throw new TypeError(
        "ctx.session = {…} after ctx.session = null keeps the key of the session that has ended: call await ctx.session.regenerate() after it, or log in with await store.logIn(ctx, user)",
      );
    }
    if (this.#isLost) return this.#withholdCookie(true);
    const data = this.#dataToStore(saved);
    const result = await this.session.save(data, maxAgeOf(this.#age));
    this.#withholdCookie(result !== "saved");
  }

  /** Logs out, after `ctx.session = null`. koa-session clears the cookie when this resolves. */
  async end(): Promise<void> {
    if (this.#hasEnded) return;
    const mayClear = this.session.mayClearCookie;
    await this.#endOnce();
    this.#withholdCookie(!mayClear);
  }

  /**
   * The first half of koa-session's `regenerate`, which asks for the new key and saves all data under it next. Because it keeps the data, a
   * live session is rotated and not hidden: its user stays, also one whom the data do not name.
   */
  async regenerate(): Promise<void> {
    const { session } = this;
    // koa-session clears its cookie now, and sets it if the save succeeds.
    this.#withholdCookie(true);
    // An application that goes on after a failure must not store a login under the old key.
    this.#isLost = true;
    this.#formerTokens.push(session.token);
    if (this.#isNull) await this.#endOnce();
    const data = this.#dataToStore((this.#ctx.session?.toJSON() ?? {}) as StoredData);
    if ((await session.rotate(data)) !== "rotated") await session.regenerate();
    this.#goOn();
  }

  async logIn(user: UserId, options: RequestLogin | undefined): Promise<LoginRefusal | null> {
    const { session } = this;
    const current = this.#ctx.session;
    const settings = this.#ctx.sessionOptions ?? {};
    if (this.#isNull) await this.#endOnce();
    this.#isNull = false;
    // A login without an idle timeout of its own ends the "remember me" of an earlier one.
    if (savedAge({}, settings, this.#age) === this.#loadedAge) settings.maxAge = this.#configured;
    const data = this.#dataToStore((current?.toJSON() ?? {}) as StoredData);
    const result = await session.logIn(user, data, options, maxAgeOf(this.#age));
    if (result.state === "refused") {
      if (current && session.isEnded) this.#assign({});
      this.#isNull = !current;
      return result.refused;
    }
    if (this.#isNull) {
      await this.end();
      return "logged-out-meanwhile";
    }
    if (result.ownIdle !== null) settings.maxAge = result.ownIdle;
    this.#assign(applicationData(shownData(result.session.data) as StoredData));
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
    // By the count it is done, and koa-session has its cookie cleared.
    this.#hasEnded = this.session.isEnded;
    if (this.#hasEnded) await this.logOut();
    return count;
  }

  /**
   * Has koa-session go on under the session's token. Only its `regenerate` changes its key; it calls `destroy`, `genid` and `set`, saves
   * nothing new by it, and sets the cookie.
   */
  async #giveNewKey(): Promise<void> {
    this.#goOn();
    this.isMoving = true;
    try {
      await this.#ctx.session?.regenerate();
    } finally {
      this.isMoving = false;
    }
    // The object there is goes on naming the old key.
    this.#assign(this.#ctx.session?.toJSON() ?? {});
  }

  #goOn(): void {
    this.#isNull = false;
    this.#hasEnded = false;
    this.#isLost = false;
    this.#isKeyDue = true;
  }

  async #endOnce(): Promise<void> {
    if (this.#hasEnded) return;
    await this.session.end();
    this.#hasEnded = true;
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

  #withholdCookie(isWithheld: boolean): void {
    if (this.#cookie) this.#cookie.isWithheld = isWithheld;
    else if (isWithheld) this.#cookie = guardCookie(this.#ctx);
  }
}
