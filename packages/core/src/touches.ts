import type { StoreContext } from "./store-context.ts";
import { publish } from "./events.ts";
import type { Policy } from "./policy.ts";
import { LoadedSession, type Session } from "./session.ts";
import { StoredSession } from "./envelope.ts";
import { isOver, publishIfExpired, unlessOver } from "./timeouts.ts";

/**
 * Restarts idle timeouts, at most once per `touchEvery`. Decides by the store's clock and by this process's
 * own touches.
 */
export class Touches<Data extends object> {
  readonly #ctx: StoreContext<Data>;
  /**
   * When this process last touched a session, by the store's clock: its own may stand still while the machine
   * sleeps.
   */
  readonly #touchedAt = new Map<string, number>();

  constructor(ctx: StoreContext<Data>) {
    this.#ctx = ctx;
  }

  /** As `Sessions.touch`. `undefined`: no touch is due. */
  ifDue(session: Session<Data>): Promise<Session<Data> | null> | undefined {
    // Check now: in the background this would be an unhandled rejection.
    LoadedSession.storedOf(session);
    const { clock } = this.#ctx;
    const sampling = clock.ready();
    if (sampling) return sampling.then(() => this.#ifDueNow(session) ?? session);
    const touching = this.#ifDueNow(session);
    // After a suspension of this machine, the estimated clock is behind: decide again once it is renewed.
    if (!touching) void clock.renewing()?.then(() => this.#ifDueNow(session));
    return touching;
  }

  #ifDueNow(session: Session<Data>): Promise<Session<Data> | null> | undefined {
    const { policy, clock } = this.#ctx;
    const every = touchInterval(policy, session.idle);
    // NaN if the store's clock was never sampled: then a touch is due.
    const now = clock.latest();
    if (now - session.touchedAt < every) return undefined;
    const last = this.#touchedAt.get(session.id);
    return last !== undefined && now - last < every ? undefined : this.#touch(session);
  }

  async #touch(session: Session<Data>): Promise<Session<Data> | null> {
    const { clock, policy, store } = this.#ctx;
    const seen = LoadedSession.storedOf(session);
    if (isOver(this.#ctx, seen)) {
      // Another request may have used the session since.
      const stored = await unlessOver(this.#ctx, seen);
      const next = stored && new LoadedSession(stored, session.data, policy);
      if (next) return this.ifDue(next) ?? next;
      publishIfExpired(clock, seen.record);
      return null;
    }
    const { record, head, payload } = seen;
    const { idle } = session;
    const startedAt = clock.latest();
    // Before the reply, so that concurrent requests make only one touch. Only requests that have read the
    // session before the touch need the entry: clearing all costs them one more touch.
    if (this.#touchedAt.size >= REMEMBERED) this.#touchedAt.clear();
    this.#touchedAt.set(record.id, startedAt);
    try {
      const result = await store.update(record.id, idle === record.idle ? {} : { idle });
      if (result === "updated") {
        const touchedAt = Math.max(record.touchedAt, Math.floor(clock.earliest()));
        const expiresAt = Math.min(touchedAt + idle, record.endsAt);
        const touched = new StoredSession({ ...record, idle, touchedAt, expiresAt }, head, payload);
        return new LoadedSession(touched, session.data, policy);
      }
    } catch (error) {
      if (this.#touchedAt.get(record.id) === startedAt) this.#touchedAt.delete(record.id);
      publish("touch-failed", { id: record.id, userId: record.userId, error });
      return session;
    }
    publishIfExpired(clock, record);
    return null;
  }
}

/** Returns the shortest time between two touches of a session with this idle timeout, milliseconds. */
export function touchInterval({ touchEvery }: Pick<Policy<never>, "touchEvery">, idle: number): number {
  return Math.min(touchEvery, Math.floor(idle / 4));
}

/** Sessions, about 2 MB. */
const REMEMBERED = 10_000;
