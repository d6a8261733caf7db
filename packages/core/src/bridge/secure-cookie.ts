import { type Duration, parseDuration } from "../duration.ts";
import { Sessions } from "../sessions.ts";
import { assertOptions } from "./options.ts";

/** What `secureCookie` is to set otherwise. */
export interface CookieOverrides {
  /** The cookie's name. Default `"__Host-id"`: browsers take one with `__Host-` over TLS only, from this very host, and for all paths. */
  readonly name?: string;
  /** `false` for development over plain HTTP, with a `name` that does not begin with `__Host-`. Default `true`. */
  readonly secure?: boolean;
  /** `"none"` for a site that is shown in frames of others; it needs protection against cross-site requests. Default `"lax"`. */
  readonly sameSite?: SameSite;
  /** Only with another `name`. Default `"/"`. */
  readonly path?: string;
  /** Also sends the cookie to the subdomains. Only with another `name`. Default: none. */
  readonly domain?: string;
  /** For a cookie that outlives the browser, at most the policy's idle timeout. Default: it ends with the browser. */
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
 * The settings of a session cookie that goes over TLS only, to one host only, and not to scripts (OWASP ASVS 5.0 3.3.1 to 3.3.4).
 *
 * Without a `maxAge` of its own the cookie ends with the browser, and the policy ends the session. The end of a cookie moves only when the cookie is sent
 * again, so that one at the idle timeout would log out somebody who is using the site.
 *
 * @throws TypeError for settings that contradict each other, or the policy
 */
export function secureCookieOf<Data extends object>(
  sessions: Sessions<Data>,
  overrides: CookieOverrides = {},
): SecureCookie {
  const { idleTimeout } = Sessions.contextOf(sessions).policy;
  assertOptions(overrides, KNOWN);
  const { name = "__Host-id", secure = true, sameSite = "lax", path = "/", domain, maxAge } = overrides;
  const fault = faultOf({ ...overrides, name, secure, sameSite, path });
  if (fault !== undefined) throw new TypeError(fault);
  const cookie = { name, secure, httpOnly: true, sameSite, path, ...(domain && { domain }) } as const;
  if (maxAge === undefined) return cookie;
  const milliseconds = parseDuration("maxAge", maxAge);
  if (milliseconds <= idleTimeout) return { ...cookie, maxAge: milliseconds };
  throw new TypeError(
    'maxAge is longer than the idle timeout, which counts: raise idleTimeout of Sessions, or log in with logIn(…, { idle: "30d" }) for "remember me"',
  );
}

/** `httpOnly` is known so that its error can say why it stays on. */
const KNOWN = ["name", "secure", "httpOnly", "sameSite", "path", "domain", "maxAge"];

/** What is wrong with settings: one by one, and then together (RFC 6265bis 5.7). Browsers compare the prefixes of names without regard to case. */
function faultOf(given: { readonly [Setting in keyof SecureCookie]?: unknown }): string | undefined {
  const { name, secure, httpOnly = true, sameSite, path, domain } = given;
  // A token of RFC 9110.
  if (typeof name !== "string" || !/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
    return 'name must be the name of a cookie, without spaces, ";" and "=": "__Host-id"';
  }
  if (typeof secure !== "boolean") return "secure must be true or false";
  if (httpOnly !== true)
    return "httpOnly must stay on, or any script in the page can read the session cookie";
  if (sameSite !== "lax" && sameSite !== "strict" && sameSite !== "none") {
    return 'sameSite must be "lax", "strict" or "none"';
  }
  if (typeof path !== "string" || !path.startsWith("/")) return 'path must begin with "/"';
  if (domain !== undefined && (typeof domain !== "string" || domain === "")) {
    return 'domain must be the name of a host: "example.org"';
  }
  if (!secure && sameSite === "none") {
    return 'sameSite "none" needs secure, or browsers drop the cookie: leave secure on';
  }
  if (!secure && /^__(?:host|secure)-/i.test(name)) {
    return `a cookie named ${name} needs secure, or browsers drop it. For development over plain HTTP, give it another name, too: secureCookie(sessions, { secure: false, name: "id" })`;
  }
  if (/^__host-/i.test(name) && (path !== "/" || domain !== undefined)) {
    return `a cookie named ${name} must have the path "/" and no domain, or browsers drop it: leave both out, or give it another name, too: "__Secure-id"`;
  }
  return undefined;
}
