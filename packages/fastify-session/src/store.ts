import type { Sessions, UserId } from "@tenure/core";
import {
  assertOptions,
  Bridge,
  type BridgeOptions,
  callBack,
  hiddenValue,
  isOwnToken,
  type LoadedLive,
  type LoginOutcome,
  type RequestLogin,
  type RequestSession,
  type RotateResult,
  type SessionCalls,
  setKey,
  warnOnce,
} from "@tenure/core/bridge";
import type { FastifyRequest } from "fastify";
import { warnOfCookie } from "./cookie-warnings.ts";
import { endOf, entriesOf, isShown, loadedData, settingsOf } from "./data.ts";
import {
  type FrameworkRequest,
  type FrameworkSession,
  giveToken,
  isSession,
  makeModified,
  ownerOf,
  requestOf,
  whenAssigned,
} from "./framework.ts";
import { RequestLink, type Shared } from "./request-link.ts";

/** Options of `fastifySessionStore`. */
export type FastifySessionStoreOptions = BridgeOptions<FastifyRequest>;

/** The part of a request that the store uses. */
export interface RequestWithSession {
  session: object | null;
}

/**
 * A store for the options `store` and `idGenerator` of @fastify/session, with the logins and logouts that the
 * framework lacks. After `logOut`, `request.session` is a new, blank object, and the response clears the
 * cookie.
 */
export interface FastifySessionStore extends SessionCalls<RequestWithSession> {
  /** The plugin's option `idGenerator`. Returns the tokens of new sessions. */
  readonly idGenerator: (request?: object) => string;
  get(sessionId: string, callback: (error: unknown, session?: any) => void): void;
  set(sessionId: string, session: object, callback: (error?: unknown) => void): void;
  /** Ends a session by its id, as `Sessions` lists it, or by its token. */
  destroy(idOrToken: string, callback: (error?: unknown) => void): void;
}

/**
 * Returns a store for @fastify/session 10 and 11 that keeps its sessions in `Sessions`.
 *
 * Saving a session that has ended stores nothing and is not an error. A failure of the backend fails the
 * request, except that a failing touch only publishes the event `touch-failed`.
 *
 * @throws TypeError for invalid or unknown options
 */
