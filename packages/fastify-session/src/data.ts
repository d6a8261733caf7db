import type { FrameworkCookie, FrameworkSession } from "./framework.ts";

/** Session data as they are stored: the application's keys, and the cookie's settings. */
export type StoredData = Record<string, unknown>;

/** What an application has put on its session. */
export function entriesOf(session: FrameworkSession): StoredData {
  return Object.fromEntries(Object.entries(session).filter(([key]) => key !== "cookie"));
}

/**
 * A cookie's settings as they are stored. The end that goes with a `maxAge` is left out: it is stale as soon as the session is touched, and the
 * framework computes it again.
 */
export function settingsOf(cookie: FrameworkCookie): FrameworkCookie {
  const { originalMaxAge, expires, path, domain, httpOnly, secure, sameSite, partitioned } = cookie;
  const end = typeof originalMaxAge === "number" ? null : expires;
  const settings = { originalMaxAge, expires: end, path, domain, httpOnly, secure, sameSite, partitioned };
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => (value ?? null) !== null));
}

/**
 * Stored data as `get` gives them to the framework, which copies their enumerable keys to its Session, and then turns the Session into JSON
 * for its hash. So a `toJSON` among those keys is called once with the Session as `this`, before the application has it, in every version
 * from 10.0.0 to 11.1.3. It removes itself. Symbols and properties that are not enumerable do not arrive.
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
 * From 11.1.2 on the framework fills in what a cookie lacks from the plugin's options: a `maxAge` which the session went back from would return,
 * and an `expires` of the server's start would end the session.
 */
function loadedCookie(cookie: FrameworkCookie): FrameworkCookie {
  const settings = settingsOf(cookie);
  const hasMaxAge = typeof settings.originalMaxAge === "number";
  return hasMaxAge ? { ...settings, expires: null } : { ...settings, maxAge: null };
}

/** Whether a Session can have a key. With others it would lose its methods or its prototype: one `__proto__` ends the process. */
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
export function endOf(cookie: FrameworkCookie | undefined): number | null {
  const end = cookie?.expires instanceof Date ? cookie.expires.getTime() : Number.NaN;
  return Number.isNaN(end) ? null : end;
}
