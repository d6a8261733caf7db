import { type LoginRefusal, newToken, parseDuration, type Sessions, type UserId } from "@tenure/core";
import {
  assertOptions,
  Bridge,
  callBack,
  isOwnToken,
  type Loaded,
  type RequestLogin,
  type RotateResult,
  setKey,
  type WarningCode,
  warnOnce,
} from "@tenure/core/bridge";
import type { FastifyRequest } from "fastify";
import { endOf, settingsOf } from "./cookie.ts";
import { cookieWarnings } from "./cookie-warnings.ts";
import { loadedData, shownData, type StoredData } from "./data.ts";
import {
  type FrameworkRequest,
  type FrameworkSession,
  giveToken,
  isSession,
  makeModified,
  requestOf,
} from "./framework.ts";
import type { RequestLink } from "./request-link.ts";
import { Requests } from "./requests.ts";

/** Options of `fastifySessionStore`. */
export interface FastifySessionStoreOptions {
  /**
   * Whether a request with a session is a use of it. `false`: the request restarts no idle timeout, for polling. Default: every request is.
   */
  readonly isUse?: (request: FastifyRequest) => boolean;
  /** Codes of warnings not to give. */
  readonly silence?: readonly WarningCode[];
}

const OPTIONS = ["isUse", "silence"] satisfies (keyof FastifySessionStoreOptions)[];

/** What the store uses of a request. */
export interface RequestWithSession {
  session: object | null;
}

/** What became of a login. */
export interface LoginOutcome {
  /** `null`: the user is logged in. `"logged-out-meanwhile"`: the user was logged out everywhere after this request began. */
  readonly refused: LoginRefusal | null;
}

/** A store for the options `store` and `idGenerator` of @fastify/session, with the logins and logouts that the framework lacks. */
export interface FastifySessionStore {
  /** For the option `idGenerator`: the tokens of new sessions. */
  readonly idGenerator: (request?: object) => string;
  /**
   * Logs a user in who has just authenticated: the session gets a new token, and its lifetime restarts. Changes that this request has
   * not saved yet are kept. Over another user's session a new one begins, with the keys named in `keep`. A refused login logs nobody in.
   */
  logIn(request: RequestWithSession, user: UserId, options?: RequestLogin): Promise<LoginOutcome>;
  /** Ends the session that this request saw. `request.session` is another object afterwards, blank, and the response clears the cookie. */
  logOut(request: RequestWithSession): Promise<void>;
  /**
   * Logs the session's user out everywhere and returns how many sessions ended. `keepThis`: all but this one, after a change of password.
   */
  logOutEverywhere(request: RequestWithSession, options?: { readonly keepThis?: boolean }): Promise<number>;
  /**
   * Gives the session a new token at a change of privilege; `logIn` does so by itself.
   *
   * `"new"`: it is not stored yet, so nobody can know its token. `"superseded"`: another request of this browser has its new token. `"dead"`:
   * it has ended. After the last two, this request stores nothing.
   */
  rotate(request: RequestWithSession): Promise<RotateResult>;
  /** The user of the session, by its record. `null`: nobody. */
  userOf(request: RequestWithSession): string | null;
  get(sessionId: string, callback: (error: unknown, session?: any) => void): void;
  set(sessionId: string, session: object, callback: (error?: unknown) => void): void;
  /** Ends a session by its id, as `Sessions` lists it, or by its token. */
  destroy(idOrToken: string, callback: (error?: unknown) => void): void;
}

/**
 * `Sessions` as a store for @fastify/session 10 and 11.
 *
 * A save of a session that has ended stores nothing and is not an error. Failures of the backend are errors of the request, except for a failing
 * touch, which is the event `touch-failed`.
 *
 * @throws TypeError for options that are wrong
 */
