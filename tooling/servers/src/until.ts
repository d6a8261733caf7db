import { setTimeout as sleep } from "node:timers/promises";

/** Waits until something is so, asking again and again; an error counts as not yet. Rejects after `ms` with `what` it waited for. */
export async function until<T>(
  what: string,
  ms: number,
  ask: () => Promise<T | undefined | false>,
): Promise<T> {
  const deadline = Date.now() + ms;
  let cause: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      cause = error;
    }
    if (Date.now() > deadline) throw new Error(`Waited ${ms / 1000} s in vain until ${what}.`, { cause });
    await sleep(50);
  }
}
