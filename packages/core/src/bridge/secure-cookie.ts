import { type Duration, parseDuration } from "../duration.ts";
import { Sessions } from "../sessions.ts";
import { assertKnownOptions } from "../store/validate.ts";

/** Settings that differ from the defaults of `secureCookie`. */
export interface CookieOverrides {
  /**
   * Default: `"__Host-id"`. Browsers accept a `__Host-` cookie only over TLS, from this host, and for all
   * paths.
   */
  readonly name?: string;
  /**
   * `false` for development over plain HTTP, with a `name` that does not begin with `__Host-`. Default:
   * `true`.
   */
  readonly secure?: boolean;
  /**
   * `"none"` for a site that other sites show in frames; it needs protection against cross-site requests.
   * Default: `"lax"`.
   */
  readonly sameSite?: SameSite;
  /** A `__Host-` name allows only the default, `"/"`. */
  readonly path?: string;
  /** Sends the cookie to subdomains, too. Not allowed with a `__Host-` name. Default: none. */
  readonly domain?: string;
  /** Lets the cookie outlive the browser. At most the policy's idle timeout. Default: none. */
  readonly maxAge?: Duration;
}

/** The attribute `SameSite` of a cookie. */
export type SameSite = "lax" | "strict" | "none";

/** The settings of a session cookie, under the names that frameworks share. */
export interface SecureCookie {
  readonly name: string;
  readonly secure: boolean;
  readonly httpOnly: true;
  readonly sameSite: SameSite;
  readonly path: string;
  readonly domain?: string;
  /** Milliseconds. Absent: the cookie ends with the browser. */
  readonly maxAge?: number;
}

/**
 * Returns the settings of a session cookie that is sent over TLS only, to one host only, and is hidden from
 * scripts (OWASP ASVS 5.0 3.3.1 to 3.3.4).
 *
 * Without a `maxAge` the cookie ends with the browser, and the policy ends the session. A cookie's expiry
 * moves only when it is sent again, so one that expires with the idle timeout would log out an active user.
 *
 * @throws TypeError for settings that contradict each other or the policy
 */
export function secureCookieOf<Data extends object>(
  sessions: Sessions<Data>,
  overrides: CookieOverrides = {},
): SecureCookie {
  const { idleTimeout } = Sessions.contextOf(sessions).policy;
  assertKnownOptions(overrides, KNOWN);
  const { name = "__Host-id", secure = true, sameSite = "lax", path = "/", domain, maxAge } = overrides;
  const fault = faultOf({ ...overrides, name, secure, sameSite, path });
  if (fault !== undefined) throw new TypeError(fault);
  const cookie = { name, secure, httpOnly: true, sameSite, path, ...(domain && { domain }) } as const;
  if (maxAge === undefined) return cookie;
  const milliseconds = parseDuration("maxAge", maxAge);
  if (milliseconds <= idleTimeout) return { ...cookie, maxAge: milliseconds };
  throw new TypeError(
    'maxAge is longer than the idle timeout, which ends the session: raise idleTimeout of Sessions, or log in with logIn(…, { idle: "30d", lifetime: "30d" }) for "remember me"',
  );
}

/** `httpOnly` is here so that its error can say why it must stay on. */
const KNOWN = ["name", "secure", "httpOnly", "sameSite", "path", "domain", "maxAge"];

/**
 * Returns what is wrong with settings, alone or together (RFC 6265bis 5.7). `undefined`: nothing. Browsers
 * ignore the case of name prefixes.
 */
function faultOf(given: { readonly [Setting in keyof SecureCookie]?: unknown }): string | undefined {
  const { name, secure, httpOnly = true, sameSite, path, domain } = given;
  // A token of RFC 9110.
  if (typeof name !== "string" || !/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
    return 'name must be a cookie name without spaces, ";" or "=", such as "__Host-id"';
  }
  if (typeof secure !== "boolean") return "secure must be true or false";
  if (httpOnly !== true)
    return "httpOnly must stay on, or any script in the page can read the session cookie";
  if (sameSite !== "lax" && sameSite !== "strict" && sameSite !== "none") {
    return 'sameSite must be "lax", "strict" or "none"';
  }
  if (typeof path !== "string" || !path.startsWith("/")) return 'path must begin with "/"';
  if (domain !== undefined && (typeof domain !== "string" || domain === "")) {
    return 'domain must be a host name, such as "example.org"';
  }
  if (!secure && sameSite === "none") {
    return 'sameSite "none" needs secure, or browsers drop the cookie: leave secure on';
  }
  if (!secure && /^__(?:host|secure)-/i.test(name)) {
    return `a cookie named ${name} needs secure, or browsers drop it. For development over plain HTTP, change the name, too: secureCookie(sessions, { secure: false, name: "id" })`;
  }
  if (/^__host-/i.test(name) && (path !== "/" || domain !== undefined)) {
    return `a cookie named ${name} must have the path "/" and no domain, or browsers drop it: leave both out, or change the name, too, such as to "__Secure-id"`;
  }
  return undefined;
}
