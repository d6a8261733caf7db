/**
 * The store's clock, estimated from this process's monotonic clock and a sample of the store's now and then.
 *
 * So a machine whose wall clock is wrong, or is set while it runs, neither touches at every request nor lets sessions in use end.
 * The sample was taken somewhere between the question and its reply. Both ends of that interval are kept: the later one decides
 * whether a touch is due, so an error makes a touch early, never late; the earlier one dates a login.
 */
export class StoreClock {
  readonly #now: () => Promise<number>;
  #sample: Sample | undefined;
  #sampling: Promise<void> | undefined;

  /** @param now the store's `now()` */
  constructor(now: () => Promise<number>) {
    this.#now = now;
  }

  /**
   * Resolves when there is a sample to estimate from; `undefined`: there is one. An old sample is renewed in the background.
   * Never rejects: without a sample, {@link latest} is NaN.
   */
  ready(): Promise<void> | undefined {
    const now = performance.now();
    const sample = this.#usable(now);
    if (sample && now - sample.sampledAt < SAMPLE_EVERY) return undefined;
    // Also in the background: a rejection that nobody handles would end the process.
    const renewing = this.#renewOnce().catch(() => undefined);
    return sample ? undefined : renewing;
  }

  /** The renewal of the sample that is under way, if one is. Never rejects. */
  renewing(): Promise<void> | undefined {
    return this.#sampling?.catch(() => undefined);
  }

  /**
   * A time of the store's clock that is certainly not after the instant `at`.
   *
   * @param at of `performance.now()`
   * @throws StoreError if the store's clock cannot be read
   */
  async notAfter(at: number = performance.now()): Promise<number> {
    if (!this.#usable()) await this.#renewOnce();
    return Math.floor((this.#sample?.earliest ?? Number.NaN) + at);
  }

  /** As {@link notAfter}, if no call of the store is needed. */
  notAfterIfKnown(at: number): number | undefined {
    const sample = this.#usable();
    return sample && Math.floor(sample.earliest + at);
  }

  /** Takes a new sample, so that what begins after this resolves is dated after everything that the store has done until now. */
  async renew(): Promise<void> {
    await this.#sampling?.catch(() => undefined);
    await this.#renewOnce();
  }

  /** The latest instant that the store's clock may show now. NaN while it was never sampled. */
  latest(): number {
    return this.#sample ? this.#sample.latest + performance.now() : Number.NaN;
  }

  /** The earliest instant that the store's clock may show now. While it was never sampled: this machine's clock. */
  earliest(): number {
    return this.#sample ? this.#sample.earliest + performance.now() : Date.now();
  }

  /**
   * The sample, unless the wall clock moved against the monotonic clock since. The monotonic clock stands still while a machine is
   * suspended (on Linux: CLOCK_MONOTONIC), and the wall clock is set afterwards.
   */
  #usable(now: number = performance.now()): Sample | undefined {
    const sample = this.#sample;
    return sample && Math.abs(Date.now() - now - sample.wall) < JUMP ? sample : undefined;
  }

  #renewOnce(): Promise<void> {
    return (this.#sampling ??= this.#renew().finally(() => (this.#sampling = undefined)));
  }

  async #renew(): Promise<void> {
    const askedAt = performance.now();
    const storeNow = await this.#now();
    const repliedAt = performance.now();
    const before = this.#usable();
    const earliest = storeNow - repliedAt;
    this.#sample = {
      // A reply that took long must not date a login before one that was known to be later.
      earliest:
        before && repliedAt - before.sampledAt < TRUSTED_FOR ? Math.max(before.earliest, earliest) : earliest,
      // A store rounds down to whole milliseconds, hence the one more.
      latest: storeNow + 1 - askedAt,
      sampledAt: repliedAt,
      wall: Date.now() - repliedAt,
    };
  }
}

interface Sample {
  /** The store's clock less `performance.now()`, at least and at most. */
  readonly earliest: number;
  readonly latest: number;
  /** Of `performance.now()`. */
  readonly sampledAt: number;
  /** The wall clock less `performance.now()`. */
  readonly wall: number;
}

/** Milliseconds. */
const SAMPLE_EVERY = 5000;
/** Milliseconds: two clocks that differ by 100 ppm are apart by one then. */
const TRUSTED_FOR = 10_000;
/** Milliseconds: more than a clock is slewed between two samples, less than a suspension that matters. */
const JUMP = 1000;
