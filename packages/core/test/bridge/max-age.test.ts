import fc from "fast-check";
import { expect, test } from "vitest";
import { idleFor, isExpired, isLonger, isSameMaxAge } from "../../src/bridge/max-age.ts";

const LONGEST = 30 * 60_000;
const NONE = [null, undefined, false, Number.NaN] as const;

test.for(NONE)("a maxAge of %s leaves the session's idle timeout as it is", (maxAge) => {
  expect(idleFor(LONGEST, maxAge)).toBe(LONGEST);
  expect(isExpired(maxAge)).toBe(false);
  expect(isLonger(maxAge, LONGEST)).toBe(false);
});

test("a maxAge shortens the idle timeout and never lengthens it (ASVS 7.3.1)", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, minExcluded: true, noNaN: true }), (maxAge) => {
      const idle = idleFor(LONGEST, maxAge);
      expect(Number.isSafeInteger(idle)).toBe(true);
      expect(idle).toBeGreaterThan(0);
      expect(idle).toBeLessThanOrEqual(LONGEST);
      expect(idle).toBeLessThanOrEqual(Math.max(1, Math.round(maxAge)));
    }),
  );
});

test("a maxAge is longer than the idle timeout only if it exceeds it by more than a drift of milliseconds", () => {
  expect(isLonger(LONGEST + 1000, LONGEST)).toBe(true);
  expect(isLonger(LONGEST + 1, LONGEST)).toBe(false);
  expect(isLonger(LONGEST - 1, LONGEST)).toBe(false);
});

test.for([0, -0, -1, Number.NEGATIVE_INFINITY])("a maxAge of %d has expired", (maxAge) => {
  expect(isExpired(maxAge)).toBe(true);
});

test("a maxAge that drifts by milliseconds is unchanged, and any other difference is a change", () => {
  expect(isSameMaxAge(60_000, 59_999)).toBe(true);
  expect(isSameMaxAge(60_000, 59_900)).toBe(false);
  expect(isSameMaxAge(60_000, null)).toBe(false);
  expect(isSameMaxAge(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)).toBe(true);
  for (const a of NONE) for (const b of NONE) expect(isSameMaxAge(a, b)).toBe(true);
});
