import { monotonic, setImmediate, setTimeout } from "@tenure/core/store";

/**
 * What is known of the clocks of servers, from the times in their replies. An estimate is never ahead of the server's clock, as long as
 * that is not set back: a reply takes some time to arrive. So a deadline by it never comes later than meant.
 */
export interface ServerClock {
  /** Takes the time in a reply that has just arrived. */
  learn(node: string, now: number): void;
  /** An instant of `monotonic()` by the server's clock, or a little before it. `undefined`: nothing is known of the server. */
  deadline(node: string, at: number): string | undefined;
  /** Resolves to true once the server's clock is past an instant that it reported, or to false if that takes longer than `limit` milliseconds. */
  waitUntilPast(node: string, instant: number, limit: number): Promise<boolean>;
}

export function serverClock(): ServerClock {
  const samples = new Map<string, Sample>();
  return {
    learn(node, now) {
      const at = monotonic();
      const offset = now - at;
      const best = samples.get(node);
      // The latest of a minute: the reply that took the least time. Older ones are forgotten, because clocks drift and are set.
      if (best === undefined || offset > best.offset || at - best.at > 60_000)
        samples.set(node, { offset, at });
    },
    deadline(node, at) {
      const best = samples.get(node);
      return best && String(Math.floor(best.offset + at));
    },
    async waitUntilPast(node, instant, limit) {
      const now = monotonic();
      const best = samples.get(node);
      const end = best === undefined ? now : instant + 1 - best.offset;
      if (end - now > limit) return false;
      if (end - now >= 1) await new Promise((resolve) => setTimeout(resolve, end - now));
      // A timer counts whole milliseconds, and what is left is mostly less than one.
      while (monotonic() < end) await new Promise((resolve) => setImmediate(resolve));
      return true;
    },
  };
}

/** How far the server's clock is ahead of `monotonic()`, at least, and when that was learned. */
interface Sample {
  readonly offset: number;
  readonly at: number;
}
