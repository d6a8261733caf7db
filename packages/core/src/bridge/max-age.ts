import type { Policy } from "../policy.ts";

/** A cookie's `maxAge` in milliseconds as frameworks know it. `null`, `undefined`, `false` and NaN: it has none. */
export type MaxAge = number | false | null | undefined;

/**
 * The idle timeout that a cookie's `maxAge` asks for, milliseconds. It may shorten the policy's and never lengthens it
 * (ASVS 5.0 7.3.1), unless `mayLengthen` is set: then it counts as it is, up to the policy's lifetime. Without a `maxAge`:
 * the policy's own, so that going back to none is possible.
 *
 * @param maxAge not one that {@link isExpired}
 */
export function idleFor(
  policy: Pick<Policy<never>, "idleTimeout" | "lifetime">,
  maxAge: MaxAge,
  mayLengthen: boolean,
): number {
  const wanted = durationOf(maxAge);
  if (wanted === null) return policy.idleTimeout;
  return Math.max(1, Math.round(Math.min(wanted, mayLengthen ? policy.lifetime : policy.idleTimeout)));
}

/** Whether a cookie with this `maxAge` is over now: the session ends. */
export function isExpired(maxAge: MaxAge): boolean {
  const duration = durationOf(maxAge);
  return duration !== null && duration <= 0;
}

/**
 * Whether nobody changed it. express-session computes `originalMaxAge` from two readings of the clock, so that it is off by a
 * millisecond at random; taken for a change, that would be a write of data at random.
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
