import assert from "node:assert/strict";
import { test } from "vitest";
import { randomFor } from "../src/seed.ts";

test("a seed and a purpose always give the same numbers, and another seed or purpose gives others", () => {
  assert.deepEqual(draw(7, "a race"), draw(7, "a race"));
  assert.notDeepEqual(draw(7, "a race"), draw(8, "a race"));
  assert.notDeepEqual(draw(7, "a race"), draw(7, "another race"));
});

test("below() returns every number of its range about equally often", () => {
  const random = randomFor(1, "spread");
  const counts = Array.from({ length: 10 }, () => 0);
  for (let n = 0; n < 10_000; n += 1) counts[random.below(10)]! += 1;
  assert.ok(
    counts.every((count) => count > 850 && count < 1150),
    counts.join(),
  );
});

test("shuffled() keeps every item and changes the order", () => {
  const items = [1, 2, 3, 4, 5, 6, 7];
  const shuffled = randomFor(3, "shuffle").shuffled(items);
  assert.notDeepEqual(shuffled, items);
  assert.deepEqual(
    shuffled.toSorted((a, b) => a - b),
    items,
  );
});

function draw(seed: number, purpose: string): number[] {
  const random = randomFor(seed, purpose);
  return Array.from({ length: 20 }, () => random.below(1000));
}
