import { isSameMaxAge, type MaxAge } from "@tenure/core/bridge";
import type { SessionData } from "express-session";

/**
 * A cookie's settings as they are stored among a session's data, under the key `cookie`. Without its `expires`: that would be stale after every
 * touch, and is derived from the session's own end at each load.
 */
export interface StoredCookie {
  readonly originalMaxAge: MaxAge;
  readonly httpOnly?: boolean;
  readonly path?: string;
  readonly domain?: string;
  readonly secure?: boolean | string;
  readonly sameSite?: boolean | string;
  readonly priority?: string;
  readonly partitioned?: boolean;
}

/**
 * What is stored of a cookie: of express-session's own object, of a plain one that an application put in its place, or of stored settings.
 * Fields of another type are left out, because express-session throws at them. `undefined`: it is not a cookie.
 *
 * @param known the `maxAge` when it was last loaded or saved; one that differs by its drift of a millisecond is not a change
 */
export function storedCookie(cookie: unknown, known?: MaxAge): StoredCookie | undefined {
  if (typeof cookie !== "object" || cookie === null) return undefined;
  const { httpOnly, path, domain, secure, sameSite, priority, partitioned } = cookie as Partial<
    Record<keyof StoredCookie, unknown>
  >;
  const maxAge = maxAgeOf(cookie);
  const stored: { -readonly [Field in keyof StoredCookie]: StoredCookie[Field] } = {
    originalMaxAge: known !== undefined && isSameMaxAge(maxAge, known) ? known : maxAge,
  };
  if (typeof httpOnly === "boolean") stored.httpOnly = httpOnly;
  if (typeof path === "string") stored.path = path;
  if (typeof domain === "string") stored.domain = domain;
  if (typeof secure === "boolean" || typeof secure === "string") stored.secure = secure;
  if (typeof sameSite === "boolean" || typeof sameSite === "string") stored.sameSite = sameSite;
  if (typeof priority === "string") stored.priority = priority;
  if (typeof partitioned === "boolean") stored.partitioned = partitioned;
  return stored;
}

/** Whether a cookie's settings are unchanged. */
export function isSameCookie(a: StoredCookie | undefined, b: StoredCookie | undefined): boolean {
  if (!a || !b) return a === b;
  return (
    a.originalMaxAge === b.originalMaxAge &&
    a.httpOnly === b.httpOnly &&
    a.path === b.path &&
    a.domain === b.domain &&
    a.secure === b.secure &&
    a.sameSite === b.sameSite &&
    a.priority === b.priority &&
    a.partitioned === b.partitioned
  );
}

/** A cookie in the form in which express-session loads it. `expiresAt`: when the session ends if it is not used. */
export function loadedCookie(stored: StoredCookie, expiresAt: number): SessionData["cookie"] {
  const { originalMaxAge } = stored;
  const expires = typeof originalMaxAge === "number" ? new Date(expiresAt) : originalMaxAge;
  return Object.assign(stored, { expires }) as unknown as SessionData["cookie"];
}

/** The `maxAge` that a cookie was given, whatever is left of it. `false` and NaN: none, as `null`. */
export function maxAgeOf(cookie: unknown): number | null {
  if (typeof cookie !== "object" || cookie === null) return null;
  const { originalMaxAge, maxAge, expires } = cookie as Record<
    "originalMaxAge" | "maxAge" | "expires",
    unknown
  >;
  const given = originalMaxAge !== undefined ? originalMaxAge : (maxAge ?? leftUntil(expires));
  return typeof given === "number" && Number.isFinite(given) ? given : null;
}

export function cookieIn(data: object): unknown {
  return (data as { readonly cookie?: unknown }).cookie;
}

function leftUntil(expires: unknown): number | null {
  return expires instanceof Date || typeof expires === "string"
    ? new Date(expires).getTime() - Date.now()
    : null;
}
