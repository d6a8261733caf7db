import { type RequestSession, type Warn, warnOfUnsafeCookie } from "@tenure/core/bridge";
import type { SessionData, Store } from "express-session";

/** Express's request, as express-session types it, so that this package needs no other types. */
export type Request = Parameters<Store["regenerate"]>[0];

type SessionCookie = SessionData["cookie"];

/**
 * Returns the request of the session middleware, even for a proxy of it or an object that inherits from it:
 * express-session gives each `req.session` its request.
 *
 * @throws TypeError if this is not an object
 */
export function requestOf(given: Request): Request {
  if (typeof given === "object" && (given as unknown) !== null) {
    return (given.session as { readonly req?: Request } | undefined)?.req ?? given;
  }
  throw new TypeError("pass the request: store.logIn(req, user), store.userOf(req)");
}

/** Whether the headers of a request's response have left, so that it can set no cookie any more. */
export function hasBegun(req: Request | undefined): boolean {
  // Only Express gives a request its response.
  return req?.res?.headersSent === true;
}

/** Makes a new `req.session` with its cookie. The middleware assigns its own to the store. */
export type Generate = (req: Request) => void;

/** The session middleware. A store sees only its function that makes new sessions. */
export class Middleware {
  readonly #warn: Warn;
  #generate: Generate | undefined;
  #isCookieJudged = false;

  constructor(warn: Warn) {
    this.#warn = warn;
  }

  introduce(generate: Generate): void {
    if (this.#generate) this.#warn("TENURE_STORE_SHARED");
    this.#generate = generate;
  }

  /**
   * Makes a new `req.session`, under an id that is to be replaced, and returns its cookie. `undefined`: the
   * middleware has not run.
   */
  generate(req: Request): SessionCookie | undefined {
    if (!this.#generate) return undefined;
    this.#generate(req);
    // express-session's own genid gives 24 bytes in base64url.
    if (!/^[\w-]{32}$/.test(req.sessionID)) this.#warn("TENURE_GENID_UNUSED");
    const cookie = req.session?.cookie;
    if (!cookie) return undefined;
    if (!this.#isCookieJudged) warnOfUnsafeCookie(this.#warn, cookie);
    this.#isCookieJudged = true;
    return cookie;
  }

  /**
   * Returns the cookie that the middleware gives a new session of this request. Leaves the request unchanged.
   */
  newCookie(req: Request): SessionCookie {
    const headers = req.headers ?? {}; // Store#load makes do with a request without headers.
    const standIn = Object.create(req, {
      headers: { value: headers },
      sessionID: { value: "", writable: true },
      session: { value: undefined, writable: true },
    }) as Request;
    this.#generate?.(standIn);
    return standIn.session?.cookie ?? { originalMaxAge: null, path: "/", httpOnly: true };
  }

  /**
   * Warns if a session was stored under a new token and the response does not set its cookie: the response
   * had begun before, or the cookie is `secure` and the framework takes the connection for plain HTTP.
   *
   * @param isTooLate whether the response had begun before the session got its token
   */
  warnIfNotSent(
    { req, cookie }: { readonly req?: Request; readonly cookie: SessionCookie },
    current: Pick<RequestSession<never>, "token" | "isEnded">,
    isTooLate: boolean,
  ): void {
    const { token } = current;
    const { res } = req ?? {};
    if (!req || !res) return;
    const isSent = (): boolean =>
      [res.getHeader("set-cookie") ?? []].flat().some((line) => String(line).includes(token));
    if (isTooLate && !isSent()) return this.#warn("TENURE_COOKIE_TOO_LATE");
    // A stand-in for a request, in a test, may have no socket.
    const { socket } = req as { readonly socket?: object };
    if (isTooLate || !cookie.secure || !socket || "encrypted" in socket) return;
    const check = (): void => {
      // The request may have replaced the token or ended the session since.
      if (current.token !== token || current.isEnded || isSent()) return;
      this.#warn("TENURE_COOKIE_NOT_SENT", 'call app.set("trust proxy", 1)');
    };
    if (res.writableFinished) check();
    else res.once("finish", check);
  }
}
