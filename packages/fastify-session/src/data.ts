import { maxAgeOf } from "./cookie.ts";
import type { FrameworkCookie, FrameworkSession } from "./framework.ts";

/** Session data as it is stored: the application's keys, and the cookie's settings. */
export type StoredData = Record<string, unknown>;

/** What an application put on its session, and the cookie's settings without what moves with the clock. */
export function dataOf(session: FrameworkSession): StoredData {
  const entries = Object.entries(session).filter(([key]) => key !== "cookie");
  const { cookie } = session;
  return Object.fromEntries(cookie ? [...entries, ["cookie", settingsOf(cookie)]] : entries);
}

/** What a Session that @fastify/session made of nothing has, before the application changes it. */
export function blankData({ cookie }: StoredData): StoredData {
  return cookie === undefined ? {} : { cookie };
}

export function isBlank({ cookie: _cookie, ...keys }: StoredData): boolean {
  return Object.keys(keys).length === 0;
}

/**
 * Stored data as @fastify/session is to see it. Left out are names by which its Session would lose its methods or its
 * prototype, for one `__proto__` ends the process.
 */
export function shownData(data: StoredData): StoredData {
  const entries = Object.entries(data).filter(([key]) => key !== "cookie" && !isReserved(key));
  const { cookie } = data as { readonly cookie?: FrameworkCookie | null };
  return Object.fromEntries(cookie ? [...entries, ["cookie", settingsOf(cookie)]] : entries);
}

/**
 * As a `get` is to answer it. From 11.1.2 on the framework fills in what the cookie lacks from the plugin's options: a `maxAge`
 * that a session went back from would return.
 */
export function answeredData(data: StoredData): StoredData {
  const shown = shownData(data);
  const { cookie } = shown as { readonly cookie?: FrameworkCookie };
  if (!cookie || typeof cookie.originalMaxAge === "number") return shown;
  return { ...shown, cookie: { ...cookie, maxAge: null } };
}

/**
 * The expiry that goes with a `maxAge` is left out: it is stale as soon as the session is touched, and the framework computes
 * it afresh.
 */
function settingsOf(cookie: FrameworkCookie): FrameworkCookie {
  const { expires, path, domain, httpOnly, secure, sameSite, partitioned } = cookie;
  const originalMaxAge = maxAgeOf(cookie);
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

function isReserved(key: string): boolean {
  return key in Object.prototype || METHODS.has(key);
}

/** The members of Session in @fastify/session 10.0.0 to 11.1.3, and the name of the identity channel. */
const METHODS = new Set([
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
