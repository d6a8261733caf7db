import { monotonic, setImmediate, setTimeout } from "@tenure/core/store";

/**
 * Estimates the clocks of servers from the times in their replies. A reply takes time to arrive, so an
 * estimate is never ahead of the server's clock, unless that is set back, and a deadline is never later than
 * intended.
 */
export interface ServerClock {
  /** Takes the time in a reply that has just arrived. */
  learn(node: string, now: number): void;
  /** An instant of `monotonic()` by the server's clock, or slightly earlier. `undefined`: no reply so far. */
  deadline(node: string, at: number): string | undefined;
  /**
   * Waits until the server's clock is past an instant. False: that takes longer than `limit` milliseconds.
   */
  waitUntilPast(node: string, instant: number, limit: number): Promise<boolean>;
}

export function serverClock(): ServerClock {
  const samples = new Map<string, Sample>();
  return {
    learn(node, now) {
      const at = monotonic();
      const offset = now - at;
      const best = samples.get(node);
      // The highest offset of a minute is from the fastest reply. Older ones expire: clocks drift and are
      // adjusted.
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
      // A timer counts whole milliseconds, and usually less than one is left.
      while (monotonic() < end) await new Promise((resolve) => setImmediate(resolve));
      return true;
    },
  };
}

/** The least that the server's clock is ahead of `monotonic()`, and when that was learned. */
interface Sample {
  readonly offset: number;
  readonly at: number;
}
