import assert from "node:assert/strict";
import { memoryStore } from "@tenure/core";
import { test } from "vitest";
import { failuresOf } from "./trial.ts";

test("a sound store passes on a machine that stalls again and again", { timeout: 900_000 }, async () => {
  const store = memoryStore();
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  // The thread stands still, and the processor is free for other tests.
  const stalls = setInterval(() => Atomics.wait(nothing, 0, 0, Math.random() * 300), 100);
  try {
    assert.deepEqual(await failuresOf({ open: () => store, unreachable: null, mixedUp: null }), []);
  } finally {
    clearInterval(stalls);
  }
});
