import assert from "node:assert/strict";
import { memoryStore } from "@tenure/core";
import { describe, test } from "vitest";
import { failsSoundly, storeAt } from "./absent-backend.ts";
import { mixedUp } from "./mixed-up.ts";
import { failuresOf } from "./trial.ts";
import { flaky, slow, undoing } from "./troubled.ts";
import { workshop } from "./workshop.ts";

describe("A sound store passes every sentence", { concurrent: true, timeout: 900_000 }, () => {
  test("the store that the sabotaged ones are made of", async () => {
    const store = workshop();
    const failures = await failuresOf({
      open: () => store,
      unreachable: (address) => storeAt(address, failsSoundly),
      mixedUp: (mixUp) => mixedUp(store, mixUp),
    });
    assert.deepEqual(failures, []);
  });

  test("a store that writes a login first, then finds the fence, and undoes it", async () => {
    const store = workshop(undoing);
    const failures = await failuresOf({ open: () => store, unreachable: null, mixedUp: null });
    assert.deepEqual(failures, []);
  });

  test("a store that rejects sometimes, before or after the change is made", async () => {
    const store = memoryStore();
    const failures = await failuresOf({ open: () => flaky(store, 40), unreachable: null, mixedUp: null });
    assert.deepEqual(failures, []);
  });

  test("a store behind a slow network", async () => {
    const store = memoryStore();
    const failures = await failuresOf({ open: () => slow(store, 20), unreachable: null, mixedUp: null });
    assert.deepEqual(failures, []);
  });
});
