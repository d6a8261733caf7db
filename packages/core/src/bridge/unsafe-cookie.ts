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

/** Warns of what makes a session cookie easy to steal or to set (ASVS 5.0 3.3.1 to 3.3.4; RFC 6265bis 4.1.3). */
export function warnOfUnsafeCookie(warn: Warn, cookie: CookieSettings): void {
  const { name, secure, httpOnly, sameSite, path, domain } = cookie;
  if (!secure && process.env["NODE_ENV"] === "production") {
    warn(
      "TENURE_COOKIE_NOT_SECURE",
      "the session cookie also goes over plain HTTP, where anybody on the way can read it: set cookie.secure, and behind a proxy tell the framework to trust it",
    );
  }
  if (httpOnly === false) {
    warn(
      "TENURE_COOKIE_NOT_HTTPONLY",
      "any script in the page can read the session cookie: leave cookie.httpOnly on",
    );
  }
  if (typeof sameSite === "string" && sameSite.toLowerCase() === "none" && !secure) {
    warn(
      "TENURE_COOKIE_SAMESITE_NONE",
      'browsers drop a cookie with SameSite=None that is not Secure: set cookie.secure, or cookie.sameSite to "lax"',
    );
  }
  if (name !== undefined && !name.startsWith("__Host-") && secure && isRoot(path) && !domain) {
    warn(
      "TENURE_COOKIE_NAME",
      "a subdomain can set a session cookie of this name and so log a visitor in as somebody else: begin its name with __Host-",
    );
  }
}

/** Warns of secrets that can be guessed from one signed cookie: shorter than 128 bits in hexadecimal, or from a tutorial. */
export function warnOfUnsafeSecret(warn: Warn, secrets: readonly (string | Uint8Array)[]): void {
  for (const secret of secrets) {
    if (secret.length < MIN_SECRET_LENGTH) {
      warn(
        "TENURE_SECRET_SHORT",
        `a cookie secret of fewer than ${MIN_SECRET_LENGTH} characters can be guessed from one cookie: use the 64 that crypto.randomBytes(32).toString("hex") gives`,
      );
    }
  }
  warnOfWellKnownSecret(warn, (known) => secrets.includes(known));
}

/**
 * Warns of a secret that stands in documentation and tutorials, where a bridge sees cookies that were signed and not the
 * secret itself.
 *
 * @param isSecret whether the cookies are signed with this one
 */
export function warnOfWellKnownSecret(warn: Warn, isSecret: (secret: string) => boolean): void {
  if (!WELL_KNOWN_SECRETS.some(isSecret)) return;
  warn(
    "TENURE_SECRET_WELL_KNOWN",
    'the cookie secret is one from a tutorial, so that anybody can sign cookies: use what crypto.randomBytes(32).toString("hex") gives, and keep it out of the source',
  );
}

const MIN_SECRET_LENGTH = 32;

/** From the READMEs of express-session, @fastify/session and koa-session, and what people put in their place. */
const WELL_KNOWN_SECRETS = [
  "keyboard cat",
  "cat",
  "secret",
  "s3cr3t",
  "s3Cur3",
  "shhhh",
  "shhhh, very secret",
  "some secret",
  "some secret hurr",
  "im a newer secret",
  "i like turtle",
  "a secret with minimum length of 32 characters",
  "a secret of at least 32 characters",
  "my secret",
  "mysecret",
  "my-secret",
  "my-secret-key",
  "my_secret_key",
  "your secret",
  "yoursecret",
  "your-secret",
  "your-secret-key",
  "your_secret_key",
  "your secret key",
  "session secret",
  "session-secret",
  "session_secret",
  "supersecret",
  "super secret",
  "super-secret",
  "super-secret-key",
  "topsecret",
  "changeme",
  "change-me",
  "change me",
  "changeit",
  "password",
  "test",
  "foo",
  "key",
  "keyboard",
  "development",
  "express",
  "nestjs",
] as const;

function isRoot(path: string | null | undefined): boolean {
  return path === undefined || path === null || path === "/";
}
