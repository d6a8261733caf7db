import { boundedMap } from "./bounded-map.ts";
import type { StoreClock } from "./clock.ts";

/** When a touch is due, by the store's clock and by what this process touched itself. */
export class Touches {
  readonly #clock: StoreClock;
  readonly #touchEvery: number;
  /** When this process last touched a session, of `performance.now()`. */
  readonly #touchedAt = boundedMap<number>(REMEMBERED);

  /** @param touchEvery milliseconds */
  constructor(clock: StoreClock, touchEvery: number) {
    this.#clock = clock;
    this.#touchEvery = touchEvery;
  }

  isDue({
    id,
    touchedAt,
    idle,
  }: {
    readonly id: string;
    readonly touchedAt: number;
    readonly idle: number;
  }): boolean {
    const every = Math.min(this.#touchEvery, Math.floor(idle / 4));
    // If the store's clock was never sampled this is NaN, and a touch is due.
    if (this.#clock.latest() - touchedAt < every) return false;
    const last = this.#touchedAt.get(id);
    return last === undefined || performance.now() - last >= every;
  }

  /**
   * Records a touch before its reply, so that concurrent requests to each of which a touch is due make one.
   *
   * @returns takes it back
   */
  begin(id: string): () => void {
    const startedAt = performance.now();
    this.#touchedAt.set(id, startedAt);
    return () => {
      if (this.#touchedAt.get(id) === startedAt) this.#touchedAt.delete(id);
    };
  }
}

/** Sessions, about 2 MB: more than a process touches while its slowest request runs. */
const REMEMBERED = 10_000;
