import assert from "node:assert/strict";
import { memoryStore } from "@tenure/core";
import { describe, test } from "vitest";
import { sound, storeAt, wrong } from "./absent-backend.ts";
import { trial } from "./trial.ts";

const refusing = "a backend that refuses connections makes every call reject with a StoreError";
const silent = "a backend that accepts and never answers makes every call reject with a StoreError";

describe("A store on a backend that isn't there", { concurrent: true, timeout: 120_000 }, () => {
  test("is not accused if it rejects with a StoreError, in bounded time", async () => {
    assert.deepEqual(await accused(sound), []);
  });

  for (const [fault, failure] of Object.entries(wrong)) {
    test(`is caught if ${fault}`, async () => {
      assert.deepEqual(await accused(failure), [silent, refusing]);
    });
  }
});

async function accused(failure: typeof sound): Promise<string[]> {
  const failed = await trial(
    { open: memory(), unreachable: (address) => storeAt(address, failure) },
    ALL_OF_OUTAGE,
  );
  return [...failed.keys()].toSorted();
}

function memory(): () => ReturnType<typeof memoryStore> {
  const store = memoryStore();
  return () => store;
}

/** The rest of the suite has nothing to do with it. */
const ALL_OF_OUTAGE = /^a backend that /;
