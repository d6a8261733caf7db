import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { isStoreError } from "./backend.ts";
import type { Scene } from "./scene.ts";
import { type Random, randomFor } from "./seed.ts";
import { Unclear } from "./unclear.ts";

/**
 * Runs all calls concurrently, in an order and after pauses that the seed determines, spread over about twice
 * the time of a call. Resolves to the results in the order of `calls`. Rejects, once all have settled, if one
 * rejected.
 */
export async function race<Result>(
  { latency }: Scene,
  random: Random,
  calls: readonly (() => Promise<Result>)[],
): Promise<Result[]> {
  const pauses = calls.map(() => random.below(5));
  const spread = calls.map(() => (random.below(100) / 100) * 2 * latency);
  const results = new Map<number, Promise<Result>>();
  for (const index of random.shuffled([...calls.keys()])) {
    results.set(index, delay(pauses[index]!, spread[index]!).then(calls[index]));
  }
  return together(calls.map((_, index) => results.get(index)!));
}

/** Waits: kind 1 for a microtask, 2 for a turn of the event loop, 3 for `duration` milliseconds, others not. */
export async function delay(kind: number, duration: number): Promise<void> {
  if (kind === 1) await Promise.resolve();
  if (kind === 2) await turn();
  if (kind === 3) await sleep(duration);
}

/**
 * Runs a race `most` times, four at a time, each with its own random numbers. Repeats a round in which the
 * store rejected, because it proves nothing. If calls are slow, runs fewer rounds, a third at least.
 */
export async function rounds(
  scene: Scene,
  most: number,
  round: (scene: Scene, random: Random) => Promise<void>,
): Promise<void> {
  const count = Math.ceil(most * Math.max(1 / 3, Math.min(1, 2 / scene.latency)));
  let begun = 0;
  let shown = 0;
  let over = false;
  const runner = async (): Promise<void> => {
    while (shown < count && !over) {
      if (begun === 10 * count) throw new Error("The store rejected in nearly every round");
      begun += 1;
      const random = randomFor(scene.random.below(2 ** 31), `round ${begun}`);
      try {
        await round(scene, random);
        shown += 1;
      } catch (error) {
        if (isStoreError(error)) continue;
        over = true;
        throw error;
      }
    }
  };
  await together([runner(), runner(), runner(), runner()]);
}

/** Waits for all calls, so that none outlives its test. Then rejects with the most informative error. */
export async function together<Result>(calls: readonly Promise<Result>[]): Promise<Result[]> {
  const settled = await Promise.allSettled(calls);
  const rejected = settled.filter((one) => one.status === "rejected").map((one): unknown => one.reason);
  const telling = rejected.find((reason) => !(isStoreError(reason) || reason instanceof Unclear));
  if (rejected.length > 0) throw telling ?? rejected[0];
  return settled.filter((one) => one.status === "fulfilled").map((one) => one.value);
}

export function countOf<Item>(items: readonly Item[], item: Item): number {
  return items.filter((each) => each === item).length;
}
