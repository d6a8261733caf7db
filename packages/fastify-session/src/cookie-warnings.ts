import { type Warn, warnOfUnsafeCookie } from "@tenure/core/bridge";
import type { FrameworkRequest, FrameworkSession } from "./framework.ts";

/** Warns of unsafe settings of the cookie, by the sessions that are saved. Its name is known once a browser sends it back. */
export function cookieWarnings(warn: Warn): (request: FrameworkRequest, session: FrameworkSession) => void {
  let isFirst = true;
  let name: string | undefined;

  return (request, session) => {
    const { cookie } = session;
    if (!cookie || (!isFirst && name !== undefined)) return;
    name = nameOfCookie(request, session);
    if (!isFirst && name === undefined) return;
    isFirst = false;
    const { secure, httpOnly, sameSite, path, domain } = cookie;
    warnOfUnsafeCookie(warn, {
      name,
      secure: secure ?? undefined,
      httpOnly,
      sameSite: sameSite ?? undefined,
      path,
      domain,
    });
  };
}

/** It may carry a `cookiePrefix`. */
function nameOfCookie(
  { cookies = {} }: FrameworkRequest,
  { encryptedSessionId }: FrameworkSession,
): string | undefined {
  if (encryptedSessionId === "") return undefined;
  return Object.keys(cookies).find((name) => cookies[name]?.endsWith(encryptedSessionId));
}

/** Warns if a session was stored and the framework will not set its cookie: it is `secure`, and the connection looks like plain HTTP. */
export function warnIfNotSent(warn: Warn, request: FrameworkRequest, { cookie }: FrameworkSession): void {
  if (cookie?.secure !== true || request.protocol !== "http" || isTrustedAnyway(request)) return;
  warn(
    "TENURE_COOKIE_NOT_SENT",
    "a session was stored and its cookie was not sent, because cookie.secure is on and the connection looks like plain HTTP: behind a proxy that ends TLS, create the application with fastify({ trustProxy: true })",
  );
}

/** @fastify/session 10.0 to 10.7, on Fastify 4, believes this header of every client. */
function isTrustedAnyway({ server, headers }: FrameworkRequest): boolean {
  return server?.version?.startsWith("4.") === true && headers?.["x-forwarded-proto"] === "https";
}
