import type { Warn } from "@tenure/core/bridge";
import type { SessionData } from "express-session";
import type { Request } from "./request.ts";

/** Makes a new `req.session`, with its cookie and the token that `genid` gives. */
export type Generate = (req: Request) => void;

/** The session middleware, which shows to the store that it is given only by this function. */
export class Middleware {
  readonly #warn: Warn;
  #generate: Generate | undefined;

  constructor(warn: Warn) {
    this.#warn = warn;
  }

  /** It assigns the function when it is made. */
  introduce(generate: Generate): void {
    if (this.#generate) {
      this.#warn(
        "TENURE_STORE_SHARED",
        "two session middlewares share one store, and new sessions get the last one's cookie and genid: give each its own expressSessionStore(sessions)",
      );
    }
    this.#generate = generate;
  }

  generate(req: Request): void {
    this.#generate?.(req);
  }

  /** The cookie that it gives a new session of this request, which stays as it is. */
  newCookie(req: Request): SessionData["cookie"] {
    // Store#load makes do with a request without headers.
    const stand = Object.create(req, req.headers ? {} : { headers: { value: {} } }) as Request;
    this.generate(stand);
    return stand.session?.cookie ?? { originalMaxAge: null, path: "/", httpOnly: true };
  }
}
