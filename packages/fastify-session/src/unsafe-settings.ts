import {
  isSignedWith,
  warnOfUnsafeCookie,
  warnOfWellKnownSecret,
  type WarningCode,
  warnOnce,
} from "@tenure/core/bridge";
import { type FrameworkRequest, type FrameworkSession, requestOf } from "./framework.ts";

/**
 * Warns of unsafe settings, each once, told from the sessions that are saved. The cookie's name is seen when a browser
 * sends it back.
 */
export function unsafeSettings(silenced?: readonly WarningCode[]): (session: FrameworkSession) => void {
  const warn = warnOnce(silenced);
  let isFirst = true;
  let name: string | undefined;

  return (session) => {
    const request = requestOf(session);
    // What an application hands to `set` itself belongs to none.
    if (!request || !session.cookie || (!isFirst && name !== undefined)) return;
    name ??= nameOfCookie(request, session);
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
    if (isFirst) warnOfWellKnownSecret(warn, (secret) => isSecretOf(session, secret));
    isFirst = false;
  };
}

/** It may carry a `cookiePrefix`. */
function nameOfCookie(
  { cookies = {} }: FrameworkRequest,
  { encryptedSessionId }: FrameworkSession,
): string | undefined {
  return Object.keys(cookies).find((name) => cookies[name]?.endsWith(encryptedSessionId));
}

function isSecretOf({ sessionId, encryptedSessionId }: FrameworkSession, secret: string): boolean {
  const [signed, signature] = [`${sessionId}.`, encryptedSessionId];
  return signature.startsWith(signed) && isSignedWith(secret, sessionId, signature.slice(signed.length));
}
