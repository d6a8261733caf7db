import { settingsOf } from "./cookie.ts";
import type { FrameworkCookie, FrameworkSession } from "./framework.ts";

/** Session data as they are stored: the application's keys, and the cookie's settings. */
export type StoredData = Record<string, unknown>;

/** What an application has put on its session. */
export function entriesOf(session: FrameworkSession): StoredData {
  return Object.fromEntries(Object.entries(session).filter(([key]) => key !== "cookie"));
}

/**
 * The part of stored data that a Session can have. Left out are names by which it would lose its methods or its prototype: one `__proto__`
 * ends the process.
 */
export function shownData<Data extends object>(data: Data): Data {
  if (!Object.keys(data).some(isReserved)) return data;
  return Object.fromEntries(Object.entries(data).filter(([key]) => !isReserved(key))) as Data;
}

/**
 * Stored data as `get` gives them to the framework, which copies their enumerable keys to its Session, and then turns the Session into JSON
 * for its hash. So a `toJSON` among those keys is called once with the Session as `this`, before the application has it, in every version
 * from 10.0.0 to 11.1.3. It removes itself. Symbols and properties that are not enumerable do not arrive.
 */
export function loadedData(data: StoredData, notice: (session: FrameworkSession) => void): object {
  const { cookie } = data as { readonly cookie?: FrameworkCookie | null };
  return {
    ...shownData(data),
    cookie: cookie ? loadedCookie(cookie) : undefined,
    toJSON(this: FrameworkSession & { toJSON?: unknown }): unknown {
      delete this.toJSON;
      notice(this);
      return this;
    },
  };
}

/**
 * From 11.1.2 on the framework fills in what a cookie lacks from the plugin's options, so that a `maxAge` which the session went back from
 * would return.
 */
function loadedCookie(cookie: FrameworkCookie): FrameworkCookie {
  const settings = settingsOf(cookie);
  return typeof settings.originalMaxAge === "number" ? settings : { ...settings, maxAge: null };
}

function isReserved(key: string): boolean {
  return key in Object.prototype || METHODS.has(key);
}

/** The members of Session in @fastify/session 10.0.0 to 11.1.3, and the `toJSON` of {@link loadedData}. */
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
