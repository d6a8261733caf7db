/**
 * Estimates the store's clock from an occasional sample and this process's monotonic clock, so that a wrong
 * wall clock, or one that is set while the process runs, neither causes a touch at every request nor lets
 * sessions in use end.
 *
 * The store read its clock at some instant between the call and its reply. Both bounds are kept. The latest
 * possible time decides whether a touch is due, so an error makes a touch early, never late. The earliest
 * possible time dates a login.
 */
export class StoreClock {
  readonly #now: () => Promise<number>;
  #sample: Sample | undefined;
  #sampling: Promise<void> | undefined;

  constructor(now: () => Promise<number>) {
    this.#now = now;
  }

  /**
   * Resolves when there is a sample; `undefined`: there is one. Renews an old sample in the background. Never
   * rejects: without a sample, {@link latest} is NaN.
   */
  ready(): Promise<void> | undefined {
    const now = performance.now();
    const sample = this.#usable(now);
    if (sample && now - sample.sampledAt < SAMPLE_EVERY) return undefined;
    // In the background, an unhandled rejection would end the process.
    const renewing = this.#renewOnce().catch(() => undefined);
    return sample ? undefined : renewing;
  }

  /** The renewal that is under way, if any. Never rejects. */
  renewing(): Promise<void> | undefined {
    return this.#sampling?.catch(() => undefined);
  }

  /**
   * Returns an instant of the store's clock that is certainly not after `at`.
   *
   * @param at an instant of `performance.now()`
   * @throws StoreError if the store's clock cannot be read
   */
  async notAfter(at: number = performance.now()): Promise<number> {
    if (!this.#trusted()) await this.#renewOnce();
    return Math.floor((this.#sample?.earliest ?? Number.NaN) + at);
  }

  /** As {@link notAfter}, without a call of the store. `undefined`: it needs one. */
  notAfterIfKnown(at: number): number | undefined {
    const sample = this.#trusted();
    return sample && Math.floor(sample.earliest + at);
  }

  /**
   * Takes a new sample, so that a login that begins afterwards is dated after all that the store has done so
   * far.
   */
  async renew(): Promise<void> {
    await this.renewing();
    await this.#renewOnce();
  }

  /** The latest instant that the store's clock may show now. NaN before the first sample. */
  latest(): number {
    return this.#sample ? this.#sample.latest + performance.now() : Number.NaN;
  }

  /**
   * The earliest instant that the store's clock may show now. Before the first sample: this machine's clock.
   */
  earliest(): number {
    return this.#sample ? this.#sample.earliest + performance.now() : Date.now();
  }

  /**
   * The sample, unless the wall clock has moved against the monotonic clock since. While a machine is
   * suspended, the monotonic clock stands still (on Linux: CLOCK_MONOTONIC), and the wall clock is set
   * afterwards.
   */
  #usable(now: number = performance.now()): Sample | undefined {
    const sample = this.#sample;
    return sample && Math.abs(Date.now() - now - sample.wall) < JUMP ? sample : undefined;
  }

  /**
   * The usable sample, unless the clocks may have drifted apart by more than a millisecond since `earliest` was
   * sampled.
   */
  #trusted(now: number = performance.now()): Sample | undefined {
    const sample = this.#usable(now);
    return sample && now - sample.earliestFrom < TRUSTED_FOR ? sample : undefined;
  }

  #renewOnce(): Promise<void> {
    return (this.#sampling ??= this.#renew().finally(() => (this.#sampling = undefined)));
  }

  async #renew(): Promise<void> {
    const askedAt = performance.now();
    const storeNow = await this.#now();
    const repliedAt = performance.now();
    const earliest = storeNow - repliedAt;
    const before = this.#trusted(repliedAt);
    // A slow reply gives a low bound. It must not replace a higher one that still holds.
    const isLower = before !== undefined && earliest < before.earliest;
    this.#sample = {
      earliest: isLower ? before.earliest : earliest,
      earliestFrom: isLower ? before.earliestFrom : repliedAt,
      // Plus 1, because a store rounds down to whole milliseconds.
      latest: storeNow + 1 - askedAt,
      sampledAt: repliedAt,
      wall: Date.now() - repliedAt,
    };
  }
}

interface Sample {
  /** The store's clock minus `performance.now()`, at least and at most. */
  readonly earliest: number;
  readonly latest: number;
  /** When `earliest` was sampled, perhaps before `latest`. By `performance.now()`. */
  readonly earliestFrom: number;
  /** By `performance.now()`. */
  readonly sampledAt: number;
  /** The wall clock minus `performance.now()`. */
  readonly wall: number;
}

/** Milliseconds. */
const SAMPLE_EVERY = 5000;
/** Milliseconds: in this time, clocks that differ by 100 ppm drift apart by one. */
const TRUSTED_FOR = 10_000;
/** Milliseconds: more than a clock is slewed between two samples, less than a suspension that matters. */
const JUMP = 1000;