export function fastifySessionStore<Data extends object = Record<string, unknown>>(
  sessions: Sessions<Data>,
  options: FastifySessionStoreOptions = {},
): FastifySessionStore {
  assertOptions(options, ["isUse", "silence"]);
  const warn = warnOnce(options.silence);
  const bridge = new Bridge(sessions, warn, isShown);
  const links = hiddenValue<RequestLink<Data>>();
  const shared: Shared<Data> = { bridge, caller: undefined };
  /** The last error that {@link notingError} has seen. */
  let noted: unknown;

  return {
    idGenerator,
    logIn,
    logOut,
    logOutEverywhere,
    rotate,

    userOf(request) {
      const { current } = ownLink(request);
      if (current.state !== "unread") return current.userId;
      throw new TypeError(
        "a cache in front of this store supplied the session, so its user is not known yet: call sessions.get(request.session.sessionId)",
      );
    },

    get(sessionId, callback) {
      const { caller } = shared;
      if (caller) reload(caller, callback);
      else bridge.get(sessionId, show, (error, shown) => callBackFromGet(callback, error, shown));
    },

    set(sessionId, session, callback) {
      callBack(save(sessionId, session as FrameworkSession), (error) => respond(session, callback, error));
    },

    destroy(idOrToken, callback) {
      callBack(end(idOrToken), callback);
    },
  };

  function show(loaded: LoadedLive<Data>): object {
    const { data } = loaded.session;
    return loadedData(bridge.shown(data), (session) =>
      notingError(() => {
        const request = requestOf(session);
        if (!request) return;
        const link = open(request, bridge.request(loaded, useOf(request)));
        link.show(session);
        link.noteLoaded(session, data);
      }),
    );
  }

  function open(request: FrameworkRequest, current: RequestSession<Data>): RequestLink<Data> {
    const link = new RequestLink(shared, request, current);
    links.set(request, link);
    return link;
  }

  function useOf(request: FrameworkRequest): { readonly isUse: boolean } {
    return { isUse: options.isUse?.(request as FastifyRequest) !== false };
  }

  /**
   * Runs code that the framework calls while it creates a Session, and notes an error, such as one of `isUse`.
   * Replaces one that the framework would not take for a failure.
   */
  function notingError<Result>(run: () => Result): Result {
    try {
      return run();
    } catch (error) {
      noted = isFailure(error) ? error : new Error("the option isUse failed", { cause: error });
      throw noted;
    }
  }

  /**
   * Calls the callback of `get`, in which the framework creates the Session. It catches nothing there, so an
   * error of the bridge would end the process. Passes such an error to the callback, and the framework responds
   * with it.
   */
  function callBackFromGet(
    callback: (error: unknown, session?: object | null) => void,
    ...loaded: [error: unknown, session?: object | null]
  ): void {
    try {
      callback(...loaded);
    } catch (error) {
      if (error !== noted) throw error;
      noted = undefined;
      callback(error);
    }
  }

  /**
   * `undefined`: the request has no session.
   *
   * @throws TypeError for a session of another store
   */
  function linkOf(request: FrameworkRequest): RequestLink<Data> | undefined {
    const link = links.get(request);
    const { session } = request;
    if (link || !isSession(session) || !isOwnToken(session.sessionId)) return link;
    const owner = ownerOf(session);
    // The application has passed another object in the request's place, such as a proxy.
    const ofOwner = owner && links.get(owner.request);
    if (ofOwner) return ofOwner;
    if (owner) throw new TypeError(OTHER_STORE);
    // A cache in front of this store supplied the Session.
    const copy = { token: session.sessionId, data: entriesOf(session) as Data, mayBeChanged: true };
    const made = open(request, bridge.requestOfCopy(copy, useOf(request)));
    made.show(session);
    return made;
  }

  /**
   * Returns a token for a new session. In `regenerate`, this is the framework's first call.
   *
   * @throws TypeError without the request
   */
  function idGenerator(request?: FrameworkRequest): string {
    if (typeof request !== "object" || request === null) {
      throw new TypeError(
        "idGenerator was called without the request: pass store.idGenerator itself to @fastify/session",
      );
    }
    const link = linkOf(request);
    if (link) return link.ask(link.current.nextToken());
    return notingError(() => {
      const made = open(request, bridge.request(bridge.missed(), useOf(request)));
      whenAssigned(request, (session) => notingError(() => made.show(session)));
      return made.current.token;
    });
  }

  /**
   * Passes the stored data to the framework, which creates a new Session even if the session has ended or
   * this call fails. After a failure the new Session gets the data of the previous one, so that a save
   * deletes nothing.
   */
  function reload(
    link: RequestLink<Data>,
    callback: (error: unknown, session?: object | null) => void,
  ): void {
    const before = link.session;
    callBack(link.current.reload(), (error, found) => {
      const data = error && before ? link.dataOf(before) : (found?.data ?? ({} as Data));
      callback(
        error,
        loadedData(bridge.shown(data), (session) => {
          link.show(session);
          if (found) link.noteLoaded(session, data);
        }),
      );
      // The response must still set the cookie of a login or rotation.
      if (found && link.session && link.current.isTokenNew) makeModified(link.session);
    });
  }

  async function save(sessionId: string, session: FrameworkSession): Promise<void> {
    const request = requestOf(session);
    if (!request) return saveKey(sessionId, session);
    const link = linkOf(request);
    const isNew = ownerOf(session) === undefined;
    if (!link || (isNew && !isOwnToken(sessionId))) throw new TypeError(NO_ID_GENERATOR);
    // Before 11.1.3, `regenerate` does not call `destroy`: this is its only call.
    const next = link.takeAsked();
    if (next !== undefined) await regenerate(link, next);
    // `regenerate` passes its new Session. This is not the request's save: keys that were kept make the
    // Session modified, so that the response saves it.
    if (isNew) {
      link.show(session);
      // A `regenerate` that was a logout, or overlapped another, did not use the requested token.
      giveToken(session, link.current.token);
      return;
    }
    // A Session from before a `regenerate` or `reload` stores nothing.
    if (session !== link.session) return;
    await saveShown(link, session);
  }

  /**
   * Calls back after a save. At the end of a request, the framework sends the response in this callback, and
   * an error that it throws there would end the process: pass it to the framework, which responds with it.
   *
   * A response may be the request's second one, because a hook has sent the first and did not return `reply`.
   */
  function respond(session: object, callback: (error?: unknown) => void, error: unknown): void {
    try {
      callback(error);
    } catch (thrown) {
      const request = requestOf(session);
      if (!request || links.get(request)?.isResponding !== true) throw thrown;
      const isSent = (thrown as { readonly code?: unknown } | null)?.code === "ERR_HTTP_HEADERS_SENT";
      if (isSent) warn("TENURE_SENT_TWICE");
      else if (error) throw thrown;
      else respond(session, callback, thrown);
    }
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
    warnOfCookie(warn, link.request, session);
    if (cookie && link.isEnded(cookie)) return link.current.end();
    const saved = await link.current.save(link.dataOf(session), cookie?.originalMaxAge);
    if (saved === "saved") link.noteSaved(session);
  }

  function end(idOrToken: string): Promise<unknown> {
    const { caller } = shared;
    if (!caller) return bridge.end(idOrToken);
    const next = caller.takeAsked();
    if (next !== undefined) return regenerate(caller, next);
    caller.logouts += 1;
    return caller.current.end();
  }

  async function regenerate(link: RequestLink<Data>, token: string): Promise<void> {
    const { current, request, session } = link;
    // The plugin's hook regenerates a session whose cookie has expired before it assigns `request.session`.
    // (After `destroy`, `request.session` is null.)
    if (request.session !== null && !isSession(request.session)) {
      await current.end();
      await current.regenerate();
    } else await current.regenerate(token, session && link.dataOf(session));
  }

  async function logIn(
    request: RequestWithSession,
    user: UserId,
    login: RequestLogin = {},
  ): Promise<LoginOutcome> {
    const link = ownLink(request);
    const { current, logouts } = link;
    // A logout that is not awaited replaces the Session.
    await link.loggedOut;
    // The application may have destroyed the request's Session.
    if (!isSession(link.request.session)) await makeBlank(link);
    const session = link.session!;
    const { cookie } = session;
    const given = await current.maxAgeOfLogin(login, cookie?.originalMaxAge);
    const maxAge = given === undefined ? cookie?.originalMaxAge : given;
    const isChanged = cookie !== undefined && given !== undefined;
    const data = {
      ...link.dataOf(session),
      ...(isChanged && { cookie: { ...settingsOf(cookie), originalMaxAge: given } }),
    };
    const result = await current.logIn(user, data, login, { maxAge, ownKeys: ["cookie"] });
    if (link.logouts > logouts) {
      // A logout that began while the login ran may have ended the session before the login.
      await current.end();
      return { refused: result.refused ?? "logged-out-meanwhile" };
    }
    if (result.refused !== null) {
      if (current.isEnded) link.fill(session, {} as Data);
      return result;
    }
    // Restarts even an unchanged `maxAge`: the cookie's `expires` dates from the start of the request.
    if (cookie && (isChanged || typeof maxAge === "number")) cookie.maxAge = maxAge;
    // A `destroy` or `regenerate` that was not awaited may have replaced the request's Session.
    link.session = session;
    link.request.session = session;
    link.fill(session, result.session.data);
    giveNewToken(link, session);
    return { refused: null };
  }

  async function logOut(request: RequestWithSession): Promise<void> {
    return logOutBy(request, true, (current) => current.end());
  }

  async function logOutEverywhere(
    request: RequestWithSession,
    how: { readonly keepThis?: boolean } = {},
  ): Promise<number> {
    return logOutBy(request, how.keepThis !== true, (current) => current.logOutEverywhere(how));
  }

  /** @param endsThis whether it ends the request's own session */
  async function logOutBy<Result>(
    request: RequestWithSession,
    endsThis: boolean,
    logout: (current: RequestSession<Data>) => Promise<Result>,
  ): Promise<Result> {
    const link = ownLink(request);
    const { current, loggedOut } = link;
    if (endsThis) link.logouts += 1;
    const ending = logout(current).then(async (result) => {
      if (current.isEnded) await makeBlank(link);
      return result;
    });
    link.loggedOut = Promise.allSettled([loggedOut, ending]);
    return ending;
  }

  /** Makes the framework create a new Session. Unless that is changed, the response clears the cookie. */
  async function makeBlank(link: RequestLink<Data>): Promise<void> {
    await link.session?.regenerate();
  }

  async function rotate(request: RequestWithSession): Promise<RotateResult> {
    const link = ownLink(request);
    const result = await link.current.rotate();
    if (result !== "rotated" || !link.session) return result;
    giveNewToken(link, link.session);
    return result;
  }

  function giveNewToken({ current, isResponding }: RequestLink<Data>, session: FrameworkSession): void {
    giveToken(session, current.token);
    makeModified(session);
    if (isResponding) bridge.warn("TENURE_COOKIE_TOO_LATE");
  }

  /** @throws TypeError if the request has no session of this store */
  function ownLink(request: RequestWithSession): RequestLink<Data> {
    const given: unknown = request;
    if (typeof given !== "object" || given === null) {
      throw new TypeError("pass the request: store.logIn(request, user), store.userOf(request)");
    }
    const link = linkOf(request);
    if (link) return link;
    throw new TypeError(isSession(request.session) ? NO_ID_GENERATOR : NO_SESSION);
  }
}

/** The framework takes the code ENOENT for an unknown session, and `undefined` for success. */
function isFailure(error: unknown): boolean {
  return error instanceof Error && (error as { readonly code?: unknown }).code !== "ENOENT";
}

const NO_ID_GENERATOR =
  "the session has an id that this store did not generate: pass @fastify/session both store and idGenerator: store.idGenerator";

const OTHER_STORE =
  "the session belongs to another store: call fastifySessionStore once, pass the plugin that store and its idGenerator, and call logIn, logOut and userOf of the same store";

const NO_SESSION =
  "the request has no session: register @fastify/session with this store before the route, and keep the route under the cookie's path";
