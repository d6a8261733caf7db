import {
  type CookieSettings,
  type Warn,
  warnOfUnsafeCookie,
  warnOfUnsafeSecret,
  warnOfWellKnownSecret,
} from "@tenure/core/bridge";
import type { Request } from "./request.ts";
import { findSignedCookie } from "./signed-cookie.ts";

/**
 * Looks at a request whose `req.session` was just made.
 *
 * @param settings the cookie that the middleware gives a new session of this request. The session's own may be an older one,
 *   from before its settings were mended or were spoilt
 */
export type CookieWatch = (req: Request, settings: () => CookieSettings) => void;

/**
 * Warns of unsafe cookie settings, once, at the first request. A store is told neither the cookie's name nor the secret: both
 * show in the first signed cookie that comes in or goes out.
 *
 * @param secrets the middleware's, if the application gave them to the store as well
 */
export function watchCookies(warn: Warn, secrets: readonly (string | Uint8Array)[]): CookieWatch {
  let settingsSeen = false;
  let signedSeen = false;
  return (req, settings) => {
    // Store#load makes do without a request, whose headers and connection tell of cookies.
    if (signedSeen || !req.headers) return;
    const { secure, httpOnly, sameSite, path, domain } = settings();
    const cookie = { secure, httpOnly, sameSite, path, domain };
    if (!settingsSeen) {
      settingsSeen = true;
      warnOfUnsafeCookie(warn, cookie);
      warnOfUnsafeSecret(warn, secrets);
    }
    lookAt(req, (req.headers.cookie ?? "").split(";"), cookie);
    // The cookie of a new session is set only when the headers leave.
    if (!signedSeen) req.res?.once("finish", () => lookAt(req, setCookies(req), cookie));
  };

  function lookAt(req: Request, pairs: readonly string[], cookie: CookieSettings): void {
    if (signedSeen || typeof req.sessionID !== "string") return;
    const signed = findSignedCookie(pairs, req.sessionID);
    if (!signed) return;
    signedSeen = true;
    warnOfUnsafeCookie(warn, { ...cookie, name: signed.name });
    warnOfWellKnownSecret(warn, signed.isSignedWith);
  }
}

function setCookies(req: Request): string[] {
  return [req.res?.getHeader("set-cookie") ?? []].flat().map(String);
}
