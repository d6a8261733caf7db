import type { MaxAge } from "@tenure/core/bridge";
import type { FrameworkOptions } from "./framework.ts";

/** koa-session's own keys in the stored data. */
export interface OwnData {
  /**
   * When the cookie ends, epoch milliseconds, for the option `renew`. Absent if every response moves the end.
   */
  readonly _expire?: number;
  /** The cookie's `maxAge` in milliseconds, if it has one. */
  readonly _maxAge?: number;
  /** The cookie ends when the browser is closed. */
  readonly _session?: true;
}

/** Stored session data: the application's keys and the framework's own. */
export type StoredData = OwnData & Readonly<Record<string, unknown>>;

/** How long a cookie lasts: milliseconds, or until the browser is closed. `undefined`: not stated. */
export type CookieAge = number | "session" | undefined;

export function ownData({ _expire, _maxAge, _session }: StoredData): OwnData {
  return {
    ...(typeof _expire === "number" ? { _expire } : {}),
    ...(typeof _maxAge === "number" ? { _maxAge } : {}),
    ...(_session ? { _session: true } : {}),
  };
}

export function applicationData({ _expire, _maxAge, _session, ...data }: StoredData): StoredData {
  return data;
}

/**
 * Whether koa-session's Session can hold a key and returns it on a save. Any other key would replace a method
 * or the prototype, or be lost.
 */
export function isShown(key: string): boolean {
  if (key.startsWith("_")) return OWN.has(key);
  return !(key in Object.prototype) && !MEMBERS.has(key);
}

const OWN = new Set(["_expire", "_maxAge", "_session"]);

/** The members of Session in koa-session 6.4 and 7.0. */
const MEMBERS = new Set([
  "isNew",
  "toJSON",
  "inspect",
  "length",
  "populated",
  "maxAge",
  "externalKey",
  "save",
  "regenerate",
  "manuallyCommit",
  "commit",
]);

/** @param configured the option `maxAge`, for a session that stores no age */
export function loadedAge({ _session, _maxAge }: OwnData, configured: unknown): CookieAge {
  return _session ? "session" : (_maxAge ?? ageOf(configured));
}

/**
 * Returns the age of a saved session. `_maxAge` would be wrong: koa-session saves a day if the option is
 * `undefined`, `null`, `false` or 0, and in a request's second save with `"session"`, because the first sets
 * the option to `undefined`.
 *
 * @param before the loaded or last saved age
 */
export function savedAge(
  { _session }: OwnData,
  { maxAge }: Pick<FrameworkOptions, "maxAge">,
  before: CookieAge,
): CookieAge {
  return _session || (maxAge === undefined && before === "session") ? "session" : ageOf(maxAge);
}

/** Returns the `maxAge` that bounds the session's idle timeout. `null`: none. */
export function maxAgeOf(age: CookieAge): MaxAge {
  return typeof age === "number" ? age : null;
}

/**
 * Returns koa-session's own keys to store. They change with the age, and with the cookie's end unless every
 * response moves it.
 *
 * @param own the loaded or last saved keys
 */
export function nextOwnData(own: OwnData, before: CookieAge, age: CookieAge, isRolling: boolean): OwnData {
  const { _expire: end, ...kept } = age === before ? own : keysFor(age);
  if (typeof age !== "number" || isRolling) return age === before ? own : kept;
  const next = Date.now() + age;
  // The saves of one request must not differ in this key alone.
  return { ...kept, _expire: end !== undefined && Math.abs(next - end) < 1000 ? end : next };
}

function keysFor(age: CookieAge): OwnData {
  if (age === "session") return { _session: true };
  return typeof age === "number" ? { _maxAge: age } : {};
}

function ageOf(maxAge: unknown): CookieAge {
  if (maxAge === "session") return "session";
  return Number.isFinite(maxAge) ? (maxAge as number) : undefined;
}
