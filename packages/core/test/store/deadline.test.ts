import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { withDeadline } from "../../src/store/index.ts";

const late = () => new Error("late");

test("withDeadline never rejects early, although Node's timers may fire a fraction of a millisecond early", async () => {
  const elapsed = Array.from({ length: 200 }, async (_, n) => {
    await sleep(n / 4);
    const start = performance.now();
    await withDeadline(new Promise(() => undefined), 20, late).catch(() => undefined);
    return performance.now() - start;
  });
  expect(Math.min(...(await Promise.all(elapsed)))).toBeGreaterThanOrEqual(20);
});

test("withDeadline settles as a promise that settles in time", async () => {
  await expect(withDeadline(Promise.resolve("in time"), 60, late)).resolves.toBe("in time");
  await expect(withDeadline(Promise.reject(new Error("its own")), 60, late)).rejects.toThrow("its own");
});
