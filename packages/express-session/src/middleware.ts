import { type Warn, warnOfUnsafeCookie } from "@tenure/core/bridge";
import type { SessionData, Store } from "express-session";

/** Express's request, by way of express-session's own types: this package needs no other. */
export type Request = Parameters<Store["regenerate"]>[0];

/** Makes a new `req.session` with its cookie. The middleware assigns its own to the store. */
export type Generate = (req: Request) => void;

/** The session middleware, of which a store sees only the function that makes new sessions. */
export class Middleware {
  readonly #warn: Warn;
  #generate: Generate | undefined;
  #isCookieJudged = false;
  /** Of the session that is being made. */
  #token = "";
  readonly #sessionID: PropertyDescriptor;

  constructor(warn: Warn) {
    this.#warn = warn;
    this.#sessionID = {
      configurable: true,
      enumerable: true,
      get: () => this.#token,
      set: (generated: unknown) => {
        this.#warnOfGenid(generated);
      },
    };
  }

  introduce(generate: Generate): void {
    if (this.#generate) {
      this.#warn(
        "TENURE_STORE_SHARED",
        "two session middlewares share one store, and new sessions get the last one's cookie: give each its own expressSessionStore(sessions)",
      );
    }
    this.#generate = generate;
  }

  /** Makes a new `req.session` with this token. What `genid` returns is not used. */
  generate(req: Request, token: string): void {
    this.#token = token;
    Object.defineProperty(req, "sessionID", this.#sessionID);
    Reflect.deleteProperty(req, "session");
    this.#generate?.(req);
    if (this.#isCookieJudged || !req.session) return;
    this.#isCookieJudged = true;
    const { secure, httpOnly, sameSite, path, domain } = req.session.cookie;
    warnOfUnsafeCookie(this.#warn, { secure, httpOnly, sameSite, path, domain });
  }

  /** The cookie that the middleware gives a new session of this request, which stays as it is. */
  newCookie(req: Request): SessionData["cookie"] {
    const headers = req.headers ?? {}; // Store#load makes do with a request without headers.
    const standIn = Object.create(req, {
      headers: { value: headers },
      sessionID: { value: "", writable: true },
      session: { value: undefined, writable: true },
    }) as Request;
    this.#generate?.(standIn);
    return standIn.session?.cookie ?? { originalMaxAge: null, path: "/", httpOnly: true };
  }

  #warnOfGenid(generated: unknown): void {
    // express-session's own gives 24 bytes in base64url.
    if (typeof generated === "string" && /^[\w-]{32}$/.test(generated)) return;
    this.#warn(
      "TENURE_GENID_UNUSED",
      "genid is not used: session ids are the tokens of Tenure, which have 256 random bits. Remove genid from the options of the session middleware",
    );
  }
}
