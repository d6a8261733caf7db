import { setTimeout as sleep } from "node:timers/promises";
import type { PageRange, Swept } from "./operations.ts";

/** Options of `startSweeping`. */
export interface SweepingOptions {
  /**
   * Milliseconds between sweeps, give or take a quarter. A sweep reads the table once, in small steps.
   * Default one hour.
   */
  readonly every?: number;
  /** Called with a `StoreError` when a sweep fails. Later sweeps still run. What it throws is ignored. */
  readonly onError?: (error: unknown) => void;
}

/** Periodic sweeping, started by `startSweeping`. */
export interface Sweeping {
  /** Stops sweeping. Resolves once none of its statements is running. */
  stop(): Promise<void>;
}

type SweepPages = (range: PageRange) => Promise<Swept>;

/**
 * Deletes the expired rows of the table, a range of pages per statement. `expires_at` has no index, because
 * every touch would have to write it.
 *
 * @param turns if given, the sweep ends when another instance is sweeping, or the signal is aborted
 */
export async function sweep(sweepPages: SweepPages, turns?: AbortSignal): Promise<number> {
  let pages = 1;
  let swept = 0;
  let width = NARROWEST;
  for (let from = 0; from < pages;) {
    if (turns?.aborted === true) break;
    const beganAt = performance.now();
    const range = { from, to: from + width, limit: width * ROWS_A_PAGE, inTurn: turns !== undefined };
    const result = await sweepPages(range);
    if (!result.isOurTurn) break;
    // Rows added during the sweep have not expired.
    if (from === 0) pages = result.pages;
    swept += result.swept;
    if (result.swept < range.limit) from = range.to;
    if (result.took > LONG) width = Math.max(width / 2, NARROWEST);
    else if (result.took < SHORT) width = Math.min(width * 2, WIDEST);
    // Half of one connection's time at most, unless a statement takes more than 100 ms.
    await sleep(Math.min(performance.now() - beganAt, 100));
  }
  return swept;
}

/** @throws TypeError if `every` is out of range */
export function startSweeping(
  sweepPages: SweepPages,
  { every = 60 * 60 * 1000, onError }: SweepingOptions = {},
): Sweeping {
  if (!(every >= 1000 && every <= MAX_EVERY)) {
    throw new TypeError(`every must be a number of milliseconds from 1000 to ${MAX_EVERY} (one day)`);
  }
  const turns = new AbortController();
  let current: Promise<unknown> = Promise.resolve();
  // Random, so that instances that start together spread out.
  let timer = setTimeout(turn, Math.random() * every).unref();

  function turn(): void {
    current = sweep(sweepPages, turns.signal)
      .catch(onError)
      // An error thrown by `onError` must not stop the sweeping.
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

/** Pages per statement, adapted to the speed of the disk and the machine. */
const NARROWEST = 4;
const WIDEST = 128;
/** The most rows to delete, per page of the range. */
const ROWS_A_PAGE = 8;

/** Milliseconds. A slower statement halves the width of the next, and one below `SHORT` doubles it. */
const LONG = 10;
const SHORT = 5;
const MAX_EVERY = 24 * 60 * 60 * 1000;
