import type { FrameworkCookie, FrameworkSession } from "./framework.ts";

/** Stored session data: the application's keys and the cookie's settings. */
export type StoredData = Record<string, unknown>;

export function entriesOf(session: FrameworkSession): StoredData {
  return Object.fromEntries(Object.entries(session).filter(([key]) => key !== "cookie"));
}

/**
 * Returns a cookie's settings as they are stored. Leaves out the `expires` of a `maxAge`: it is stale as soon
 * as the session is touched, and the framework computes it again.
 */
export function settingsOf(cookie: FrameworkCookie): FrameworkCookie {
  const { originalMaxAge, expires, path, domain, httpOnly, secure, sameSite, partitioned } = cookie;
  const end = typeof originalMaxAge === "number" ? null : expires;
  const settings = { originalMaxAge, expires: end, path, domain, httpOnly, secure, sameSite, partitioned };
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => (value ?? null) !== null));
}

/**
 * Converts stored data to the form that the framework loads, and calls `notice` with the Session that it
 * creates from them.
 *
 * In 10.0.0 to 11.1.3, the framework copies the enumerable keys to its Session and then serializes the
 * Session to hash it. A `toJSON` among those keys is therefore called once, with the Session as `this`,
 * before the application has the Session. Symbols and non-enumerable properties are not copied.
 *
 * @param shown the part of the data that the framework shows
 */
export function loadedData(shown: object, notice: (session: FrameworkSession) => void): object {
  const { cookie } = shown as { readonly cookie?: FrameworkCookie | null };
  return {
    ...shown,
    cookie: cookie ? loadedCookie(cookie) : undefined,
    toJSON(this: FrameworkSession & { toJSON?: unknown }): unknown {
      delete this.toJSON;
      notice(this);
      return this;
    },
  };
}

/**
 * Sets the one of `maxAge` and `expires` that the cookie does not use to `null`. From 11.1.2 on, the
 * framework would take it from the plugin's options: a dropped `maxAge` would return, and an `expires` from
 * the server's start would end the session.
 */
function loadedCookie(cookie: FrameworkCookie): FrameworkCookie {
  const settings = settingsOf(cookie);
  const hasMaxAge = typeof settings.originalMaxAge === "number";
  return hasMaxAge ? { ...settings, expires: null } : { ...settings, maxAge: null };
}

/** Whether a Session can hold a key and keep its methods and prototype. `__proto__` would end the process. */
export function isShown(key: string): boolean {
  return !(key in Object.prototype) && !MEMBERS.has(key);
}

/** The members of Session in @fastify/session 10.0.0 to 11.1.3, and the `toJSON` of {@link loadedData}. */
const MEMBERS = new Set([
  "options",
  "touch",
  "regenerate",
  "get",
  "set",
  "destroy",
  "reload",
  "save",
  "sessionId",
  "encryptedSessionId",
  "isModified",
  "isSaved",
  "toJSON",
]);

/**
 * Makes `cookie.maxAge = value` remove the `maxAge` if the value is not a duration.
 *
 * The framework's setter computes an end from any value: for `null` and `false` the present, which would log
 * the user out; for `undefined` and NaN an invalid date, on which the framework throws when it sets the
 * cookie. In 10.0.0 the cookie has no setter.
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

/** Returns when a cookie ends, epoch milliseconds. `null`: when the browser is closed. */
export function endOf(cookie: FrameworkCookie | undefined): number | null {
  const end = cookie?.expires instanceof Date ? cookie.expires.getTime() : Number.NaN;
  return Number.isNaN(end) ? null : end;
}
