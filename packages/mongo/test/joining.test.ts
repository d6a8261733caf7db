import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { joined, type Joining } from "../src/joining.ts";

test("calls of one turn leave in one batch, and each gets its own answer", async () => {
  const { call, batches } = joining(async (calls) => calls.map((number) => number * 10));
  expect(await Promise.all([1, 2, 3].map(call))).toEqual([10, 20, 30]);
  expect(batches).toEqual([[1, 2, 3]]);
});

test("two batches are on their way at most, and what comes meanwhile leaves together", async () => {
  const gates: (() => void)[] = [];
  const { call, batches } = joining(async (calls) => {
    await new Promise<void>((open) => gates.push(open));
    return calls;
  });
  const answers = [call(1)];
  await turn();
  answers.push(call(2));
  await turn();
  for (const number of [3, 4, 5]) {
    answers.push(call(number));
    await turn();
  }
  expect(batches).toEqual([[1], [2]]);
  gates[0]!();
  await answers[0];
  await turn();
  expect(batches).toEqual([[1], [2], [3, 4, 5]]);
  for (const open of gates) open();
  expect(await Promise.all(answers)).toEqual([1, 2, 3, 4, 5]);
});

test("a batch that hangs holds nobody back for long", async () => {
  const { call, batches } = joining(async (calls) => {
    if (calls.some((number) => number < 3)) await new Promise(() => {});
    return calls;
  });
  for (const hanging of [1, 2]) {
    void call(hanging);
    await turn();
  }
  const began = performance.now();
  expect(await call(3)).toBe(3);
  expect(performance.now() - began).toBeGreaterThan(20);
  expect(batches).toEqual([[1], [2], [3]]);
});

test("calls with one key are in different batches, in the order in which they came", async () => {
  const { call, batches } = joining(
    async (calls) => calls,
    (number) => String(number % 10),
  );
  expect(await Promise.all([1, 11, 2, 21].map(call))).toEqual([1, 11, 2, 21]);
  expect(batches).toEqual([[1, 2], [11], [21]]);
});

test("a batch has its limit", async () => {
  const { call, batches } = joining(async (calls) => calls);
  const numbers = Array.from({ length: 9 }, (_, number) => number);
  expect(await Promise.all(numbers.map(call))).toEqual(numbers);
  expect(batches.map(({ length }) => length)).toEqual([4, 4, 1]);
});

test("an error of the batch is every caller's, and the next batch goes its way", async () => {
  const { call } = joining(async (calls) => {
    if (calls.includes(1)) throw new Error("down");
    return calls;
  });
  const outcomes = await Promise.allSettled([call(1), call(2)]);
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(await call(3)).toBe(3);
});

test("an error of one call is its own", async () => {
  const { call } = joining(async (calls) =>
    calls.map((number) => (number === 2 ? Promise.reject(new Error("two")) : number)),
  );
  const outcomes = await Promise.allSettled([1, 2, 3].map(call));
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
});

test("nothing is left to keep the process alive", async () => {
  const { call } = joining(async (calls) => calls);
  const before = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  await call(1);
  await sleep(0);
  expect(process.getActiveResourcesInfo().filter((name) => name === "Timeout")).toHaveLength(before);
});

function joining(run: Joining<number, number>["run"], key?: (call: number) => string) {
  const batches: (readonly number[])[] = [];
  const call = joined<number, number>({
    batchLimit: 4,
    ...(key && { key }),
    run: (calls) => {
      batches.push(calls);
      return run(calls);
    },
  });
  return { call, batches };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
