import type { MaxAge } from "@tenure/core/bridge";
import type { FrameworkCookie } from "./framework.ts";

/** When a cookie ended and when that was looked at, epoch milliseconds. */
export interface CookieEnd {
  /** `undefined`: with the browser. */
  readonly endsAt: number | undefined;
  readonly seenAt: number;
}

/** Milliseconds. The plain cookies of 10.0.0 keep what was set as `maxAge`. */
export function maxAgeOf(cookie: FrameworkCookie | undefined): MaxAge {
  return cookie && Object.hasOwn(cookie, "maxAge") ? cookie.maxAge : cookie?.originalMaxAge;
}

export function endOf(cookie: FrameworkCookie | undefined): CookieEnd {
  return { endsAt: cookie?.expires?.getTime(), seenAt: Date.now() };
}

/**
 * Lets a `cookie.maxAge` that was set to what is no duration (`null`, `false`, `undefined`, NaN) mean that there is none.
 *
 * The framework's setter makes an end of it: for `null` and `false` that is now, and the session would be over; for the others
 * it is no date, for which the framework throws where it sets the cookie: in our callback, where that ends the process.
 *
 * @param before the session's cookie when it was loaded or last saved. Absent: it is new
 */
export function settleMaxAge(cookie: FrameworkCookie, before: CookieEnd | undefined): void {
  if (!isWithoutMaxAge(cookie, before)) return;
  if (Object.hasOwn(cookie, "maxAge")) delete cookie.maxAge;
  cookie.originalMaxAge = null;
  cookie.expires = null;
}

function isWithoutMaxAge(cookie: FrameworkCookie, before: CookieEnd | undefined): boolean {
  // A plain cookie of 10.0.0.
  if (Object.hasOwn(cookie, "maxAge")) return !Number.isFinite(cookie.maxAge);
  const { expires, originalMaxAge } = cookie;
  if (!expires) return false;
  if (originalMaxAge === false || !isDate(expires)) return true;
  return originalMaxAge === null && isJustNow(expires.getTime(), before);
}

/** Set to the present since `before`: not a date of the application's that has passed meanwhile, nor one long ago. */
function isJustNow(endsAt: number, before: CookieEnd | undefined): boolean {
  if (endsAt > Date.now()) return false;
  return !before || (endsAt !== before.endsAt && endsAt >= before.seenAt);
}

function isDate(value: unknown): boolean {
  return value instanceof Date && !Number.isNaN(value.getTime());
}
