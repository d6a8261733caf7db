import assert from "node:assert/strict";
import { memoryStore } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { caught } from "./caught.ts";
import { sabotaged } from "./sabotage.ts";
import { sentencesFor, trial } from "./trial.ts";

test("every fault names the sentences that catch it", () => {
  assert.deepEqual(Object.keys(caught).toSorted(), Object.keys(sabotaged).toSorted());
});

test("every sentence of the suite catches a fault", () => {
  const store = memoryStore();
  const sentences = sentencesFor({ open: () => store, unreachable: () => store, mixedUp: () => store });
  const named = new Set(Object.values(caught).flat());
  assert.deepEqual([...named].toSorted(), sentences.map(({ name }) => name).toSorted());
});

describe("A broken store is caught by the sentence that it breaks", { timeout: 600_000 }, () => {
  // Most of the time is waiting for timeouts, so many run at once. Those that race within a millisecond run first, alone.
  const outcomes = trials();
  for (const [fault, outcome] of outcomes) {
    // oxlint-disable-next-line vitest/valid-title
    test(fault, async () => {
      const failed = await outcome;
      const passed = caught[fault]?.filter((sentence) => !failed.has(sentence));
      expect(passed, "should have failed").toEqual([]);
    });
  }
});

function trials(): Map<string, Promise<Map<string, unknown>>> {
  const lanes = Array.from({ length: AT_ONCE }, () => Promise.resolve<unknown>(undefined));
  return new Map(
    Object.entries(sabotaged).map(([fault, store], index) => {
      const lane = index % AT_ONCE;
      const outcome = lanes[lane]!.then(() =>
        trial(store(), (sentence) => caught[fault]?.includes(sentence) ?? false),
      );
      lanes[lane] = outcome;
      return [fault, outcome];
    }),
  );
}

const AT_ONCE = 16;
