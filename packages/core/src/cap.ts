import { endSession } from "./ending.ts";
import type { Envelopes } from "./envelope.ts";
import type { SessionRecord, SessionStore } from "./store.ts";

export type CapMode = "end-oldest" | "refuse";

/** Whether a session stays. `"too-many"`: the cap ended it. `"gone"`: it has ended otherwise. */
export type Admission = "stays" | "too-many" | "gone";

/** How many sessions a user may have alive. */
export class Cap {
  readonly #store: SessionStore;
  readonly #envelopes: Envelopes;
  readonly #max: number;
  readonly #rounds = new Map<string, Round>();

  /** @param max `Infinity`: no cap, and the store is not asked */
  constructor(store: SessionStore, envelopes: Envelopes, max: number) {
    this.#store = store;
    this.#envelopes = envelopes;
    this.#max = max;
  }

  /** Whether a login may begin: the user has fewer sessions than allowed, besides `id`. */
  async hasRoom(userId: string, id: string | null): Promise<boolean> {
    if (this.#max === Number.POSITIVE_INFINITY) return true;
    const { staying } = await this.#nextRound(userId, "refuse");
    return staying.size - (id !== null && staying.has(id) ? 1 : 0) < this.#max;
  }

  /**
   * Ends the sessions that a user has too many, after a login whose token nobody holds yet. If that fails, the session is ended: its
   * token is lost with the error.
   *
   * @param mode `"end-oldest"` ends those whose user authenticated first, `"refuse"` those that authenticated last; ties by id, so that
   *   all processes agree
   */
  async admit(userId: string, id: string, mode: CapMode): Promise<Admission> {
    if (this.#max === Number.POSITIVE_INFINITY) return "stays";
    try {
      const { staying, ended } = await this.#nextRound(userId, mode);
      return staying.has(id) ? "stays" : ended.has(id) ? "too-many" : "gone";
    } catch (error) {
      await endSession(this.#store, { id, userId }, "cap").catch(() => undefined);
      throw error;
    }
  }

  /** A round that begins after this call. Logins of one user in one process share one list per round. */
  #nextRound(userId: string, mode: CapMode): Promise<Sorted> {
    const key = `${mode} ${userId}`;
    const round = this.#rounds.get(key);
    if (!round) return this.#begin(key, userId, mode);
    return (round.next ??= round.running.catch(() => undefined).then(() => this.#begin(key, userId, mode)));
  }

  #begin(key: string, userId: string, mode: CapMode): Promise<Sorted> {
    const round: Round = { running: this.#sort(userId, mode), next: undefined };
    this.#rounds.set(key, round);
    const forget = (): void => {
      if (!round.next) this.#rounds.delete(key);
    };
    round.running.then(forget, forget);
    return round.running;
  }

  async #sort(userId: string, mode: CapMode): Promise<Sorted> {
    const sessions = (await this.#store.listUser(userId))
      .filter((record) => this.#envelopes.read(record)?.head.isHidden !== true)
      .toSorted(byLogin);
    const tooMany = Math.max(0, sessions.length - this.#max);
    const ending =
      mode === "end-oldest" ? sessions.slice(0, tooMany) : sessions.slice(sessions.length - tooMany);
    const ended = new Set(ending.map(({ id }) => id));
    await Promise.all(ending.map((record) => endSession(this.#store, record, "cap")));
    return { staying: new Set(sessions.map(({ id }) => id).filter((id) => !ended.has(id))), ended };
  }
}

interface Round {
  readonly running: Promise<Sorted>;
  next: Promise<Sorted> | undefined;
}

interface Sorted {
  readonly staying: ReadonlySet<string>;
  readonly ended: ReadonlySet<string>;
}

function byLogin(a: SessionRecord, b: SessionRecord): number {
  return (a.authenticatedAt ?? 0) - (b.authenticatedAt ?? 0) || (a.id < b.id ? -1 : 1);
}
