import { expect, test } from "vitest";
import { boundedMap } from "../src/bounded-map.ts";

test("a bounded map keeps at least half its limit of what was set last, and never more than its limit", () => {
  const map = boundedMap<number>(10);
  for (let n = 0; n < 1000; n += 1) {
    map.set(`key ${n}`, n);
    const kept = Array.from({ length: n + 1 }, (_, i) => map.get(`key ${i}`)).filter(
      (value) => value !== undefined,
    );
    expect(kept.length).toBeLessThanOrEqual(10);
    expect(kept.slice(-5)).toEqual([n - 4, n - 3, n - 2, n - 1, n].filter((value) => value >= 0));
  }
});

test("a bounded map answers what was set last, until it is deleted", () => {
  const map = boundedMap<number>(4);
  for (const [n, key] of ["a", "b", "a", "c", "d", "a"].entries()) map.set(key, n);
  expect(map.get("a")).toBe(5);
  map.delete("a");
  expect(map.get("a")).toBeUndefined();
});
