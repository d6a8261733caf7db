import { type Warn, warnOfUnsafeCookie } from "@tenure/core/bridge";
import { type FrameworkRequest, type FrameworkSession, signedToken } from "./framework.ts";

/** Warns of unsafe settings of the cookie of a session that is saved. Its name is known once a browser sends it back. */
export function warnOfCookie(warn: Warn, request: FrameworkRequest, session: FrameworkSession): void {
  if (session.cookie) warnOfUnsafeCookie(warn, session.cookie, nameOfCookie(request, session));
}

/** It may carry a `cookiePrefix`. */
function nameOfCookie({ cookies = {} }: FrameworkRequest, session: FrameworkSession): string | undefined {
  const value = signedToken(session);
  return value === undefined
    ? undefined
    : Object.keys(cookies).find((name) => cookies[name]?.endsWith(value));
}

/**
 * Warns if the response lacks the cookie of a session that the application changed or logged in: it is `secure`, and the connection looks like plain
 * HTTP. The framework then saves nothing either, so that no call of the store shows it. It sends the cookie of a session that the application
 * saved itself, from 10.4 on.
 */
export function warnIfNotSent(warn: Warn, request: FrameworkRequest, session: FrameworkSession): void {
  if (session.cookie?.secure !== true || request.protocol !== "http" || isTrustedAnyway(request)) return;
  if (session.isSaved?.() === true || !session.isModified()) return;
  warn("TENURE_COOKIE_NOT_SENT", "create the application with fastify({ trustProxy: true })");
}

/** @fastify/session 10.0 to 10.7, on Fastify 4, believes this header of every client. */
function isTrustedAnyway({ server, headers }: FrameworkRequest): boolean {
  return server?.version?.startsWith("4.") === true && headers?.["x-forwarded-proto"] === "https";
}
