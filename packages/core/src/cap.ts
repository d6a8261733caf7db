import type { Base } from "./base.ts";
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
  readonly #ctx: Base<Data>;
  /** `Infinity`: no cap, and the store is not read. */
  readonly #max: number;
  readonly #rounds = new Map<string, Round>();

  constructor(ctx: Base<Data>) {
    this.#ctx = ctx;
    this.#max = Math.floor(ctx.policy.maxPerUser);
  }

  /** Whether a login may begin: the user has fewer sessions than `maxPerUser`, not counting `id`. */
  async hasRoom(userId: string, id: string | null): Promise<boolean> {
    if (this.#max === Number.POSITIVE_INFINITY) return true;
    const { staying } = await this.#nextRound(userId, "refuse");
    return staying.size - (id !== null && staying.has(id) ? 1 : 0) < this.#max;
  }

  /**
   * Ends the user's surplus sessions after a login, which may end the login's own session, and publishes
   * whether the user is logged in. If that fails, ends the login's session, because nobody has its token.
   *
   * @param mode `"end-oldest"` ends the sessions that authenticated first. `"refuse"` ends this one, if it is
   *   among the surplus that authenticated last. Ties are broken by id, so that all processes agree
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
      const { staying, surplus } = await this.#nextRound(userId, mode);
      if (staying.has(id)) return null;
      if (mode === "refuse" && surplus.has(id)) await endSession(this.#ctx.store, { id, userId }, "cap");
      // A cap, in this process or another, leaves `maxPerUser` sessions.
      return staying.size < this.#max ? "logged-out-meanwhile" : "too-many-sessions";
    } catch (error) {
      await endSession(this.#ctx.store, { id, userId }, "cap").catch(() => undefined);
      throw error;
    }
  }

  /** The result of a round that begins after this call. A round serves all logins that wait for it. */
  #nextRound(userId: string, mode: Mode): Promise<Sorted> {
    const key = `${mode} ${userId}`;
    const round = this.#rounds.get(key);
    if (!round) return this.#begin(key, userId, mode);
    return (round.next ??= round.running.catch(() => undefined).then(() => this.#begin(key, userId, mode)));
  }

  #begin(key: string, userId: string, mode: Mode): Promise<Sorted> {
    const round: Round = { running: this.#sort(userId, mode), next: undefined };
    this.#rounds.set(key, round);
    const forget = (): void => {
      if (!round.next) this.#rounds.delete(key);
    };
    round.running.then(forget, forget);
    return round.running;
  }

  async #sort(userId: string, mode: Mode): Promise<Sorted> {
    const { store, envelopes, clock } = this.#ctx;
    await clock.ready();
    const sessions = (await store.listUser(userId))
      .filter((record) => {
        const sealed = envelopes.read(record);
        return !sealed || !(sealed.head.isHidden || isOver(this.#ctx, sealed));
      })
      .toSorted(byLogin);
    const tooMany = Math.max(0, sessions.length - this.#max);
    const surplus = sessions.splice(mode === "end-oldest" ? 0 : sessions.length - tooMany, tooMany);
    if (mode === "end-oldest") await Promise.all(surplus.map((record) => endSession(store, record, "cap")));
    return { staying: idsOf(sessions), surplus: idsOf(surplus) };
  }
}

type Mode = Policy<never>["onCap"];

interface Round {
  readonly running: Promise<Sorted>;
  next: Promise<Sorted> | undefined;
}

interface Sorted {
  readonly staying: ReadonlySet<string>;
  readonly surplus: ReadonlySet<string>;
}

function idsOf(sessions: readonly SessionRecord[]): ReadonlySet<string> {
  return new Set(sessions.map(({ id }) => id));
}

function byLogin(a: SessionRecord, b: SessionRecord): number {
  return (a.authenticatedAt ?? 0) - (b.authenticatedAt ?? 0) || (a.id < b.id ? -1 : 1);
}
