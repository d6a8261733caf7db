import type { Sessions } from "@tenure/core";
import { type CookieOverrides, type SecureCookie, secureCookieOf } from "@tenure/core/bridge";

/** The options of koa-session for its cookie. */
export interface SecureCookieOptions extends Omit<SecureCookie, "name" | "maxAge"> {
  readonly key: string;
  readonly maxAge: number | "session";
}

/**
 * Safe settings of the session cookie, for the options of koa-session: `session({ store, genid: store.genid, ...secureCookie(sessions) }, app)`. The
 * cookie goes over TLS only, to this host only, and not to scripts, and ends with the browser, because koa-session does not move its end when somebody
 * only reads. In development over plain HTTP: `secureCookie(sessions, { secure: false, name: "id" })`.
 *
 * @throws TypeError for overrides with which a browser would drop the cookie, or that are less safe without need
 */
export function secureCookie<Data extends object>(
  sessions: Sessions<Data>,
  overrides?: CookieOverrides,
): SecureCookieOptions {
  const { name, maxAge = "session", ...cookie } = secureCookieOf(sessions, overrides);
  return { ...cookie, key: name, maxAge };
}
