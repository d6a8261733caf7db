import { setTimeout as sleep } from "node:timers/promises";

/** Calls until the result is not false; an error counts as not yet. Rejects after `ms` with `what` it waited for. */
export async function until<T>(what: string, ms: number, ask: () => Promise<T | false>): Promise<T> {
  const deadline = Date.now() + ms;
  let cause: unknown;
  while (Date.now() < deadline) {
    try {
      const result = await ask();
      if (result !== false) return result;
    } catch (error) {
      cause = error;
    }
    await sleep(50);
  }
  throw new Error(`Waited ${ms / 1000} s in vain until ${what}.`, { cause });
}
