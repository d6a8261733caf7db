import type { StoreContext } from "./store-context.ts";
import type { DataChange } from "./data-change.ts";
import { type Head, StoredSession } from "./envelope.ts";
import { type GivenTimeouts, headTimeouts, timeoutsOf } from "./timeouts.ts";
import type { SessionChanges } from "./store.ts";
import { makesNewVersion } from "./store/changes.ts";
import { userIdIn } from "./user.ts";

/**
 * A stored session that takes several changes, in order, before one update stores them. Data are encoded
 * once, at the end.
 */
export class Draft<Data extends object> {
  readonly base: StoredSession;
  head: Head;
  userId: string | null;
  /** Milliseconds. */
  idle: number;
  /** Set by a login, which began at this instant or later. */
  authenticatedAt: number | undefined;
  /** Milliseconds. Set by a restart of the lifetime. */
  lifetime: number | undefined;
  /** Whether a change restarts the idle timeout. */
  isUse = false;
  readonly #ctx: StoreContext<Data>;
  /** The payload. `undefined`: `#data` is newer. */
  #text: string | undefined;
  #data: Data | undefined;

  constructor(ctx: StoreContext<Data>, base: StoredSession) {
    this.#ctx = ctx;
    this.base = base;
    this.head = base.head;
    this.userId = base.record.userId;
    // The next change also stores the idle timeout of a shortened policy.
    this.idle = base.head.isHidden ? base.record.idle : timeoutsOf(base, ctx.policy).idle;
    this.#text = base.payload;
  }

  /** Returns the encoded data. */
  text(): string {
    return (this.#text ??= this.#ctx.encoding.encode(this.#data ?? {}, this.base.record));
  }

  /** Returns the decoded data, which are shared: do not change them. `null`: the codec cannot decode them. */
  data(): Data | null {
    this.#data ??= this.#ctx.encoding.decode(this.text(), this.base.record) ?? undefined;
    return this.#data ?? null;
  }

  /** @throws TypeError if the codec cannot decode what it encoded */
  replaceData(text: string): void {
    this.#text = text;
    this.#data = this.#ctx.encoding.decodeOwn(text, this.base.record);
  }

  /** Takes over a caller's decoded data, if their text is the draft's. Returns whether it is. */
  adopt(change: DataChange<Data>): boolean {
    const isUnchanged = this.#text === change.base;
    if (isUnchanged) this.#data ??= change.baseData() ?? undefined;
    return isUnchanged;
  }

  merge(change: DataChange<Data>): void {
    if (this.adopt(change) && change.replaces()) {
      this.#text = change.wanted;
      this.#data = change.wantedData();
    } else if (!change.isEmpty()) {
      this.edit((data) => change.applyTo(data));
    }
  }

  /** @param change returns the new data, or the same object for no change */
  edit(change: (data: Data) => Data): void {
    const data = this.data();
    if (!data) return;
    const changed = change(data);
    if (changed === data) return;
    this.#data = changed;
    this.#text = undefined;
  }

  /**
   * Logs a user in.
   *
   * @param since when the login began, by the store's clock
   */
  bind(userId: string, since: number): void {
    const { previous } = this.head;
    // A token that another user had may have been planted, and must not log this user out.
    if (previous && userId !== this.userId) {
      this.head = { ...this.head, previous: { ...previous, wasUsers: false } };
    }
    this.userId = userId;
    this.authenticatedAt = since;
  }

  /** Restarts the lifetime, for a login. */
  restart(given: GivenTimeouts): void {
    const timeouts = headTimeouts(given, this.#ctx.policy);
    this.head = { ...this.head, ...timeouts, isHidden: false, isLeft: false };
    this.idle = timeouts.idle;
    this.lifetime = timeouts.lifetime;
  }

  userInData(): string | null {
    const data = this.data();
    return data && userIdIn(this.#ctx.policy.userId(data));
  }

  /** Returns the changes for the store. `null`: none, except perhaps a use. */
  changes(): SessionChanges | null {
    const { record, head, payload } = this.base;
    const { envelopes } = this.#ctx;
    const { userId, idle, lifetime, authenticatedAt } = this;
    const text = this.text();
    const hasNewUser = userId !== record.userId;
    const hasNewData = this.head !== head || text !== payload || (hasNewUser && envelopes.bindsUser);
    const next = {
      ...(hasNewData && { data: envelopes.seal({ id: record.id, userId }, this.head, text) }),
      ...(hasNewUser && { userId }),
      ...(idle !== record.idle && { idle }),
      ...(lifetime !== undefined && { lifetime }),
      ...(authenticatedAt !== undefined && { authenticatedAt }),
    };
    if (Object.keys(next).length === 0) return null;
    return { ...next, ...(!this.isUse && { touch: false }), ifVersion: record.version };
  }

  /**
   * Returns the session with these changes stored.
   *
   * @param now the store's clock, estimated
   */
  stored(changes: SessionChanges, now: number): StoredSession {
    const { record } = this.base;
    const { data = record.data } = changes;
    const { userId, idle, lifetime, authenticatedAt = 0 } = this;
    const usedNow = Math.max(record.touchedAt, now);
    const touchedAt = this.isUse ? usedNow : record.touchedAt;
    const endsAt = lifetime === undefined ? record.endsAt : usedNow + lifetime;
    const next = {
      ...record,
      data,
      userId,
      authenticatedAt: userId === null ? null : Math.max(authenticatedAt, record.authenticatedAt ?? 0),
      idle,
      version: record.version + (makesNewVersion(changes) ? 1 : 0),
      touchedAt,
      endsAt,
      expiresAt: Math.min(touchedAt + idle, endsAt),
    };
    return new StoredSession(next, this.head, this.text());
  }
}
