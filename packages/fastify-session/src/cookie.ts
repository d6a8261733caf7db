import type { FrameworkCookie } from "./framework.ts";

/**
 * Makes `cookie.maxAge = value` mean none for every value that is not a duration.
 *
 * The framework's setter makes an end of any value: for `null` and `false` the present, which would be a logout; for `undefined` and NaN
 * an invalid date, for which the framework throws where it sets the cookie. In 10.0.0 the cookie has no setter.
 */
export function defineMaxAge(cookie: FrameworkCookie): void {
  Object.defineProperty(cookie, "maxAge", MAX_AGE);
}

const MAX_AGE: PropertyDescriptor & ThisType<FrameworkCookie> = {
  configurable: true,
  get() {
    return this.expires instanceof Date ? this.expires.getTime() - Date.now() : null;
  },
  set(maxAge: unknown) {
    const duration = typeof maxAge === "number" && Number.isFinite(maxAge) ? maxAge : null;
    this.originalMaxAge = duration;
    this.expires = duration === null ? null : new Date(Date.now() + duration);
  },
};

/** When a cookie ends, epoch milliseconds. `null`: with the browser. */
export function endOf({ expires }: FrameworkCookie): number | null {
  const end = expires instanceof Date ? expires.getTime() : Number.NaN;
  return Number.isNaN(end) ? null : end;
}

/**
 * Whether an application has ended the session through `cookie.expires`: a date of its own that has passed. The end that goes with a
 * `maxAge` passes in every request that takes longer, and means nothing.
 *
 * @param endBefore of the cookie, when the session was loaded or last saved
 */
export function isEnded(cookie: FrameworkCookie, endBefore: number | null): boolean {
  const end = endOf(cookie);
  if (end === null || end > Date.now()) return false;
  return typeof cookie.originalMaxAge !== "number" || end !== endBefore;
}

/**
 * A cookie's settings as they are stored. The end that goes with a `maxAge` is left out: it is stale as soon as the session is touched, and the
 * framework computes it again.
 */
export function settingsOf(cookie: FrameworkCookie): FrameworkCookie {
  const { originalMaxAge, expires, path, domain, httpOnly, secure, sameSite, partitioned } = cookie;
  const settings = {
    originalMaxAge,
    expires: typeof originalMaxAge === "number" ? null : expires,
    path,
    domain,
    httpOnly,
    secure,
    sameSite,
    partitioned,
  };
  return Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== null && value !== undefined),
  );
}
