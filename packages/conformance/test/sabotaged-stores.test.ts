import assert from "node:assert/strict";
import { memoryStore } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { expectedFailures } from "./expected-failures.ts";
import { runSentences, sentencesFor } from "./run-sentences.ts";
import { sabotagedStores } from "./sabotaged-stores.ts";

test("every sabotaged store names the sentences that must fail, and no other store does", () => {
  assert.deepEqual(Object.keys(expectedFailures).toSorted(), Object.keys(sabotagedStores).toSorted());
});

test("every sentence of the suite fails for at least one sabotaged store", () => {
  const store = memoryStore();
  const sentences = sentencesFor({ open: () => store, unreachable: () => store, mixedUp: () => store });
  const named = new Set(Object.values(expectedFailures).flat());
  assert.deepEqual([...named].toSorted(), sentences.map(({ name }) => name).toSorted());
});

describe("The suite catches a store in which", { concurrent: true, timeout: 600_000 }, () => {
  test.for(Object.entries(sabotagedStores))("%s", async ([fault, store]) => {
    const expected = expectedFailures[fault]!;
    const failed = await runSentences(store(), (sentence) => expected.includes(sentence));
    const passed = expected.filter((sentence) => !failed.has(sentence));
    expect(passed, "sentences that should have failed").toEqual([]);
  });
});
