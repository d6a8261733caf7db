/** The codes of the process warnings that bridges emit. */
export type WarningCode = keyof typeof MESSAGES;

const MESSAGES = {
  TENURE_COOKIE_NOT_SECURE:
    "the session cookie is also sent over plain HTTP, where anybody on the network can read it: use secureCookie(sessions), and behind a proxy make the framework trust it",
  TENURE_COOKIE_NOT_HTTPONLY:
    "any script in the page can read the session cookie: leave httpOnly on, as secureCookie(sessions) does",
  TENURE_COOKIE_SAMESITE_NONE:
    'browsers drop a cookie with SameSite=None that is not Secure: use secureCookie(sessions), or secureCookie(sessions, { sameSite: "none" })',
  TENURE_COOKIE_NAME:
    "a subdomain can set a session cookie with this name and so log a visitor in as somebody else: use secureCookie(sessions), whose cookie name begins with __Host-",
  TENURE_SECRET_SHORT:
    'a cookie secret of fewer than 32 characters can be guessed from one cookie: use crypto.randomBytes(32).toString("hex")',
  TENURE_STORE_SHARED:
    "two session middlewares share one store, so new sessions get the cookie of the last one: give each its own expressSessionStore(sessions)",
  TENURE_GENID_UNUSED:
    "genid is not used: session ids are Tenure's tokens, which have 256 random bits. Remove genid from the options of the session middleware",
  TENURE_MAX_AGE_CAPPED:
    'cookie.maxAge is longer than the idle timeout, which ends the session: raise idleTimeout of Sessions, or for "remember me" set maxIdleTimeout and maxLifetime, and log in with logIn(…, { idle: "30d", lifetime: "30d" })',
  TENURE_COOKIE_NOT_SENT:
    'the session cookie was not sent, so nobody stays logged in: the cookie is secure, and the connection looks like plain HTTP. For development without TLS, use secureCookie(sessions, { secure: false, name: "id" }). Behind a proxy that ends TLS, ',
  TENURE_COOKIE_TOO_LATE:
    "a session got a new token after the response had begun, so its cookie was not sent: before you respond, await logIn and rotate, and change or regenerate the session",
  TENURE_TOKEN_KEPT:
    "the data logged a user in and the session kept its token, so whoever planted or saw that token before is logged in, too: log in with logIn, or call regenerate before you set the user",
  TENURE_SENT_TWICE:
    "a response was sent twice, and the second was dropped: a hook or an async handler that sends a response must return reply. If @fastify/passport redirects from a route, give the route a handler that is not async",
} as const;

/**
 * Emits a warning, at most once per code.
 *
 * @param remedy completes the message of `TENURE_COOKIE_NOT_SENT`: how to make the framework trust a proxy
 */
export type Warn = (code: WarningCode, remedy?: string) => void;

/**
 * Returns a function that emits process warnings, each code once. `node --disable-warning=CODE` silences one,
 * too.
 *
 * @param silenced codes to suppress
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

/** A session cookie's settings in the framework, as far as the bridge can see them. */
export interface CookieSettings {
  readonly secure?: boolean | "auto" | null | undefined;
  /** Absent: the framework's default, which is on. */
  readonly httpOnly?: boolean | undefined;
  readonly sameSite?: boolean | string | null | undefined;
  readonly path?: string | null | undefined;
  readonly domain?: string | null | undefined;
}

/**
 * Warns about settings that make a session cookie easy to steal or to plant (OWASP ASVS 5.0 3.3.1 to 3.3.4;
 * RFC 6265bis 4.1.3).
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

/** Warns about secrets that can be guessed from one signed cookie: shorter than 128 bits in hexadecimal. */
export function warnOfWeakSecret(warn: Warn, secrets: readonly (string | Uint8Array)[]): void {
  if (secrets.some(({ length }) => length < 32)) warn("TENURE_SECRET_SHORT");
}
