import type { Sessions } from "@tenure/core";
import { type CookieOverrides, type SecureCookie, secureCookieOf } from "@tenure/core/bridge";

/** The middleware's options `name` and `cookie`. */
export interface SecureCookieOptions {
  readonly name: string;
  readonly cookie: Omit<SecureCookie, "name">;
}

/**
 * Returns safe cookie settings for the middleware: `session({ store, secret, ...secureCookie(sessions) })`.
 * The cookie is sent over TLS only, to this host only, and is hidden from scripts. It ends with the browser,
 * because express-session does not extend it for requests that only read. For development over plain HTTP:
 * `secureCookie(sessions, { secure: false, name: "id" })`.
 *
 * @throws TypeError for overrides with which a browser would drop the cookie, or that are needlessly unsafe
 */
export function secureCookie<Data extends object>(
  sessions: Sessions<Data>,
  overrides?: CookieOverrides,
): SecureCookieOptions {
  const { name, ...cookie } = secureCookieOf(sessions, overrides);
  return { name, cookie };
}
