import { setTimeout as sleep } from "node:timers/promises";

/** Asks until the answer is not false; an error counts as not yet. Rejects after `ms` with `what` it waited for. */
export async function until<T>(what: string, ms: number, ask: () => Promise<T | false>): Promise<T> {
  const deadline = Date.now() + ms;
  let cause: unknown;
  while (Date.now() < deadline) {
    try {
      const answer = await ask();
      if (answer !== false) return answer;
    } catch (error) {
      cause = error;
    }
    await sleep(50);
  }
  throw new Error(`Waited ${ms / 1000} s in vain until ${what}.`, { cause });
}
