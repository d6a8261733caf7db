import { setTimeout as sleep } from "node:timers/promises";

/**
 * Calls `attempt` until it neither resolves to false nor rejects. Rejects after `ms` with a message that
 * names `what` it waited for.
 */
export async function until<T>(what: string, ms: number, attempt: () => Promise<T | false>): Promise<T> {
  const deadline = Date.now() + ms;
  let cause: unknown;
  while (Date.now() < deadline) {
    try {
      const result = await attempt();
      if (result !== false) return result;
    } catch (error) {
      cause = error;
    }
    await sleep(50);
  }
  throw new Error(`Timed out after ${ms / 1000} s of waiting until ${what}.`, { cause });
}
