import { listInUse } from "./retired.ts";
import type { SessionRecord, SessionStore } from "./store.ts";

/** A session that logged a user in just now, and is not to go by its creation. */
export interface Login {
  readonly id: string;
  /**
   * The user's sessions before its creation: beside others it does go by that, so that concurrent logins agree on who stays.
   * Absent: it is older than its login.
   */
  readonly before?: ReadonlySet<string>;
}

/** How many sessions a user may have alive. */
export class Cap {
  readonly #store: SessionStore;
  readonly #max: number;
  readonly #end: (id: string, userId: string) => Promise<boolean>;

  /** @param max `Infinity`: no cap, and nothing is asked of the store */
  constructor(store: SessionStore, max: number, end: (id: string, userId: string) => Promise<boolean>) {
    this.#store = store;
    this.#max = max;
    this.#end = end;
  }

  /** For {@link Login.before}. */
  async idsOf(userId: string | null): Promise<ReadonlySet<string>> {
    if (userId === null || this.#max === Number.POSITIVE_INFINITY) return new Set();
    return new Set((await listInUse(this.#store, userId)).map(({ id }) => id));
  }

  /**
   * Makes room for a session that nobody holds the token of yet. `false`: it went itself. Where that fails, it is ended: its
   * token is about to be lost with the error.
   */
  async admit(id: string, userId: string | null, login?: Login): Promise<boolean> {
    if (userId === null) return true;
    try {
      return !(await this.enforce(userId, login)).includes(id);
    } catch (error) {
      await this.#end(id, userId).catch(() => undefined);
      throw error;
    }
  }

  /** Ends the sessions that a user has too many, and answers their ids. */
  async enforce(userId: string | null, login?: Login): Promise<string[]> {
    if (userId === null || this.#max === Number.POSITIVE_INFINITY) return [];
    const ids = (await this.#tooMany(userId, login)).map(({ id }) => id);
    await Promise.all(ids.map((id) => this.#end(id, userId)));
    return ids;
  }

  /**
   * The oldest. Of concurrent logins the last one to look sees them all, and all judge by the same order, so that they agree
   * on who stays.
   *
   * What counts is what two looks in a row both show: it was alive in between, all at once. One look is not taken at one
   * instant, and may show a session that leaves for its successor as well as the successor.
   */
  async #tooMany(userId: string, login: Login | undefined): Promise<readonly SessionRecord[]> {
    const first = await listInUse(this.#store, userId);
    if (first.length <= this.#max) return [];
    const seen = new Set(first.map(({ id }) => id));
    const alive = (await listInUse(this.#store, userId)).filter(({ id }) => seen.has(id));
    return oldestFirst(alive, login).slice(0, Math.max(0, alive.length - this.#max));
  }
}

function oldestFirst(sessions: readonly SessionRecord[], login: Login | undefined): readonly SessionRecord[] {
  const others = sessions.filter(({ id }) => id !== login?.id);
  if (!login || others.some(({ id }) => login.before?.has(id) === false)) return sessions;
  return [...others, ...sessions.filter(({ id }) => id === login.id)];
}
