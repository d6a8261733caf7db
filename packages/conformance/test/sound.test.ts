import assert from "node:assert/strict";
import { memoryStore } from "@tenure/core";
import { describe, test } from "vitest";
import { failuresOf } from "./trial.ts";
import { flaky, slow } from "./troubled.ts";
import { workshop } from "./workshop.ts";

describe("A sound store is not accused", { concurrent: true, timeout: 900_000 }, () => {
  test("the store that the sabotaged ones are made of", async () => {
    const store = workshop();
    assert.deepEqual(await failuresOf({ open: () => store, unreachable: null, mixedUp: null }), []);
  });

  test("a store that rejects now and then, before or after the change is made", async () => {
    const store = memoryStore();
    assert.deepEqual(
      await failuresOf({ open: () => flaky(store, 40), unreachable: null, mixedUp: null }),
      [],
    );
  });

  test("a store behind a slow network", async () => {
    const store = memoryStore();
    assert.deepEqual(await failuresOf({ open: () => slow(store, 40), unreachable: null, mixedUp: null }), []);
  });

  test("a store behind a slow network that rejects now and then", async () => {
    const store = memoryStore();
    assert.deepEqual(
      await failuresOf({ open: () => slow(flaky(store, 100), 10), unreachable: null, mixedUp: null }),
      [],
    );
  });
});