export function fastifySessionStore<Data extends object = Record<string, unknown>>(
  sessions: Sessions<Data>,
  options: FastifySessionStoreOptions = {},
): FastifySessionStore {
  assertOptions(options, OPTIONS);
  const { isUse = () => true } = options;
  const warn = warnOnce(options.silence);
  const warnOfUnsafeSettings = cookieWarnings(warn);
  const bridge = new Bridge(sessions, warn, shownData);
  const requests = new Requests(bridge, warn, (request) => isUse(request as FastifyRequest));
  /** What `get` has read and is not live, while its callback runs: the framework asks for a new session's token there. */
  let notLive: Loaded<Data> | undefined;

  return {
    idGenerator,
    logIn,
    logOut,
    logOutEverywhere,
    rotate,

    userOf(request) {
      const { current } = linkOf(request);
      if (current) return current.userId;
      throw new TypeError(
        "a cache before this store gave the session to the framework, and its user has not been read: call sessions.get(request.session.sessionId)",
      );
    },

    get(sessionId, callback) {
      if (requests.caller) reload(requests.caller, callback);
      else load(sessionId, callback);
    },

    set(sessionId, session, callback) {
      callBack(() => save(sessionId, session as FrameworkSession), callback);
    },

    destroy(idOrToken, callback) {
      const link = requests.caller;
      const next = link?.takeAsked();
      callBack(async () => {
        if (!link) await bridge.end(idOrToken);
        else if (next === undefined) await (await link.load()).end();
        else await regenerate(link, next);
      }, callback);
    },
  };

  function load(token: string, callback: (error: unknown, session?: object | null) => void): void {
    callBack(
      () => bridge.load(token),
      (error, loaded) => {
        if (!loaded) return callback(error);
        const { session: found } = loaded;
        if (found) {
          return callback(
            null,
            loadedData(found.data as StoredData, (session) =>
              requests.beginLoaded(session, loaded, found.data),
            ),
          );
        }
        notLive = loaded;
        try {
          return callback(null, null);
        } finally {
          notLive = undefined;
        }
      },
    );
  }

  /**
   * The framework asks for a token for a new session, and first of all in `regenerate`.
   *
   * @throws TypeError without the request
   */
  function idGenerator(request?: FrameworkRequest): string {
    if (typeof request !== "object" || request === null) {
      throw new TypeError(
        "idGenerator was called without the request: give store.idGenerator itself to @fastify/session",
      );
    }
    const link = requests.of(request);
    if (!link) return requests.beginNew(request, notLive);
    const { current } = link;
    return link.ask(current ? current.nextToken() : newToken(sessions.idOf(link.session!.sessionId)!));
  }

  /**
   * The framework makes another Session, also if its session has ended or this fails. Then it has the data of the one before, so that a save
   * deletes nothing.
   */
  function reload(
    link: RequestLink<Data>,
    callback: (error: unknown, session?: object | null) => void,
  ): void {
    const before = link.session;
    callBack(
      async () => (await link.load()).reload(),
      (error, found) => {
        const data = error && before ? link.dataOf(before) : (found?.data ?? ({} as Data));
        callback(
          error,
          loadedData(data as StoredData, (session) => {
            requests.show(link, session);
            if (found) link.noteLoaded(session, data);
          }),
        );
      },
    );
  }

  async function save(sessionId: string, session: FrameworkSession): Promise<void> {
    const request = requestOf(session);
    if (!request) return saveKey(sessionId, session);
    const link = requests.of(request);
    if (!link || (!requests.isShown(session) && !isOwnToken(sessionId))) throw new TypeError(NO_ID_GENERATOR);
    // Before 11.1.3 a `regenerate` destroys nothing, and this is its only call.
    const next = link.takeAsked();
    if (next !== undefined) await regenerate(link, next);
    // It is not yet the request's save: what the framework has kept makes its Session modified, so that it is saved with the response.
    if (link.takeBegun(sessionId)) {
      requests.show(link, session);
      // A regenerate that was a logout is followed by a session with another id.
      if (link.current?.isNew) giveToken(session, link.current.token);
      return;
    }
    // A Session from before a regenerate or reload.
    if (session !== link.session) return;
    await saveShown(link, session);
  }

  /** For an application that uses the store without the plugin. */
  function saveKey(key: string, { cookie, ...entries }: Pick<FrameworkSession, "cookie">): Promise<void> {
    const maxAge = cookie?.originalMaxAge ?? cookie?.maxAge;
    const settings = cookie && { cookie: { ...settingsOf(cookie), originalMaxAge: maxAge } };
    return setKey(bridge, key, { ...entries, ...settings } as Data, maxAge);
  }

  async function saveShown(link: RequestLink<Data>, session: FrameworkSession): Promise<void> {
    const { cookie } = session;
    if (cookie?.expires && endOf(cookie) === null) cookie.expires = null;
    warnOfUnsafeSettings(link.request, session);
    // Nothing is awaited before the data are taken.
    const [data, maxAge, isEnded] = [
      link.dataOf(session),
      cookie?.originalMaxAge,
      cookie && link.isEnded(cookie),
    ];
    const current = link.current ?? (await link.load());
    if (isEnded) return current.end();
    if ((await current.save(data, maxAge)) !== "saved") return;
    link.noteSaved(session);
  }

  async function regenerate(link: RequestLink<Data>, token: string): Promise<void> {
    const { session } = link;
    const data = session && link.dataOf(session);
    const current = await link.load();
    // The plugin's hook regenerates a session whose cookie has expired, before the request has it. After `destroy` the request has null.
    const { session: shown } = link.request;
    if (shown !== null && !isSession(shown)) {
      await current.end();
      await current.regenerate();
    } else await current.regenerate(token, data);
  }

  async function logIn(
    request: RequestWithSession,
    user: UserId,
    login: RequestLogin = {},
  ): Promise<LoginOutcome> {
    const link = linkOf(request);
    const current = await link.load();
    const session = await sessionOf(link);
    const cookie = cookieOfLogin(link, session, login);
    const maxAge = cookie ? cookie.originalMaxAge : session.cookie?.originalMaxAge;
    const data = { ...link.dataOf(session), ...(cookie && { cookie }) };
    const keep = Array.isArray(login.keep ?? []) ? [...(login.keep ?? []), "cookie"] : login.keep!;
    const result = await current.logIn(user, data, { ...login, keep }, maxAge);
    if (result.state === "refused") {
      if (current.isEnded) link.fill(session, {} as Data);
      return { refused: result.refused };
    }
    // Also one that stays: the cookie's end is as old as the request.
    if (session.cookie && (cookie || typeof maxAge === "number")) session.cookie.maxAge = maxAge;
    link.fill(session, result.session.data);
    giveToken(session, current.token);
    makeModified(session);
    return { refused: null };
  }

  /** The cookie's settings, with the `maxAge` of a login that has its own idle timeout, or without that of the login before. */
  function cookieOfLogin(
    link: RequestLink<Data>,
    { cookie }: FrameworkSession,
    { idle }: RequestLogin,
  ): (StoredData & { originalMaxAge: number | null }) | undefined {
    if (!cookie) return undefined;
    const settings = settingsOf(cookie) as StoredData;
    if (idle !== undefined) return { ...settings, originalMaxAge: parseDuration("idle", idle) };
    const ownIdle = link.current?.ownIdle ?? null;
    return ownIdle !== null && cookie.originalMaxAge === ownIdle
      ? { ...settings, originalMaxAge: null }
      : undefined;
  }

  async function logOut(request: RequestWithSession): Promise<void> {
    const link = linkOf(request);
    await (await link.load()).end();
    await makeBlank(link);
  }

  async function logOutEverywhere(
    request: RequestWithSession,
    how: { readonly keepThis?: boolean } = {},
  ): Promise<number> {
    const link = linkOf(request);
    const current = await link.load();
    const count = await current.logOutEverywhere(how);
    if (current.isEnded) await makeBlank(link);
    return count;
  }

  /** Lets the framework make a new Session. While nothing is put on it, the response clears the cookie. */
  async function makeBlank(link: RequestLink<Data>): Promise<void> {
    await link.session?.regenerate();
  }

  async function rotate(request: RequestWithSession): Promise<RotateResult> {
    const link = linkOf(request);
    const current = await link.load();
    const result = await current.rotate();
    if (result !== "rotated" || !link.session) return result;
    giveToken(link.session, current.token);
    makeModified(link.session);
    return result;
  }

  /** The request's Session, a new one if the application has destroyed it. */
  async function sessionOf(link: RequestLink<Data>): Promise<FrameworkSession> {
    if (!isSession(link.request.session)) await makeBlank(link);
    return link.session!;
  }

  /** @throws TypeError without a session of this store */
  function linkOf(request: RequestWithSession): RequestLink<Data> {
    const link = requests.of(request);
    if (link) return link;
    throw new TypeError(isSession(request.session) ? NO_ID_GENERATOR : NO_SESSION);
  }
}

const NO_ID_GENERATOR =
  "the session has an id that is not the store's: give @fastify/session both store and idGenerator: store.idGenerator";

const NO_SESSION =
  "the request has no session: register @fastify/session with this store before the route, and keep the route under the cookie's path";
