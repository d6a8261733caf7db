/**
 * What a store's clock says, told from this process's monotonic clock and a sample of the store's now and then.
 *
 * A machine whose wall clock is ten minutes off, or is set while it runs, thus neither touches at every request nor lets
 * sessions in use die. The sample was taken somewhere between the question and its answer; that width is kept, and the
 * later end is what counts, so that an error of the estimate makes a touch early, never late.
 */
export class StoreClock {
  readonly #sample: () => Promise<number>;
  readonly #sampleEvery: number;
  #offset: { readonly earliest: number; readonly latest: number; readonly sampledAt: number } | undefined;
  #sampling: Promise<void> | undefined;

  /**
   * @param sample the store's `now()`
   * @param sampleEvery milliseconds after which a sample is renewed in the background
   */
  constructor(sample: () => Promise<number>, sampleEvery: number) {
    this.#sample = sample;
    this.#sampleEvery = sampleEvery;
  }

  /** Resolves once there is a sample to tell from; waits only the first time. Never rejects: `latest()` is NaN then. */
  ready(): Promise<void> | undefined {
    const offset = this.#offset;
    if (offset && performance.now() - offset.sampledAt < this.#sampleEvery) return undefined;
    this.#sampling ??= this.#renew().finally(() => (this.#sampling = undefined));
    return offset ? undefined : this.#sampling;
  }

  /** The latest instant that the store's clock may show now. NaN while it was never sampled. */
  latest(): number {
    return this.#offset ? this.#offset.latest + performance.now() : Number.NaN;
  }

  /** The earliest instant that the store's clock may show now. While it was never sampled: this machine's clock. */
  earliest(): number {
    return this.#offset ? this.#offset.earliest + performance.now() : Date.now();
  }

  async #renew(): Promise<void> {
    const askedAt = performance.now();
    try {
      const storeNow = await this.#sample();
      const answeredAt = performance.now();
      // A store rounds down to whole milliseconds, hence the one more.
      this.#offset = {
        earliest: storeNow - answeredAt,
        latest: storeNow + 1 - askedAt,
        sampledAt: answeredAt,
      };
    } catch {
      // Whoever samples has told of the failure; an older sample is better than none.
    }
  }
}
