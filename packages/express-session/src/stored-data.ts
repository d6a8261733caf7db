import type { Session } from "@tenure/core";
import type { MaxAge } from "@tenure/core/bridge";
import session from "express-session";
import { loadedCookie, storedCookie } from "./stored-cookie.ts";

/**
 * What is stored of a `req.session`: its enumerable keys, its cookie last and without what goes stale.
 *
 * @param known the cookie's `maxAge` when it was last loaded or saved
 */
export function storedData(from: object, known?: MaxAge): object {
  const { cookie, ...own } = from as Partial<session.SessionData>;
  const stored = storedCookie(cookie, known);
  return stored ? { ...own, cookie: stored } : own;
}

/**
 * A stored session in the form in which express-session loads it, made from its `data`, which are the caller's own. A session that another bridge
 * or the application made has no cookie.
 */
export function loadedData({
  data,
  expiresAt,
}: Pick<Session<object>, "data" | "expiresAt">): session.SessionData {
  const loaded = data as session.SessionData;
  const stored = storedCookie(loaded.cookie);
  if (stored) loaded.cookie = loadedCookie(stored, expiresAt);
  else Reflect.deleteProperty(loaded, "cookie");
  return loaded;
}

/**
 * The part of stored data that an application can see. express-session skips keys that its own `Session` has or inherits (`id`, `save`,
 * `constructor`, `__proto__` …): their absence from a save is not a deletion.
 */
export function shownData<Data extends object>(data: Data): Data {
  if (Object.keys(data).every(isShown)) return data;
  return Object.fromEntries(Object.entries(data).filter(([key]) => isShown(key))) as Data;
}

function isShown(key: string): boolean {
  return key !== "req" && key !== "id" && !(key in session.Session.prototype);
}
