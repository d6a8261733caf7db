import type { StoreClock } from "./clock.ts";
import type { SessionFacts } from "./session.ts";

/** Decides when a touch is due, by the store's clock and by this process's own touches. */
export class Touches {
  readonly #clock: StoreClock;
  readonly #touchEvery: number;
  /**
   * When this process last touched a session, by the store's clock: its own may stand still while the machine
   * sleeps.
   */
  readonly #touchedAt = new Map<string, number>();

  /** @param touchEvery milliseconds */
  constructor(clock: StoreClock, touchEvery: number) {
    this.#clock = clock;
    this.#touchEvery = touchEvery;
  }

  isDue({ id, touchedAt, idle }: Pick<SessionFacts, "id" | "touchedAt" | "idle">): boolean {
    const every = Math.min(this.#touchEvery, Math.floor(idle / 4));
    // NaN if the store's clock was never sampled: then a touch is due.
    const now = this.#clock.latest();
    if (now - touchedAt < every) return false;
    const last = this.#touchedAt.get(id);
    return last === undefined || !(now - last < every);
  }

  /**
   * Records a touch before its reply, so that concurrent requests make only one.
   *
   * @returns a function that takes it back
   */
  begin(id: string): () => void {
    const startedAt = this.#clock.latest();
    // Only requests that have read the session before the touch need the entry. Clearing all costs them one
    // more touch.
    if (this.#touchedAt.size >= REMEMBERED) this.#touchedAt.clear();
    this.#touchedAt.set(id, startedAt);
    return () => {
      if (this.#touchedAt.get(id) === startedAt) this.#touchedAt.delete(id);
    };
  }
}

/** Sessions, about 2 MB. */
const REMEMBERED = 10_000;
