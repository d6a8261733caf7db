import fc from "fast-check";
import { expect, test } from "vitest";
import { idleFor, isExpired, isSameMaxAge } from "../../src/bridge/max-age.ts";

const policy = { idleTimeout: 30 * 60_000, lifetime: 12 * 60 * 60_000 };
const NONE = [null, undefined, false, Number.NaN] as const;

test.for(NONE)("a maxAge of %s is the policy's own idle timeout", (maxAge) => {
  expect(idleFor(policy, maxAge, false)).toBe(policy.idleTimeout);
  expect(idleFor(policy, maxAge, true)).toBe(policy.idleTimeout);
  expect(isExpired(maxAge)).toBe(false);
});

test("a maxAge shortens the idle timeout and never lengthens it", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, minExcluded: true, noNaN: true }), (maxAge) => {
      const idle = idleFor(policy, maxAge, false);
      expect(Number.isSafeInteger(idle)).toBe(true);
      expect(idle).toBeGreaterThan(0);
      expect(idle).toBeLessThanOrEqual(policy.idleTimeout);
      expect(idle).toBeLessThanOrEqual(Math.max(1, Math.round(maxAge)));
    }),
  );
});

test("where it may lengthen, a maxAge is the idle timeout up to the lifetime", () => {
  expect(idleFor(policy, 60 * 60_000, true)).toBe(60 * 60_000);
  expect(idleFor(policy, 60_000, true)).toBe(60_000);
  expect(idleFor(policy, Number.POSITIVE_INFINITY, true)).toBe(policy.lifetime);
});

test.for([0, -0, -1, Number.NEGATIVE_INFINITY])("a maxAge of %d is over now", (maxAge) => {
  expect(isExpired(maxAge)).toBe(true);
});

test("a drift of some milliseconds is no change, and anything else is one", () => {
  expect(isSameMaxAge(60_000, 59_999)).toBe(true);
  expect(isSameMaxAge(60_000, 59_900)).toBe(false);
  expect(isSameMaxAge(60_000, null)).toBe(false);
  expect(isSameMaxAge(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)).toBe(true);
  for (const a of NONE) for (const b of NONE) expect(isSameMaxAge(a, b)).toBe(true);
});
