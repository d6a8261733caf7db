import assert from "node:assert/strict";
import { memoryStore } from "@tenure/core";
import { test } from "vitest";
import { failuresOf } from "./run-sentences.ts";

test(
  "a correct store passes the suite on a machine that stalls repeatedly",
  { timeout: 900_000 },
  async () => {
    const store = memoryStore();
    const neverNotified = new Int32Array(new SharedArrayBuffer(4));
    // This blocks the thread and leaves the processor to other tests.
    const stalls = setInterval(() => Atomics.wait(neverNotified, 0, 0, Math.random() * 300), 100);
    try {
      assert.deepEqual(await failuresOf({ open: () => store, unreachable: null, mixedUp: null }), []);
    } finally {
      clearInterval(stalls);
    }
  },
);
