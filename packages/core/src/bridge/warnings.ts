/** What bridges warn about: the `code` of a process warning. */
export type WarningCode = keyof typeof MESSAGES;

const MESSAGES = {
  TENURE_COOKIE_NOT_SECURE:
    "the session cookie is also sent over plain HTTP, where anybody on the way can read it: use secureCookie(sessions), and behind a proxy tell the framework to trust it",
  TENURE_COOKIE_NOT_HTTPONLY:
    "any script in the page can read the session cookie: leave httpOnly on, as secureCookie(sessions) does",
  TENURE_COOKIE_SAMESITE_NONE:
    'browsers drop a cookie with SameSite=None that is not Secure: use secureCookie(sessions), or secureCookie(sessions, { sameSite: "none" })',
  TENURE_COOKIE_NAME:
    "a subdomain can set a session cookie of this name and so log a visitor in as somebody else: use secureCookie(sessions), whose name begins with __Host-",
  TENURE_SECRET_SHORT:
    'a cookie secret of fewer than 32 characters can be guessed from one cookie: use the 64 that crypto.randomBytes(32).toString("hex") gives',
  TENURE_STORE_SHARED:
    "two session middlewares share one store, and new sessions get the last one's cookie: give each its own expressSessionStore(sessions)",
  TENURE_GENID_UNUSED:
    "genid is not used: session ids are the tokens of Tenure, which have 256 random bits. Remove genid from the options of the session middleware",
  TENURE_MAX_AGE_CAPPED:
    'cookie.maxAge is longer than the idle timeout, which counts: raise idleTimeout of Sessions, or log in with logIn(…, { idle: "30d" }) and maxIdleTimeout for "remember me"',
  TENURE_COOKIE_NOT_SENT:
    'the session cookie was not sent, so that nobody stays logged in: it is secure, and the connection looks like plain HTTP. For development without TLS, use secureCookie(sessions, { secure: false, name: "id" }). Behind a proxy that ends TLS, ',
} as const;

/**
 * Emits a warning, at most once per code.
 *
 * @param remedy the end of the message of `TENURE_COOKIE_NOT_SENT`: how the framework is told to trust a proxy
 */
export type Warn = (code: WarningCode, remedy?: string) => void;

/**
 * Warnings through `process.emitWarning`, each code once. `node --disable-warning=CODE` silences one, too.
 *
 * @param silenced codes not to warn about
 * @throws TypeError for anything but a list of codes
 */
export function warnOnce(silenced: readonly WarningCode[] = []): Warn {
  if (!Array.isArray(silenced) || !silenced.every((code) => Object.hasOwn(MESSAGES, code))) {
    throw new TypeError(`silence must be a list of codes: ${Object.keys(MESSAGES).join(", ")}`);
  }
  const done = new Set<WarningCode>(silenced);
  return (code, remedy = "") => {
    if (done.has(code)) return;
    done.add(code);
    process.emitWarning(`${MESSAGES[code]}${remedy}`, { type: "TenureWarning", code });
  };
}

/** A session cookie's settings as the framework has them, as far as the bridge can see them. */
export interface CookieSettings {
  readonly secure?: boolean | "auto" | null | undefined;
  /** Absent: the framework's default, which is on. */
  readonly httpOnly?: boolean | undefined;
  readonly sameSite?: boolean | string | null | undefined;
  readonly path?: string | null | undefined;
  readonly domain?: string | null | undefined;
}

/**
 * Warns of what makes a session cookie easy to steal or to set (OWASP ASVS 5.0 3.3.1 to 3.3.4; RFC 6265bis 4.1.3).
 *
 * @param name absent: not known (yet)
 */
export function warnOfUnsafeCookie(warn: Warn, cookie: CookieSettings, name?: string): void {
  const { secure, httpOnly, sameSite, path, domain } = cookie;
  const isNone = typeof sameSite === "string" && sameSite.toLowerCase() === "none";
  const canHavePrefix = secure && (path ?? "/") === "/" && !domain;
  if (!secure && process.env["NODE_ENV"] === "production") warn("TENURE_COOKIE_NOT_SECURE");
  if (httpOnly === false) warn("TENURE_COOKIE_NOT_HTTPONLY");
  if (isNone && !secure) warn("TENURE_COOKIE_SAMESITE_NONE");
  if (canHavePrefix && name !== undefined && !name.startsWith("__Host-")) warn("TENURE_COOKIE_NAME");
}

/** Warns of secrets that are short enough to be guessed from one signed cookie: 128 bits in hexadecimal. */
export function warnOfWeakSecret(warn: Warn, secrets: readonly (string | Uint8Array)[]): void {
  if (secrets.some(({ length }) => length < 32)) warn("TENURE_SECRET_SHORT");
}
