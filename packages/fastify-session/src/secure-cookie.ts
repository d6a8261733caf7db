import type { Sessions } from "@tenure/core";
import { type CookieOverrides, type SecureCookie, secureCookieOf } from "@tenure/core/bridge";

/** The plugin's options `cookieName` and `cookie`. */
export interface SecureCookieOptions {
  readonly cookieName: string;
  readonly cookie: Omit<SecureCookie, "name">;
}

/**
 * Returns safe cookie settings for the plugin's options:
 * `{ store, idGenerator: store.idGenerator, secret, ...secureCookie(sessions) }`. Browsers send the cookie to
 * this host only, over TLS only, hide it from scripts, and drop it when they close. It has no `maxAge`,
 * because requests that only read would not extend it. In development over plain HTTP:
 * `secureCookie(sessions, { secure: false, name: "id" })`.
 *
 * @throws TypeError for overrides that make a browser drop the cookie, weaken it needlessly or contradict the
 *   policy
 */
export function secureCookie<Data extends object>(
  sessions: Sessions<Data>,
  overrides?: CookieOverrides,
): SecureCookieOptions {
  const { name, ...cookie } = secureCookieOf(sessions, overrides);
  return { cookieName: name, cookie };
}
