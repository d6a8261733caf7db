import type { Sessions } from "@tenure/core";
import { type CookieOverrides, type SecureCookie, secureCookieOf } from "@tenure/core/bridge";

/** The plugin's options `cookieName` and `cookie`. */
export interface SecureCookieOptions {
  readonly cookieName: string;
  readonly cookie: Omit<SecureCookie, "name">;
}

/**
 * Safe settings of the session cookie, for the options of the plugin: `{ store, idGenerator: store.idGenerator, secret, ...secureCookie(sessions) }`.
 * The cookie goes over TLS only, to this host only, and not to scripts, and ends with the browser, because @fastify/session does not move its end
 * when somebody only reads. In development over plain HTTP: `secureCookie(sessions, { secure: false, name: "id" })`.
 *
 * @throws TypeError for overrides with which a browser would drop the cookie, or that are less safe without need
 */
export function secureCookie<Data extends object>(
  sessions: Sessions<Data>,
  overrides?: CookieOverrides,
): SecureCookieOptions {
  const { name, ...cookie } = secureCookieOf(sessions, overrides);
  return { cookieName: name, cookie };
}
