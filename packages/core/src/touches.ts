import { boundedMap } from "./bounded-map.ts";
import { StoreClock } from "./clock.ts";
import type { SessionRecord } from "./store.ts";

/** When a touch is due, by the store's clock and by what this process touched itself. */
export class Touches {
  readonly #clock: StoreClock;
  readonly #touchEvery: number;
  /** When this process last touched a session, of `performance.now()`. */
  readonly #touchedAt = boundedMap<number>(REMEMBERED);

  /**
   * @param now the store's clock
   * @param touchEvery milliseconds
   */
  constructor(now: () => Promise<number>, touchEvery: number) {
    this.#clock = new StoreClock(now, Math.min(60_000, touchEvery));
    this.#touchEvery = touchEvery;
  }

  /** As {@link StoreClock.ready}. */
  ready(): Promise<void> | undefined {
    return this.#clock.ready();
  }

  isDue({ id, touchedAt, idle }: SessionRecord): boolean {
    const every = Math.min(this.#touchEvery, Math.floor(idle / 4));
    // The store's clock may never have been sampled (NaN): then a touch is due.
    if (this.#clock.latest() - touchedAt < every) return false;
    const last = this.#touchedAt.get(id);
    return last === undefined || performance.now() - last >= every;
  }

  /**
   * A touch begins, and counts before it is answered: requests side by side, to each of which a touch is due, make one.
   * Answers what takes it back.
   */
  begin(id: string): () => void {
    const startedAt = performance.now();
    this.#touchedAt.set(id, startedAt);
    return () => {
      if (this.#touchedAt.get(id) === startedAt) this.#touchedAt.delete(id);
    };
  }

  /** A record after a use that succeeded just now. */
  used(record: SessionRecord): SessionRecord {
    const touchedAt = Math.max(record.touchedAt, this.now());
    return { ...record, touchedAt, expiresAt: Math.min(touchedAt + record.idle, record.endsAt) };
  }

  /** The store's clock as this process estimates it, whole milliseconds, rather early than late. */
  now(): number {
    return Math.floor(this.#clock.earliest());
  }

  hasExpired({ expiresAt }: SessionRecord): boolean {
    return this.#clock.latest() >= expiresAt;
  }
}

/** Sessions, some 10 MB: more than a process touches while its slowest request runs. */
const REMEMBERED = 50_000;
