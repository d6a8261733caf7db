import type { Sessions } from "@tenure/core";
import {
  answer,
  type HolderOptions,
  isExpired,
  type SessionHolder,
  sessionHolder,
  type Warn,
  type WarningCode,
  warnOnce,
} from "@tenure/core/bridge";
import session from "express-session";
import { type CookieWatch, settingsOf, watchCookies } from "./cookie-watch.ts";
import { type Mark, Marks } from "./marks.ts";
import { type Generate, Middleware } from "./middleware.ts";
import type { Request } from "./request.ts";
import { rotate } from "./rotation.ts";
import { isSameCookie, maxAgeOf, storedCookie } from "./stored-cookie.ts";
import { loadedData, shownData, storedData } from "./stored-data.ts";

export interface ExpressSessionStoreOptions<
  Data extends object = Record<string, unknown>,
> extends HolderOptions<Data> {
  /**
   * The middleware's own secrets, if they are to be checked for their length at the first request; they are used for
   * nothing else. Default: only well-known ones are noticed, by what they signed.
   */
  readonly secret?: Secret | readonly Secret[];
  /** Codes of warnings not to give. Default: all are given, each once. */
  readonly silence?: readonly WarningCode[];
}

type Secret = string | Uint8Array;

/** A session as `all` answers it. */
export type ListedSession = session.SessionData & {
  /** The digest of its token: names the session, logs nobody in. */
  readonly id: string;
};

/** A store for express-session's option `store`, and the rotation that the framework lacks. */
export interface ExpressSessionStore extends session.Store {
  touch(token: string, data: session.SessionData, callback?: () => void): void;
  /** Every live session. Reads them all. */
  all(callback: (error: unknown, sessions?: ListedSession[]) => void): void;
  /** How many sessions live. Reads them all. */
  length(callback: (error: unknown, count?: number) => void): void;
  /** Logs everybody out. Reads them all. */
  clear(callback?: (error?: unknown) => void): void;
  /**
   * Gives the session of a request a new token and leaves the old one dead: at login and at every change of privilege, instead
   * of `req.session.regenerate` (ASVS 5.0 7.2.4). Data, creation and end are kept, changes that this request has not saved yet
   * included. `req.session` is another object afterwards.
   *
   * `false`: the session died during the request, and there is nothing to log in with. `req.session` is as before and saving it
   * does nothing: send the user to the login page.
   */
  rotate(req: Request): Promise<boolean>;
}

/**
 * `Sessions` as a store for express-session.
 *
 * A save of a session that was loaded only ever updates; one of a session that died meanwhile does nothing and is no error.
 * Failures of the backend are the framework's errors (`next(error)`), but for a failing touch: that is the event `touch-failed`.
 *
 * @throws TypeError for options that are wrong
 */
export function expressSessionStore<Data extends object = Record<string, unknown>>(
  sessions: Sessions<Data>,
  options: ExpressSessionStoreOptions<Data> = {},
): ExpressSessionStore {
  const holder = sessionHolder(sessions, options, (stored) => shownData(stored) as Data);
  const warn = warnOnce(options.silence);
  const watch = watchCookies(warn, secretsOf(options.secret));
  return new TenureStore(sessions, holder, warn, watch);
}

function secretsOf(given: ExpressSessionStoreOptions["secret"] = []): readonly Secret[] {
  const secrets: readonly unknown[] = [given].flat();
  if (secrets.every((one) => typeof one === "string" || one instanceof Uint8Array)) return secrets;
  throw new TypeError("secret must be what the middleware was given: a string, a Buffer or a list of them");
}

/**
 * express-session requires an instance of its own class, and tells a session that it loaded from a new one only by the method
 * it makes `req.session` with: `createSession` for the one, `generate` for the other.
 */
class TenureStore<Data extends object> extends session.Store implements ExpressSessionStore {
  readonly #sessions: Sessions<Data>;
  readonly #holder: SessionHolder<Data>;
  readonly #marks: Marks<Data>;
  readonly #middleware: Middleware;
  readonly #watch: CookieWatch;

  constructor(sessions: Sessions<Data>, holder: SessionHolder<Data>, warn: Warn, watch: CookieWatch) {
    super();
    this.#sessions = sessions;
    this.#holder = holder;
    this.#marks = new Marks(holder);
    this.#middleware = new Middleware(warn);
    this.#watch = watch;
  }

  override get(token: string, callback: (error: unknown, data?: session.SessionData | null) => void): void {
    answer(async () => {
      const found = await this.#holder.load(token);
      return found && this.#marks.answer(token, found);
    }, callback);
  }

  override createSession(req: Request, data: session.SessionData): session.Session & session.SessionData {
    const cookie = storedCookie(data.cookie);
    if (!cookie) data.cookie = this.#middleware.newCookie(req);
    const made = super.createSession(req, data);
    this.#marks.setLoaded(made, made.id, data, cookie);
    this.#watch(req, () => settingsOf(this.#middleware.newCookie(req)));
    return made;
  }

