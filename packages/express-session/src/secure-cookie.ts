import type { Sessions } from "@tenure/core";
import { type CookieOverrides, type SecureCookie, secureCookieOf } from "@tenure/core/bridge";

/** The middleware's options `name` and `cookie`. */
export interface SecureCookieOptions {
  readonly name: string;
  readonly cookie: Omit<SecureCookie, "name">;
}

/**
 * Safe settings of the session cookie, for the options of the middleware: `session({ store, secret, ...secureCookie(sessions) })`. The cookie
 * goes over TLS only, to this host only, and not to scripts. In development over plain HTTP: `secureCookie(sessions, { secure: false, name: "id" })`.
 *
 * Without a `maxAge`, so that the cookie ends with the browser and the policy ends the session. express-session moves the end of a cookie only
 * when a session is modified, or in every response with `rolling`: with a `maxAge` of the idle timeout, who only reads would be logged out.
 * `logIn` with `idle` ("remember me") gives its own cookie a `maxAge`.
 *
 * @throws TypeError for overrides with which a browser would drop the cookie, or that are less safe without need
 */
export function secureCookie<Data extends object>(
  sessions: Sessions<Data>,
  overrides?: CookieOverrides,
): SecureCookieOptions {
  const { name, ...cookie } = secureCookieOf(sessions, overrides);
  return { name, cookie };
}
