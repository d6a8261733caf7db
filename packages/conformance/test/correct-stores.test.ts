import assert from "node:assert/strict";
import { memoryStore } from "@tenure/core";
import { describe, test } from "vitest";
import { flakyStore, slowStore, undoFencedLogins } from "./correct-stores.ts";
import { withMixedUpReplies } from "./mixed-up-replies.ts";
import { modularStore } from "./modular-store.ts";
import { failuresOf } from "./run-sentences.ts";
import { rejectWithStoreError, storeAt } from "./unreachable-backend.ts";

describe("Every sentence of the suite passes for", { concurrent: true, timeout: 900_000 }, () => {
  test("the store that the sabotaged stores are made from", async () => {
    const store = modularStore();
    const failures = await failuresOf({
      open: () => store,
      unreachable: (address) => storeAt(address, rejectWithStoreError),
      mixedUp: (mixUp) => withMixedUpReplies(store, mixUp),
    });
    assert.deepEqual(failures, []);
  });

  test("a store that writes a login, then reads the fence, and undoes the write if the fence refuses it", async () => {
    const store = modularStore(undoFencedLogins);
    const failures = await failuresOf({ open: () => store, unreachable: null, mixedUp: null });
    assert.deepEqual(failures, []);
  });

  test("a store that sometimes rejects, before or after it makes the change", async () => {
    const store = memoryStore();
    const failures = await failuresOf({
      open: () => flakyStore(store, 40),
      unreachable: null,
      mixedUp: null,
    });
    assert.deepEqual(failures, []);
  });

  test("a store behind a slow network", async () => {
    const store = memoryStore();
    const failures = await failuresOf({ open: () => slowStore(store, 20), unreachable: null, mixedUp: null });
    assert.deepEqual(failures, []);
  });
});
