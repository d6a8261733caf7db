import { type Warn, warnOfUnsafeCookie } from "@tenure/core/bridge";
import { type FrameworkRequest, type FrameworkSession, signedToken } from "./framework.ts";

/** Warns about unsafe settings of a saved session's cookie. */
export function warnOfCookie(warn: Warn, request: FrameworkRequest, session: FrameworkSession): void {
  if (session.cookie) warnOfUnsafeCookie(warn, session.cookie, nameOfCookie(request, session));
}

/** Finds the cookie by its value, after any `cookiePrefix`. `undefined`: the browser has not sent it. */
function nameOfCookie({ cookies = {} }: FrameworkRequest, session: FrameworkSession): string | undefined {
  const value = signedToken(session);
  return Object.keys(cookies).find((name) => cookies[name]?.endsWith(value));
}

/**
 * Warns if the `secure` cookie of a changed or logged-in session will not be sent, because the connection
 * looks like plain HTTP. The framework does not save such a session either, so no call to the store reveals
 * it. From 10.4 on, it sends the cookie of a session that the application saved itself.
 */
export function warnIfNotSent(warn: Warn, request: FrameworkRequest, session: FrameworkSession): void {
  if (session.cookie?.secure !== true || request.protocol !== "http") return;
  if (session.isSaved?.() === true || !session.isModified()) return;
  warn("TENURE_COOKIE_NOT_SENT", "create the application with fastify({ trustProxy: true })");
}
