import assert from "node:assert/strict";
import { describe, expect, test } from "vitest";
import { caught, EVER_PERHAPS } from "./caught.ts";
import { sabotaged } from "./sabotage.ts";
import { trial } from "./trial.ts";

test("every fault says which sentences catch it", () => {
  assert.deepEqual(Object.keys(caught).toSorted(), Object.keys(sabotaged).toSorted());
  assert.ok(Object.values(caught).every(({ by }) => by.length > 0));
});

describe(
  "A broken store is caught by the sentences that it breaks, and by no other",
  { timeout: 1_200_000 },
  () => {
    const outcomes = trials();
    for (const [fault, outcome] of outcomes) {
      const { by, perhapsBy = [] } = caught[fault] ?? { by: [] };
      // oxlint-disable-next-line vitest/valid-title
      test(fault, async () => {
        const failed = await outcome;
        const missed = by.filter((sentence) => !failed.has(sentence));
        expect(missed, "should have failed, and passed").toEqual([]);
        const known = new Set([...by, ...perhapsBy, ...EVER_PERHAPS]);
        const wrongly = [...failed.keys()].filter((sentence) => !known.has(sentence));
        expect(wrongly, "should have passed, and failed").toEqual([]);
        expect(failed.size).toBeGreaterThan(0);
      });
    }
  },
);

/** Begins them all: some alone, one after the other, and then the others, some at once, as most of their time is waiting. */
function trials(): Map<string, Promise<Map<string, unknown>>> {
  const faults = Object.entries(sabotaged);
  const outcomes = new Map<string, Promise<Map<string, unknown>>>();
  let before: Promise<unknown> = Promise.resolve();
  for (const [fault, open] of faults.filter(([name]) => caught[name]?.alone)) {
    const outcome = before.then(() => trialOf(open));
    outcomes.set(fault, outcome);
    before = outcome;
  }
  const lanes = Array.from({ length: AT_ONCE }, () => before);
  for (const [index, [fault, open]] of faults.filter(([name]) => !caught[name]?.alone).entries()) {
    const lane = index % AT_ONCE;
    const outcome = lanes[lane]!.then(() => trialOf(open));
    outcomes.set(fault, outcome);
    lanes[lane] = outcome;
  }
  return outcomes;
}

const AT_ONCE = 12;

async function trialOf(open: (typeof sabotaged)[string]): Promise<Map<string, unknown>> {
  const stores = [...open()];
  return trial({ open: () => stores.shift()!, unreachable: null, mixedUp: null });
}
