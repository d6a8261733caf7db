import { setTimeout as sleep } from "node:timers/promises";
import type { PageRange, Swept } from "./operations.ts";

/** Options of `startSweeping`. */
export interface SweepingOptions {
  /** How often, milliseconds, give or take a quarter. Each time reads the table once, a little at a time. Default one hour. */
  readonly every?: number;
  /** Is called with a `StoreError` when a sweep fails; the next one comes all the same. What it throws is ignored. */
  readonly onError?: (error: unknown) => void;
}

/** What `startSweeping` has started. */
export interface Sweeping {
  /** Ends it. Resolves once none of its statements is running. */
  stop(): Promise<void>;
}

type SweepPages = (range: PageRange) => Promise<Swept>;

/** Goes through the whole table once, a range of pages a statement. There is no index on `expires_at`: touches would write it. */
export async function sweep(sweepPages: SweepPages, turns?: AbortSignal): Promise<number> {
  let pages = 1;
  let swept = 0;
  let width = NARROWEST;
  for (let from = 0; from < pages;) {
    if (turns?.aborted === true) break;
    const beganAt = performance.now();
    const range = { from, to: from + width, most: width * ROWS_A_PAGE, inTurn: turns !== undefined };
    const result = await sweepPages(range);
    if (!result.ours) break;
    // What is added while it runs has not expired.
    if (from === 0) pages = result.pages;
    swept += result.swept;
    if (result.swept < range.most) from = range.to;
    if (result.took > LONG) width = Math.max(width / 2, NARROWEST);
    else if (result.took < SHORT) width = Math.min(width * 2, WIDEST);
    // At most half of one connection's time.
    await sleep(Math.min(performance.now() - beganAt, 100));
  }
  return swept;
}

/** @throws TypeError */
export function startSweeping(
  sweepPages: SweepPages,
  { every = 60 * 60 * 1000, onError }: SweepingOptions = {},
): Sweeping {
  if (!(every >= 1000 && every <= MAX_EVERY)) {
    throw new TypeError(`every must be milliseconds from 1000 to ${MAX_EVERY} (a day)`);
  }
  const turns = new AbortController();
  let current: Promise<unknown> = Promise.resolve();
  // The first within one interval: instances that start together spread.
  let timer = setTimeout(turn, Math.random() * every).unref();

  function turn(): void {
    current = sweep(sweepPages, turns.signal)
      .catch(onError)
      // What a listener throws is no reason to sweep no more.
      .catch(() => undefined)
      .finally(() => {
        if (!turns.signal.aborted) timer = setTimeout(turn, every * (0.75 + Math.random() / 2)).unref();
      });
  }

  return {
    async stop() {
      turns.abort();
      clearTimeout(timer);
      await current;
    },
  };
}

/** Pages that one statement looks at: as many as the disk and the machine manage in a short while. */
const NARROWEST = 4;
const WIDEST = 128;
/** What it deletes at most, for each page that it looks at. */
const ROWS_A_PAGE = 8;

/** Milliseconds. After a statement that took longer the next does half of that, after a shorter one twice as much. */
const LONG = 10;
const SHORT = 5;
const MAX_EVERY = 24 * 60 * 60 * 1000;
