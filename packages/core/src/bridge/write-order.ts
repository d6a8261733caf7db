/**
 * Runs the writes of one request's session one after another: frameworks save one session object several
 * times without waiting, and the last save must win.
 */
export class WriteOrder {
  /** What the next write waits for. Never rejects. */
  #last: Promise<unknown> | undefined;
  #pending = 0;

  /** Whether no write waits or runs. */
  get isIdle(): boolean {
    return this.#pending === 0;
  }

  /** Runs a write when those before it have settled. */
  run<Result>(write: () => Promise<Result>): Promise<Result> {
    this.#pending += 1;
    const started = this.#last ? this.#last.then(write) : write();
    const settle = (): void => void (this.#pending -= 1);
    this.#last = started.then(settle, settle);
    return started;
  }

  /** Lets the next write wait for work that is not a write. It must not reject. */
  waitFor(work: Promise<unknown> | undefined): void {
    this.#last = work;
  }
}
