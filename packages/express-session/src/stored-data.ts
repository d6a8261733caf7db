import type { Session } from "@tenure/core";
import type { MaxAge } from "@tenure/core/bridge";
import session from "express-session";
import { loadedCookie, storedCookie } from "./stored-cookie.ts";

/**
 * What is to be stored of a `req.session`: what is enumerable of it, its cookie last and without what goes stale.
 *
 * @param known the cookie's `maxAge` at the last load or save
 */
export function storedData(from: Partial<session.SessionData>, known?: MaxAge): object {
  const { cookie, ...own } = from;
  const stored = storedCookie(cookie, known);
  return stored ? { ...own, cookie: stored } : own;
}

/**
 * A stored session as express-session wants it loaded, made of its `data`, which is the caller's own. One that another bridge or
 * the application made has no cookie.
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
 * What an application can see of a stored session. express-session passes over keys that its own `Session` has by itself or
 * inherits (`id`, `save`, `constructor`, `__proto__` …): their absence from a save is no deletion.
 */
export function shownData(stored: Session<object>): object {
  const shown = Object.entries(loadedData(stored)).filter(
    ([key]) => key !== "req" && key !== "id" && !(key in session.Session.prototype),
  );
  return storedData(Object.fromEntries(shown));
}