  /** The middleware assigns its own, and calls what is answered. */
  get generate(): Generate {
    return this.#generate;
  }
  set generate(generate: Generate) {
    this.#middleware.introduce(generate);
  }

  override set(token: string, data: session.SessionData, callback?: (error?: unknown) => void): void {
    answer(async () => {
      const mark = this.#marks.ofAny(data);
      if (mark?.held.token === token) return this.#save(mark, data);
      const fresh = { held: this.#holder.fresh(token), cookie: undefined };
      if (!mark) this.#marks.set(data, fresh);
      const wasSomebodys = mark && mark.held.userId !== null;
      await this.#save(fresh, data);
      // Loaded under another token: a rotation by hand, which must not bring back what died meanwhile.
      if (wasSomebodys && !(await this.#holder.load(mark.held.token))) await this.#holder.revoke(token);
    }, callback);
  }

  override touch(token: string, data: session.SessionData, callback?: (error?: unknown) => void): void {
    answer(async () => {
      const mark = this.#marks.of(data, token) ?? (await this.#markToTouch(token, data));
      if (!mark) return;
      const { held } = mark;
      const maxAge = maxAgeOf(data.cookie);
      const cookie = storedCookie(data.cookie, held.maxAge);
      // The cookie is not in the framework's hash: with `resave: false` its changes arrive here and nowhere else.
      if (isSameCookie(cookie, mark.cookie)) await held.touch(maxAge);
      else if ((await held.touch(maxAge, storedData(data, held.maxAge) as Data)) === true)
        mark.cookie = cookie;
    }, callback);
  }

  override destroy(token: string, callback?: (error?: unknown) => void): void {
    answer(async () => {
      await this.#holder.revoke(token);
    }, callback);
  }

  /**
   * As the framework's own, but that what `genid` does wrong is an error to the callback instead of one to the process. And
   * where somebody's session died during the request, the new one is never stored: an application that takes the user over
   * from the old one would log in again whom another request has logged out.
   */
  override regenerate(req: Request, callback: (error?: unknown) => void): void {
    answer(async () => {
      const held = req.session && this.#marks.of(req.session, req.sessionID)?.held;
      const wasNobodys = !held || held.userId === null;
      let wasAlive = false;
      try {
        wasAlive = await this.#holder.revoke(req.sessionID);
      } finally {
        this.generate(req);
      }
      if (wasAlive || wasNobodys) return;
      const { session: made, sessionID: token } = req;
      this.#marks.set(made, { held: this.#holder.known(token, undefined, null), cookie: undefined });
      // By hand it can't be stored either.
      await this.#holder.revoke(token);
    }, callback);
  }

  async rotate(req: Request): Promise<boolean> {
    return rotate(req, this.#marks, this.#holder, (of, data) => super.createSession(of, data));
  }

  override all(callback: (error: unknown, sessions?: ListedSession[]) => void): void {
    answer(async () => {
      const found: ListedSession[] = [];
      for await (const live of this.#sessions.all())
        found.push(Object.assign(loadedData(live), { id: live.id }));
      return found;
    }, callback);
  }

  override length(callback: (error: unknown, count?: number) => void): void {
    answer(async () => {
      let count = 0;
      for await (const _ of this.#sessions.all()) count += 1;
      return count;
    }, callback);
  }

  override clear(callback?: (error?: unknown) => void): void {
    answer(async () => {
      await this.#sessions.revokeEveryone();
    }, callback);
  }

  readonly #generate = (req: Request): void => {
    this.#middleware.generate(req);
    const { sessionID: token } = req;
    try {
      this.#sessions.assertStrong(token);
    } catch (error) {
      // Or the response that tells of the error would carry a cookie with it.
      Object.assign(req, { session: undefined, sessionID: undefined });
      throw error;
    }
    this.#holder.minted(token);
    this.#marks.setNew(req.session, token);
    const settings = settingsOf(req.session.cookie);
    this.#watch(req, () => settings);
  };

  /** Nothing is awaited before `held.save` has taken its snapshot. */
  async #save(mark: Mark<Data>, data: session.SessionData): Promise<void> {
    const { held } = mark;
    const cookie = storedCookie(data.cookie, held.maxAge);
    const stored = storedData(data, held.maxAge) as Data;
    if (await held.save(stored, maxAgeOf(data.cookie))) mark.cookie = cookie;
  }

  /** Reads, which may fail as a touch may; but to touch with a `maxAge` of 0 or less is a logout. */
  async #markToTouch(token: string, data: session.SessionData): Promise<Mark<Data> | null> {
    try {
      return await this.#marks.ofStored(token);
    } catch (error) {
      if (isExpired(maxAgeOf(data.cookie))) throw error;
      this.#holder.touchFailed(token, error);
      return null;
    }
  }
}
