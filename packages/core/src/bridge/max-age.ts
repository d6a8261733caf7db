/** A cookie's `maxAge` in milliseconds as frameworks know it. `null`, `undefined`, `false` and NaN: it has none. */
export type MaxAge = number | false | null | undefined;

/**
 * The idle timeout that a cookie's `maxAge` asks for, milliseconds. It may shorten the session's and never lengthens it (OWASP ASVS 5.0
 * 7.3.1). Without a `maxAge`: the session's, so that going back to none is possible.
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

/** Whether a `maxAge` asks for more than the idle timeout allows. */
export function isLonger(maxAge: MaxAge, longest: number): boolean {
  return (durationOf(maxAge) ?? 0) > longest + TOLERANCE;
}

/** Whether a cookie with this `maxAge` has expired: the session is to end. */
export function isExpired(maxAge: MaxAge): boolean {
  return (durationOf(maxAge) ?? 1) <= 0;
}

/**
 * Whether a `maxAge` is unchanged. express-session computes `originalMaxAge` from two readings of the clock, so that it is off by a
 * millisecond at random, which must not become a write of data at random.
 */
export function isSameMaxAge(a: MaxAge, b: MaxAge): boolean {
  const [before, after] = [durationOf(a), durationOf(b)];
  if (before === null || after === null) return before === after;
  // Infinity less itself is NaN.
  return before === after || Math.abs(before - after) <= TOLERANCE;
}

/** Milliseconds. */
const TOLERANCE = 50;

function durationOf(maxAge: MaxAge): number | null {
  return typeof maxAge === "number" && !Number.isNaN(maxAge) ? maxAge : null;
}
