import {
  type Warn,
  warnOfUnsafeCookie,
  warnOfUnsafeSecret,
  warnOfWellKnownSecret,
} from "@tenure/core/bridge";
import type { Request } from "./request.ts";
import { findSignedCookie } from "./signed-cookie.ts";

/** Looks at the session cookie of a request whose `req.session` was just made. */
export type CookieWatch = (req: Request) => void;

/**
 * Warns of unsafe cookie settings, once, at the first request. A store is told neither the cookie's name nor the secret: both
 * show in the first signed cookie that comes in or goes out.
 *
 * @param secrets the middleware's, if the application gave them to the store as well
 */
export function watchCookies(warn: Warn, secrets: readonly string[]): CookieWatch {
  let settingsSeen = false;
  let signedSeen = false;
  return (req) => {
    if (!settingsSeen) {
      settingsSeen = true;
      warnOfUnsafeCookie(warn, req.session.cookie);
      warnOfUnsafeSecret(warn, secrets);
    }
    if (signedSeen) return;
    lookAt(req, (req.headers?.cookie ?? "").split(";"));
    // The cookie of a new session is set only when the headers leave.
    if (!signedSeen) req.res?.once("finish", () => lookAt(req, setCookies(req)));
  };

  function lookAt(req: Request, pairs: readonly string[]): void {
    if (signedSeen || !req.session || typeof req.sessionID !== "string") return;
    const signed = findSignedCookie(pairs, req.sessionID);
    if (!signed) return;
    signedSeen = true;
    const { secure, httpOnly, sameSite, path, domain } = req.session.cookie;
    warnOfUnsafeCookie(warn, { name: signed.name, secure, httpOnly, sameSite, path, domain });
    warnOfWellKnownSecret(warn, signed.isSignedWith);
  }
}

function setCookies(req: Request): string[] {
  return [req.res?.getHeader("set-cookie") ?? []].flat().map(String);
}
