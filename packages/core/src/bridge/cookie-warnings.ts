import type { Warn } from "./warnings.ts";

/** A session cookie's settings as the framework has them, as far as the bridge can see them. */
export interface CookieSettings {
  /** Absent: not known (yet). */
  readonly name?: string | undefined;
  readonly secure?: boolean | "auto" | undefined;
  /** Absent: the framework's default, which is on. */
  readonly httpOnly?: boolean | undefined;
  readonly sameSite?: boolean | string | undefined;
  readonly path?: string | null | undefined;
  readonly domain?: string | null | undefined;
}

/** Warns of what makes a session cookie easy to steal or to set (OWASP ASVS 5.0 3.3.1 to 3.3.4; RFC 6265bis 4.1.3). */
export function warnOfUnsafeCookie(warn: Warn, cookie: CookieSettings): void {
  const { name, secure, httpOnly, sameSite, path, domain } = cookie;
  if (!secure && process.env["NODE_ENV"] === "production") {
    warn(
      "TENURE_COOKIE_NOT_SECURE",
      "the session cookie is also sent over plain HTTP, where anybody on the way can read it: use secureCookie(sessions), and behind a proxy tell the framework to trust it",
    );
  }
  if (httpOnly === false) {
    warn(
      "TENURE_COOKIE_NOT_HTTPONLY",
      "any script in the page can read the session cookie: leave httpOnly on, as secureCookie(sessions) does",
    );
  }
  if (typeof sameSite === "string" && sameSite.toLowerCase() === "none" && !secure) {
    warn(
      "TENURE_COOKIE_SAMESITE_NONE",
      'browsers drop a cookie with SameSite=None that is not Secure: use secureCookie(sessions), or secureCookie(sessions, { sameSite: "none" })',
    );
  }
  if (name !== undefined && !name.startsWith("__Host-") && secure && isRoot(path) && !domain) {
    warn(
      "TENURE_COOKIE_NAME",
      "a subdomain can set a session cookie of this name and so log a visitor in as somebody else: use secureCookie(sessions), whose name begins with __Host-",
    );
  }
}

/**
 * Warns of a session whose cookie is not sent: it is secure, and the framework takes the connection for plain HTTP.
 *
 * @param remedy how this framework is told to trust a proxy
 */
export function warnOfUnsentCookie(warn: Warn, remedy: string): void {
  warn(
    "TENURE_COOKIE_NOT_SENT",
    `the session cookie was not sent, so that nobody stays logged in: it is secure, and the connection looks like plain HTTP. Behind a proxy that ends TLS, ${remedy}. For development without TLS, use secureCookie(sessions, { secure: false, name: "id" })`,
  );
}

/** Warns of secrets that are short enough to be guessed from one signed cookie: 128 bits in hexadecimal. */
export function warnOfWeakSecret(warn: Warn, secrets: readonly (string | Uint8Array)[]): void {
  if (secrets.every(({ length }) => length >= MIN_SECRET_LENGTH)) return;
  warn(
    "TENURE_SECRET_SHORT",
    `a cookie secret of fewer than ${MIN_SECRET_LENGTH} characters can be guessed from one cookie: use the 64 that crypto.randomBytes(32).toString("hex") gives`,
  );
}

const MIN_SECRET_LENGTH = 32;

function isRoot(path: string | null | undefined): boolean {
  return path === undefined || path === null || path === "/";
}
