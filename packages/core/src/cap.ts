import type { StoreContext } from "./store-context.ts";
import { endSession } from "./ending.ts";
import { publish } from "./events.ts";
import type { Policy } from "./policy.ts";
import type { SessionRecord } from "./store.ts";
import { isOver } from "./timeouts.ts";

/**
 * Why a login was refused: the user was logged out everywhere after it began, or has as many sessions as
 * `maxPerUser` allows.
 */
export type LoginRefusal = "logged-out-meanwhile" | "too-many-sessions";

/** Limits how many live sessions a user may have. */
export class Cap<Data extends object> {
  readonly #ctx: StoreContext<Data>;
  /** `Infinity`: no cap, and the store is not read. */
  readonly #max: number;
  readonly #rounds = new Map<string, Round>();

  constructor(ctx: StoreContext<Data>) {
    this.#ctx = ctx;
    this.#max = ctx.policy.maxPerUser;
  }

  /** Whether a login may begin: the user has fewer sessions than `maxPerUser`, not counting `id`. */
  async hasRoom(userId: string, id: string | null): Promise<boolean> {
    if (this.#max === Number.POSITIVE_INFINITY) return true;
    const staying = await this.#nextRound(userId, "refuse");
    return staying.size - (id !== null && staying.has(id) ? 1 : 0) < this.#max;
  }

  /**
   * Ends the user's surplus sessions after a login, which may end the login's own session, and publishes
   * whether the user is logged in. If that fails, ends the login's session, because nobody has its token.
   *
   * @param mode `"end-oldest"` ends the sessions that authenticated first, with ties broken by id, so that all
   *   processes agree. `"refuse"` ends this one, unless there is room for it
   * @returns why the login is refused and its session has ended. `null`: the user is logged in
   */
  async admit(userId: string, id: string, mode: Mode): Promise<LoginRefusal | null> {
    const why = await this.#refusal(userId, id, mode);
    if (why === null) publish("logged-in", { id, userId });
    else publish("login-refused", { id, userId, why });
    return why;
  }

  async #refusal(userId: string, id: string, mode: Mode): Promise<LoginRefusal | null> {
    if (this.#max === Number.POSITIVE_INFINITY) return null;
    try {
      const staying = await this.#nextRound(userId, mode, id);
      if (staying.has(id)) return null;
      // A cap, in this process or another, leaves `maxPerUser` sessions.
      return staying.size < this.#max ? "logged-out-meanwhile" : "too-many-sessions";
    } catch (error) {
      await endSession(this.#ctx.store, { id, userId }, "cap").catch(() => undefined);
      throw error;
    }
  }

  /**
   * Returns the ids that a round leaves. The round begins after this call, and serves all calls that wait for
   * it.
   *
   * @param login the id of a login that asks whether it may stay
   */
  #nextRound(userId: string, mode: Mode, login?: string): Promise<ReadonlySet<string>> {
    const key = `${mode} ${userId}`;
    const logins = login === undefined ? [] : [login];
    const round = this.#rounds.get(key);
    if (!round) return this.#begin(key, userId, mode, logins);
    round.waiting.push(...logins);
    return (round.next ??= round.running
      .catch(() => undefined)
      .then(() => this.#begin(key, userId, mode, round.waiting)));
  }

  #begin(key: string, userId: string, mode: Mode, logins: readonly string[]): Promise<ReadonlySet<string>> {
    const round: Round = { running: this.#endSurplus(userId, mode, logins), next: undefined, waiting: [] };
    this.#rounds.set(key, round);
    const forget = (): void => {
      if (!round.next) this.#rounds.delete(key);
    };
    round.running.then(forget, forget);
    return round.running;
  }

  /**
   * Ends the user's surplus sessions, and returns the ids of the others.
   *
   * `"refuse"` ends only sessions of `logins`. The order of all sessions cannot decide there: a login that
   * another process has just accepted may come after one that is not stored yet. So of logins in several
   * processes, more than necessary may be refused, and never too few.
   */
  async #endSurplus(userId: string, mode: Mode, logins: readonly string[]): Promise<ReadonlySet<string>> {
    const { store, envelopes, clock } = this.#ctx;
    await clock.ready();
    const sessions = (await store.listUser(userId))
      .filter((record) => {
        const sealed = envelopes.read(record);
        return !sealed || !(sealed.head.isHidden || isOver(this.#ctx, sealed));
      })
      .toSorted(byLogin);
    const asking = new Set(logins);
    const candidates =
      mode === "end-oldest" ? sessions : sessions.filter(({ id }) => asking.has(id)).toReversed();
    const ending = candidates.slice(0, Math.max(0, sessions.length - this.#max));
    await Promise.all(ending.map((record) => endSession(store, record, "cap")));
    const staying = new Set(sessions.map(({ id }) => id));
    for (const { id } of ending) staying.delete(id);
    return staying;
  }
}

type Mode = Policy<never>["onCap"];

interface Round {
  readonly running: Promise<ReadonlySet<string>>;
  next: Promise<ReadonlySet<string>> | undefined;
  /** The logins that the next round serves. */
  readonly waiting: string[];
}

function byLogin(a: SessionRecord, b: SessionRecord): number {
  return (a.authenticatedAt ?? 0) - (b.authenticatedAt ?? 0) || (a.id < b.id ? -1 : 1);
}
