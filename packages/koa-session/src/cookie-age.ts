import type { MaxAge } from "@tenure/core/bridge";
import type { OwnData } from "./data.ts";
import type { FrameworkOptions } from "./framework.ts";

/** How long a cookie lasts: milliseconds, until the browser is closed, or not stated. */
export type CookieAge = number | "session" | undefined;

/** @param configured the option `maxAge`, for a session that states none of its own */
export function loadedAge({ _session, _maxAge }: OwnData, configured: unknown): CookieAge {
  if (_session) return "session";
  return _maxAge ?? ageOf(configured);
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
  if (_session || (maxAge === undefined && before === "session")) return "session";
  return ageOf(maxAge);
}

/** Removes a `maxAge` that is no duration (NaN, Infinity): setting the cookie with it, after the save, would be an error. */
export function settleMaxAge(options: FrameworkOptions | undefined): void {
  if (typeof options?.maxAge === "number" && !Number.isFinite(options.maxAge)) options.maxAge = undefined;
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
