import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { batched } from "../../src/store/batch.ts";
import { withDeadline } from "../../src/store/deadline.ts";
import { turns } from "../interleaved.ts";

describe("batched", () => {
  test("runs the calls of one turn of the event loop as one batch, and returns each call its own result", async () => {
    const batches: number[][] = [];
    const double = batched<number, number>({
      limit: 100,
      run: async (calls) => (batches.push([...calls]), calls.map((n) => 2 * n)),
    });
    expect(await Promise.all([1, 2, 3].map(double))).toEqual([2, 4, 6]);
    expect(await double(4)).toBe(8);
    expect(batches).toEqual([[1, 2, 3], [4]]);
  });

  test("sends 32 calls in one turn, or half of those that wait if that is more, and the others in the next turns", async () => {
    const sizes: number[] = [];
    const call = batched<number, number>({
      limit: 1000,
      run: async (calls) => (sizes.push(calls.length), calls),
    });
    const callTimes = (times: number) => Promise.all(Array.from({ length: times }, (_, n) => call(n)));
    for (const [times, expected] of [
      [31, [31]],
      [50, [32, 18]],
      [300, [150, 75, 38, 32, 5]],
    ] as const) {
      sizes.length = 0;
      const results = callTimes(times);
      for (let at = 1; at <= expected.length; at += 1) {
        await turns(1);
        expect(sizes.length).toBeLessThanOrEqual(at);
      }
      expect(await results).toEqual(Array.from({ length: times }, (_, n) => n));
      expect(sizes).toEqual(expected);
      await turns(1);
    }
  });

  test("sends 32 queued calls before the immediates of their turn, and further calls after them", async () => {
    const events: string[] = [];
    const call = batched<number, number>({
      limit: 1000,
      run: async (calls) => (events.push(`${calls[0]}-${calls.at(-1)}`), calls),
    });
    setImmediate(() => events.push("immediate"));
    await Promise.all(Array.from({ length: 40 }, (_, n) => call(n)));
    expect(events).toEqual(["0-31", "immediate", "32-39"]);
  });

  test("with one slot sends all calls together", async () => {
    const sizes: number[] = [];
    const call = batched<number, number>({
      slots: 1,
      limit: 1000,
      run: async (calls) => (sizes.push(calls.length), calls),
    });
    await Promise.all(Array.from({ length: 300 }, (_, n) => call(n)));
    expect(sizes).toEqual([300]);
  });

  test("keeps a batch within limit and maxBytes, and sends a larger call alone", async () => {
    const batches: string[][] = [];
    const call = batched<string, string>({
      limit: 3,
      maxBytes: 10,
      sizeOf: (text) => text.length,
      run: async (calls) => (batches.push([...calls]), calls),
    });
    await Promise.all(["a", "b", "c", "d", "e".repeat(20), "f".repeat(6), "g".repeat(6)].map(call));
    expect(batches.every((batch) => batch.length <= 3)).toBe(true);
    expect(batches.every((batch) => batch.length === 1 || batch.join("").length <= 10)).toBe(true);
    expect(batches.flat().toSorted()).toEqual(
      ["a", "b", "c", "d", "e".repeat(20), "f".repeat(6), "g".repeat(6)].toSorted(),
    );
  });

  test("frees the slot of a batch that takes longer than its patience, so that other calls can leave", async () => {
    const hanging = Promise.withResolvers<void>();
    const call = batched<string, string>({
      slots: 1,
      patience: 20,
      limit: 10,
      async run(calls) {
        if (!calls.includes("hangs")) return calls;
        hanging.resolve();
        return new Promise<never>(() => {});
      },
    });
    void call("hangs");
    await hanging.promise;
    expect(await call("succeeds")).toBe("succeeds");
    expect(await Promise.all(["a", "b"].map(call))).toEqual(["a", "b"]);
  });

  test("has no more batches under way than slots, and joins waiting calls into the next batch", async () => {
    const sizes: number[] = [];
    const replies: (() => void)[] = [];
    const call = batched<number, number>({
      slots: 2,
      limit: 50,
      run: (calls) => {
        sizes.push(calls.length);
        return new Promise((resolve) => replies.push(() => resolve(calls)));
      },
    });
    const results: Promise<number>[] = [];
    for (const upTo of [1, 2, 20]) {
      while (results.length < upTo) results.push(call(results.length));
      await turns(3);
    }
    expect(sizes).toEqual([1, 1]);
    replies[0]!();
    await turns(3);
    expect(sizes).toEqual([1, 1, 18]);
    for (const reply of replies) reply();
    expect(await Promise.all(results)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  test("runs calls with the same key in order, one at a time", async () => {
    const running = new Set<string>();
    const done: Record<string, number[]> = { a: [], b: [], c: [] };
    const call = batched<{ readonly key: string; readonly n: number }, number>({
      slots: 3,
      limit: 4,
      key: ({ key }) => key,
      run: async (calls) => {
        for (const { key } of calls) expect(running.has(key)).toBe(false);
        for (const { key } of calls) running.add(key);
        await sleep(Math.random() * 3);
        for (const { key, n } of calls) {
          running.delete(key);
          done[key]!.push(n);
        }
        return calls.map(({ n }) => n);
      },
    });
    const keys = ["a", "b", "c"] as const;
    await Promise.all(Array.from({ length: 90 }, (_, n) => call({ key: keys[n % 3]!, n })));
    for (const key of keys) expect(done[key]).toEqual(done[key]!.toSorted((x, y) => x - y));
  });

  test("rejects only the call whose result is an error, and all calls of a batch that rejects", async () => {
    const call = batched<number, number>({
      limit: 10,
      run: async (calls) => {
        if (calls.includes(13)) throw new Error("the connection failed");
        return calls.map((n) => (n === 7 ? new Error("seven") : n));
      },
    });
    const settled = await Promise.allSettled([1, 7, 2].map(call));
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    const failed = await Promise.allSettled([1, 13, 2].map(call));
    expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(await call(3)).toBe(3);
  });

  test("after three timeouts in a row rejects the calls queued before the last of these batches began, and no others", async () => {
    const ran: number[] = [];
    const call = batched<number, number>({
      slots: 1,
      limit: 1,
      isOutOfTime: (error) => error === "no reply",
      async run([n]) {
        ran.push(n!);
        if (n === 2) call(10).then(later.resolve, later.reject);
        await sleep(1);
        if (n! < 3) throw "no reply";
        if (n === 20) throw "refused";
        return [n!];
      },
    });
    const later = Promise.withResolvers<number>();
    const settled = await Promise.allSettled([0, 1, 2, 3, 4].map(call));
    expect(settled.map(({ status }) => status)).toEqual(Array.from({ length: 5 }, () => "rejected"));
    expect(await later.promise).toBe(10);
    expect(ran).toEqual([0, 1, 2, 10]);
    const others = await Promise.allSettled([20, 0, 1, 11, 20, 2, 20, 12].map(call));
    expect(others.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
    expect(ran).toHaveLength(12);
  });

  test("works while fake timers stand still, and so does withDeadline", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const call = batched<number, number>({ limit: 10, run: async (calls) => calls });
    expect(await Promise.all([call(1), call(2)])).toEqual([1, 2]);
    const late = withDeadline(new Promise(() => undefined), 5, () => new Error("late"));
    await expect(late).rejects.toThrow("late");
  });

  test("rejects a batch with a wrong number of results, instead of mixing them up", async () => {
    const call = batched<number, number>({ limit: 10, run: async () => [1] });
    const settled = await Promise.allSettled([call(1), call(2)]);
    expect(settled.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  });
});
