import type { Sessions } from "@tenure/core";
import { type CookieOverrides, type SecureCookie, secureCookieOf } from "@tenure/core/bridge";

/** The options of koa-session for its cookie. */
export interface SecureCookieOptions extends Omit<SecureCookie, "name" | "maxAge"> {
  readonly key: string;
  readonly maxAge: number | "session";
}

/**
 * Returns safe cookie settings for koa-session's options:
 * `session({ store, genid: store.genid, ...secureCookie(sessions) }, app)`. Browsers send the cookie to this
 * host only, over TLS only, hide it from scripts, and drop it when they close. It has no `maxAge`, because
 * requests that only read would not extend it. In development over plain HTTP:
 * `secureCookie(sessions, { secure: false, name: "id" })`.
 *
 * @throws TypeError for overrides that make a browser drop the cookie, weaken it needlessly or contradict the
 *   policy
 */
export function secureCookie<Data extends object>(
  sessions: Sessions<Data>,
  overrides?: CookieOverrides,
): SecureCookieOptions {
  const { name, maxAge = "session", ...cookie } = secureCookieOf(sessions, overrides);
  return { ...cookie, key: name, maxAge };
}
