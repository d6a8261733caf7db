/** A cookie's `maxAge` in frameworks, milliseconds. `null`, `undefined`, `false` and NaN: none. */
export type MaxAge = number | false | null | undefined;

/**
 * Returns the idle timeout for a cookie's `maxAge`, milliseconds: the shorter of the two (OWASP ASVS 5.0
 * 7.3.1). Without a `maxAge`: `longest`, so that removing a `maxAge` undoes it.
 *
 * @param longest the session's own idle timeout, or the policy's
 * @param maxAge not one that {@link isExpired}
 */
export function idleFor(longest: number, maxAge: MaxAge): number {
  const wanted = durationOf(maxAge);
  return wanted === null ? longest : Math.max(1, Math.round(Math.min(wanted, longest)));
}

export function isNone(maxAge: MaxAge): boolean {
  return durationOf(maxAge) === null;
}

/** Whether a `maxAge` is longer than the idle timeout allows. */
export function isLonger(maxAge: MaxAge, longest: number): boolean {
  return (durationOf(maxAge) ?? 0) > longest + TOLERANCE;
}

/** Whether a `maxAge` is 0 or less, which ends the session. */
export function isExpired(maxAge: MaxAge): boolean {
  return (durationOf(maxAge) ?? 1) <= 0;
}

/**
 * Whether a `maxAge` is unchanged. express-session computes `originalMaxAge` from two clock readings, so it
 * randomly drifts by a millisecond, which must not cause a write.
 */
export function isSameMaxAge(a: MaxAge, b: MaxAge): boolean {
  const [before, after] = [durationOf(a), durationOf(b)];
  if (before === null || after === null) return before === after;
  // Infinity minus Infinity is NaN.
  return before === after || Math.abs(before - after) <= TOLERANCE;
}

/** Milliseconds. */
const TOLERANCE = 50;

function durationOf(maxAge: MaxAge): number | null {
  return typeof maxAge === "number" && !Number.isNaN(maxAge) ? maxAge : null;
}
