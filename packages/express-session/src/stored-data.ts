import type { Session } from "@tenure/core";
import { isSameMaxAge, type MaxAge } from "@tenure/core/bridge";
import session, { type SessionData } from "express-session";

/**
 * A cookie's settings as stored in a session's data, under the key `cookie`. Excludes `expires`, which would
 * be stale after every touch and is derived from the session's end at each load.
 */
export type StoredCookie = Readonly<CookieSettings>;

/** A class for the reason given at core's `StoredSession`. */
class CookieSettings {
  originalMaxAge: MaxAge;
  // `declare`, because a field would exist with the value `undefined`.
  declare httpOnly?: boolean;
  declare path?: string;
  declare domain?: string;
  declare secure?: boolean | string;
  declare sameSite?: boolean | string;
  declare priority?: string;
  declare partitioned?: boolean;

  constructor(originalMaxAge: MaxAge) {
    this.originalMaxAge = originalMaxAge;
  }
}

/**
 * Returns what is stored of a `req.session`: its enumerable keys, and last the cookie's settings.
 *
 * @param known the cookie's `maxAge` when it was loaded or last saved
 */
export function storedData(from: object, known?: MaxAge): { readonly cookie?: StoredCookie } {
  const { cookie, ...own } = from as Partial<SessionData>;
  const stored = storedCookie(cookie, known);
  // A plain object, because some codecs refuse instances of classes.
  return stored ? { ...own, cookie: { ...stored } } : (own as object);
}

/**
 * Returns what is stored of a cookie: express-session's object, a plain one from the application, or stored
 * settings. Omits fields of the wrong type, for which express-session throws. `undefined`: it is not a
 * cookie.
 *
 * @param known the `maxAge` when it was loaded or last saved; a drift of a millisecond from it is not a
 *   change
 */
export function storedCookie(cookie: unknown, known?: MaxAge): StoredCookie | undefined {
  if (typeof cookie !== "object" || cookie === null) return undefined;
  const { httpOnly, path, domain, secure, sameSite, priority, partitioned } = cookie as Partial<
    Record<keyof StoredCookie, unknown>
  >;
  const maxAge = maxAgeOf(cookie);
  const isKnown = known !== undefined && isSameMaxAge(maxAge, known);
  const stored = new CookieSettings(isKnown ? known : maxAge);
  if (typeof httpOnly === "boolean") stored.httpOnly = httpOnly;
  if (typeof path === "string") stored.path = path;
  if (typeof domain === "string") stored.domain = domain;
  if (typeof secure === "boolean" || typeof secure === "string") stored.secure = secure;
  if (typeof sameSite === "boolean" || typeof sameSite === "string") stored.sameSite = sameSite;
  if (typeof priority === "string") stored.priority = priority;
  if (typeof partitioned === "boolean") stored.partitioned = partitioned;
  return stored;
}

/**
 * Whether a cookie's settings are the stored ones.
 *
 * @param known as for {@link storedCookie}
 */
export function isStored(cookie: unknown, stored: StoredCookie | undefined, known: MaxAge): boolean {
  // Most cookies are unchanged, and this allocates no object.
  if (isSameCookie(cookie as StoredCookie | undefined, stored)) return true;
  return isSameCookie(storedCookie(cookie, known), stored);
}

function isSameCookie(a: StoredCookie | undefined, b: StoredCookie | undefined): boolean {
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

/**
 * Converts a session to the form in which express-session loads it. Modifies `data`. A session made by
 * another bridge or by the application has no cookie.
 */
export function loadedData({ data, expiresAt }: Pick<Session<object>, "data" | "expiresAt">): SessionData {
  const loaded = data as SessionData;
  const stored = storedCookie(loaded.cookie);
  if (stored) loaded.cookie = loadedCookie(stored, expiresAt);
  else Reflect.deleteProperty(loaded, "cookie");
  return loaded;
}

/**
 * Converts a cookie's settings, in place, to the form in which express-session loads them. `expiresAt`: when
 * the session ends if it is not used.
 */
export function loadedCookie(stored: StoredCookie, expiresAt: number): SessionData["cookie"] {
  const loaded: StoredCookie & { expires?: unknown } = stored;
  loaded.expires = typeof stored.originalMaxAge === "number" ? new Date(expiresAt) : stored.originalMaxAge;
  return loaded as unknown as SessionData["cookie"];
}

/**
 * Returns the `maxAge` that a cookie was given, not what is left of it. `null`: none, as for `false` and NaN.
 */
export function maxAgeOf(cookie: unknown): number | null {
  if (typeof cookie !== "object" || cookie === null) return null;
  const { originalMaxAge, maxAge, expires } = cookie as {
    readonly [Field in "originalMaxAge" | "maxAge" | "expires"]?: unknown;
  };
  const given = originalMaxAge !== undefined ? originalMaxAge : (maxAge ?? leftUntil(expires));
  return typeof given === "number" && Number.isFinite(given) ? given : null;
}

function leftUntil(expires: unknown): number | null {
  return expires instanceof Date || typeof expires === "string"
    ? new Date(expires).getTime() - Date.now()
    : null;
}

/**
 * Whether an application can see a key of stored data. express-session skips the keys that its own `Session`
 * has or inherits (`id`, `save`, `constructor`, `__proto__` …).
 */
export function isShown(key: string): boolean {
  return key !== "req" && key !== "id" && !(key in session.Session.prototype);
}
