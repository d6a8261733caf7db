import { createHmac } from "node:crypto";
import { warnOfUnsafeCookie, warnOfWellKnownSecret, type WarningCode, warnOnce } from "@tenure/core/bridge";
import { type FrameworkSession, requestOf } from "./framework.ts";

/**
 * Warns of unsafe settings, each once, told from the sessions that are saved. The cookie's name is seen when a browser
 * sends it back.
 */
export function unsafeSettings(silenced?: readonly WarningCode[]): (session: FrameworkSession) => void {
  const warn = warnOnce(silenced);
  let isFirst = true;
  let name: string | undefined;

  return (session) => {
    if (!isFirst && name !== undefined) return;
    name ??= nameOfCookie(session);
    if (!isFirst && name === undefined) return;
    const { secure, httpOnly, sameSite, path, domain } = session.cookie;
    warnOfUnsafeCookie(warn, {
      name,
      secure: secure ?? undefined,
      httpOnly,
      sameSite: sameSite ?? undefined,
      path,
      domain,
    });
    if (isFirst) warnOfWellKnownSecret(warn, (secret) => isSignedWith(secret, session));
    isFirst = false;
  };
}

/** It may carry a `cookiePrefix`. */
function nameOfCookie(session: FrameworkSession): string | undefined {
  const { cookies = {} } = requestOf(session) ?? {};
  return Object.keys(cookies).find((name) => cookies[name]?.endsWith(session.encryptedSessionId));
}

/** As the Signer of @fastify/cookie does it by default. */
function isSignedWith(secret: string, { sessionId, encryptedSessionId }: FrameworkSession): boolean {
  const signature = createHmac("sha256", secret).update(sessionId).digest("base64").replaceAll("=", "");
  return encryptedSessionId === `${sessionId}.${signature}`;
}
