import type { MaxAge } from "@tenure/core/bridge";
import type { FrameworkOptions } from "./framework.ts";

/** koa-session's own keys among a session's data, as they are stored. */
export interface OwnData {
  /** When the cookie ends, epoch milliseconds, if not every response moves it. The option `renew` needs it. */
  readonly _expire?: number;
  /** The cookie's `maxAge` in milliseconds, if it has one. */
  readonly _maxAge?: number;
  /** The cookie ends with the browser. */
  readonly _session?: true;
}

/** Session data as they are stored: the application's keys and the framework's own. */
export type StoredData = OwnData & Readonly<Record<string, unknown>>;

/** How long a cookie lasts: milliseconds, until the browser is closed, or not stated. */
export type CookieAge = number | "session" | undefined;

export function ownData({ _expire, _maxAge, _session }: StoredData): OwnData {
  return {
    ...(typeof _expire === "number" ? { _expire } : {}),
    ...(typeof _maxAge === "number" ? { _maxAge } : {}),
    ...(_session ? { _session: true } : {}),
  };
}

/** The application's keys of what koa-session saves. */
export function applicationData({ _expire, _maxAge, _session, ...data }: StoredData): StoredData {
  return data;
}

/**
 * Whether koa-session's Session can hold a key, and gives it back on a save. Others would replace its methods or its prototype, or be
 * lost.
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

/** @param configured the option `maxAge`, for a session that states none of its own */
export function loadedAge({ _session, _maxAge }: OwnData, configured: unknown): CookieAge {
  return _session ? "session" : (_maxAge ?? ageOf(configured));
}

/**
 * The age that a save states. `_maxAge` is wrong: it is a day if the option is `undefined`, `null`, `false` or 0, and in the second save
 * of a request with `"session"`, because the first one sets the option to `undefined`.
 *
 * @param before the age that this request knew of
 */
export function savedAge(
  { _session }: OwnData,
  { maxAge }: Pick<FrameworkOptions, "maxAge">,
  before: CookieAge,
): CookieAge {
  return _session || (maxAge === undefined && before === "session") ? "session" : ageOf(maxAge);
}

/** What bounds the session's idle timeout. */
export function maxAgeOf(age: CookieAge): MaxAge {
  return typeof age === "number" ? age : null;
}

/**
 * The framework's own keys to store: as they were unless the age changed, and the cookie's end unless every response moves it.
 *
 * @param own as they were loaded or last saved
 */
export function nextOwnData(own: OwnData, before: CookieAge, age: CookieAge, isRolling: boolean): OwnData {
  const { _expire: end, ...kept } = age === before ? own : keysFor(age);
  if (typeof age !== "number" || isRolling) return age === before ? own : kept;
  const next = Date.now() + age;
  // The saves of one request are not to differ by this alone.
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
