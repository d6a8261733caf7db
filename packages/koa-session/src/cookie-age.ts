import type { MaxAge } from "@tenure/core/bridge";
import type { OwnData } from "./data.ts";
import type { FrameworkContext } from "./framework.ts";

/** How long a cookie lasts: milliseconds, until the browser is closed, or nothing was said. */
export type CookieAge = number | "session" | undefined;

/** @param configured the option `maxAge`, for a session that tells none of its own */
export function loadedAge({ _session, _maxAge }: OwnData, configured: unknown): CookieAge {
  if (_session) return "session";
  if (_maxAge !== undefined) return _maxAge;
  return configured === "session" ? "session" : durationOf(configured);
}

/**
 * The age that a save tells of. `_maxAge` alone can't be believed: it is a day where the option is `undefined`, `null`, `false`
 * or 0, and in the second save of a request with `"session"`, because the first one makes the option `undefined`.
 *
 * @param before the age that this request knew of
 */
export function savedAge(
  { _session, _maxAge }: OwnData,
  ctx: FrameworkContext | undefined,
  before: CookieAge,
): CookieAge {
  if (_session) return "session";
  if (!ctx?.sessionOptions) return _maxAge;
  const { maxAge } = ctx.sessionOptions;
  if (maxAge === undefined && before === "session") return "session";
  return durationOf(maxAge);
}

/** Makes a `maxAge` that is no duration (NaN, Infinity) none: the cookie with it, which comes after the save, would be an error. */
export function settleMaxAge({ sessionOptions }: FrameworkContext): void {
  if (typeof sessionOptions?.maxAge !== "number" || durationOf(sessionOptions.maxAge) !== undefined) return;
  sessionOptions.maxAge = undefined;
}

/** What the session's idle timeout is told from. */
export function maxAgeOf(age: CookieAge): MaxAge {
  return typeof age === "number" ? age : null;
}

/** The framework's own keys for a cookie of this age. */
export function keysFor(age: CookieAge): OwnData {
  if (age === "session") return { _session: true };
  return typeof age === "number" ? { _maxAge: age } : {};
}

function durationOf(maxAge: unknown): number | undefined {
  return Number.isFinite(maxAge) ? (maxAge as number) : undefined;
}
