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
 * @param settings the cookie that the middleware gives a new session of this request, asked for only where it is to be
 *   judged. The session's own may be an older one, from before its settings were mended or were spoilt
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
    if (!settingsSeen) {
      settingsSeen = true;
      warnOfUnsafeCookie(warn, settings());
      warnOfUnsafeSecret(warn, secrets);
    }
    lookAt(req, (req.headers.cookie ?? "").split(";"), settings);
    // The cookie of a new session is set only when the headers leave.
    if (!signedSeen) req.res?.once("finish", () => lookAt(req, setCookies(req), settings));
  };

  function lookAt(req: Request, pairs: readonly string[], settings: () => CookieSettings): void {
    if (signedSeen || typeof req.sessionID !== "string") return;
    const signed = findSignedCookie(pairs, req.sessionID);
    if (!signed) return;
    signedSeen = true;
    warnOfUnsafeCookie(warn, { ...settings(), name: signed.name });
    warnOfWellKnownSecret(warn, signed.isSignedWith);
  }
}

/** A cookie's settings as they are now. */
export function settingsOf({ secure, httpOnly, sameSite, path, domain }: CookieSettings): CookieSettings {
  return { secure, httpOnly, sameSite, path, domain };
}

function setCookies(req: Request): string[] {
  return [req.res?.getHeader("set-cookie") ?? []].flat().map(String);
}
