import assert from "node:assert/strict";
import { memoryStore } from "@tenure/core";
import { test } from "vitest";
import { failuresOf } from "./trial.ts";

test("a sound store passes on a machine that stalls again and again", { timeout: 900_000 }, async () => {
  const store = memoryStore();
  const stalls = setInterval(() => {
    const until = performance.now() + Math.random() * 300;
    while (performance.now() < until);
  }, 100);
  try {
    assert.deepEqual(await failuresOf({ open: () => store, unreachable: null, mixedUp: null }), []);
  } finally {
    clearInterval(stalls);
  }
});
