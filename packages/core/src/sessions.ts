import { MAX_ATTEMPTS } from "./attempts.ts";
import { Cap } from "./cap.ts";
import type { Duration } from "./duration.ts";
import { Encoding } from "./encoding.ts";
import { StoreError } from "./errors.ts";
import { isHeard, publish, type RevokeReason } from "./events.ts";
import { endAllOf, endEveryone } from "./log-out-everywhere.ts";
import { applyChanges, changesBetween, type DataChanges, isEmpty, NO_CHANGES } from "./merge.ts";
import { type Policy, policyOf, type SessionsOptions } from "./policy.ts";
import { refusal } from "./refusal.ts";
import { reportFailures } from "./reporting.ts";
import { isInUse, listInUse, readInUse } from "./retired.ts";
import { succeed } from "./rotation.ts";
import { recordOf, type Session, toSession } from "./session.ts";
import type { SessionRecord, SessionStore } from "./store.ts";
import { Terms } from "./terms.ts";
import { idOf, isId, isToken, maxBitsOf, newToken } from "./token.ts";
import { Touches } from "./touches.ts";
import type { UserId } from "./user.ts";

export interface SessionSettings {
  /** Whose it is, from now on; `null` is nobody. Default: what the option `userId` tells, else as it was. */
  readonly userId?: UserId | null;
  /** This session's own idle timeout. Longer than the policy's only with `mayLengthen`. */
  readonly idle?: Duration;
}

export interface NewSessionSettings extends SessionSettings {
  /** This session's own lifetime. Longer than the policy's only with `mayLengthen`. Nothing changes it later. */
  readonly lifetime?: Duration;
}

export interface SaveSettings<Data extends object> extends SessionSettings {
  /**
   * What the caller's change is to be told from, where that is not the session's own data as it was answered: after a
   * merge, a request that goes on with its own copy saw less than what is stored. Absent: the data of `session`.
   */
  readonly seen?: Data;
}

export interface Created<Data extends object> {
  /** The secret for the browser's cookie. It is answered here and never again. */
  readonly token: string;
  readonly session: Session<Data>;
}

/**
 * Sessions over any store: tokens, timeouts, merging, rotation, caps and events.
 *
 * What is dead, unknown or expired is `null` or `false`. Every call rejects with a `StoreError` when the backend fails, and
 * with a `TypeError`, before anything is written, for what the caller can mend.
 */
export class Sessions<Data extends object = Record<string, unknown>> {
  /** What the options came to, durations in milliseconds. */
  readonly policy: Policy<Data>;
  readonly #store: SessionStore;
  readonly #encoding: Encoding<Data>;
  readonly #terms: Terms<Data>;
  readonly #touches: Touches;
  readonly #cap: Cap;

  /** @throws TypeError naming the option that is wrong */
  constructor(options: SessionsOptions<Data>) {
    this.policy = policyOf(options);
    this.#store = reportFailures(options.store);
    this.#encoding = new Encoding(this.policy.codec, this.policy.maxDataBytes);
    this.#terms = new Terms(this.policy, this.#encoding);
    this.#touches = new Touches(() => this.#store.now(), this.policy.touchEvery);
    this.#cap = new Cap(this.#store, this.policy.maxPerUser, (id, userId) => this.#end(id, userId, "cap"));
  }

  /** A new session and its token. */
  async create(data: Data, settings: NewSessionSettings = {}): Promise<Created<Data>> {
    const token = newToken();
    const session = await this.#create(token, data, settings);
    if (session) return { token, session };
    throw new StoreError(
      "create",
      "the store refused an id of 256 random bits: look for a store that answers false by mistake",
    );
  }

  /**
   * A new session under a token that a framework made. `null`: a session with this token is alive or was revoked, and
   * nothing was written.
   *
   * @throws TypeError for a token with room for fewer than `minTokenBits`
   */
  async createWithToken(
    token: string,
    data: Data,
    settings: NewSessionSettings = {},
  ): Promise<Session<Data> | null> {
    this.assertStrong(token);
    return this.#create(token, data, settings);
  }

  /**
   * Refuses a framework's token that is too weak, before a cookie with it leaves.
   *
   * @throws TypeError
   */
  assertStrong(token: string): void {
    if (!isToken(token)) throw refusal("a token must be a well-formed string of 1 to 1024 characters");
    if (maxBitsOf(token) < this.policy.minTokenBits) {
      throw refusal(
        `a token with room for ${maxBitsOf(token)} random bits is too weak: generate ${this.policy.minTokenBits} or more, as crypto.randomBytes(32) gives`,
      );
    }
  }

  /** The id of a token: its digest. `null` for what can't be a token. */
  idOf(token: string): string | null {
    return isToken(token) ? idOf(token) : null;
  }

  /**
   * The live session of a token, or `null`. This is a use: it restarts the idle timeout when `touchEvery` has passed, and a
   * failure to do so is an event, not an error.
   *
   * @param options `touch: false` where a framework touches in its own time
   */
  async get(token: string, options: { readonly touch?: boolean } = {}): Promise<Session<Data> | null> {
    const id = this.idOf(token);
    if (id === null) return null;
    const settling = this.#touches.ready();
    const record = await readInUse(this.#store, id);
    if (!record) return null;
    if (settling) await settling;
    const session = this.#toSession(record);
    return options.touch === false ? session : this.touch(session);
  }

  /**
   * Restarts the idle timeout, if `touchEvery` has passed since it last was, by whichever request of this process. `null`: the
   * session died meanwhile. Before `touchEvery` has passed the store is not asked and `session` itself is the answer.
   *
   * A backend that fails here is an event, not an error: a touch may be lost.
   */
  async touch(
    session: Session<Data>,
    settings: Pick<SessionSettings, "idle"> = {},
  ): Promise<Session<Data> | null> {
    const record = recordOf(session);
    const idle = this.#terms.idle(settings.idle, record) ?? record.idle;
    await this.#touches.ready();
    if (idle === record.idle && !this.#touches.isDue(record)) return session;
    return this.#touch(record, idle, session);
  }

  /** Whether `touch` would ask the store now, for who can do without waiting for the answer. */
  touchIsDue(session: Session<Data>): boolean {
    return this.#touches.ready() !== undefined || this.#touches.isDue(recordOf(session));
  }

  /**
   * Saves what the caller changed: the top-level keys by which `data` differs from what it saw. Others' changes to other
   * keys stay; for the same key the later save wins. Answers the session as it is stored now, others' changes included,
   * or `null`: it died meanwhile, and nothing was written. A save that changes nothing writes nothing but a touch that is due.
   */
  async save(
    session: Session<Data>,
    data: Data,
    settings: SaveSettings<Data> = {},
  ): Promise<Session<Data> | null> {
    let record = recordOf(session);
    const { userId: before } = record;
    const wanted = this.#encoding.encode(data, record);
    const seen = settings.seen === undefined ? record.data : this.#encoding.encode(settings.seen, record);
    const changes = wanted === seen ? NO_CHANGES : changesBetween(this.policy.codec, seen, wanted);
    const idle = this.#terms.idle(settings.idle, record);
    for (let attempt = 1; ; attempt += 1) {
      const merged = this.#merge(record, seen, wanted, changes);
      const userId = this.#terms.userIdFor(settings.userId, merged, record);
      const next = {
        ...(isEmpty(changes) ? {} : { data: merged }),
        ...(userId === undefined || userId === record.userId ? {} : { userId }),
        ...(idle === undefined || idle === record.idle ? {} : { idle }),
      };
      if (Object.keys(next).length === 0) return this.#stillAlive(record);
      const { id, version } = record;
      const result = await this.#store.update(id, { ...next, ifVersion: version });
      if (result === "updated") {
        const grown = next.data !== undefined || next.userId !== undefined ? 1 : 0;
        const saved = this.#touches.used({ ...record, ...next, version: version + grown });
        if (attempt > 1) publish("conflict-merged", { id, userId: saved.userId });
        if (saved.userId !== before) await this.#cap.enforce(saved.userId, { id });
        return this.#toSession(saved);
      }
      const stored = result === "gone" ? null : await readInUse(this.#store, id);
      if (!stored) {
        publish("late-save-dropped", { id, userId: record.userId });
        this.#tellExpired(record);
        return null;
      }
      if (attempt >= MAX_ATTEMPTS)
        throw new StoreError("update", "too many saves of one session at once: save less often");
      record = stored;
    }
  }

  /**
   * Gives a session a new token: at login and at every change of privilege (ASVS 5.0 7.2.4). The old token is dead; data,
   * creation and end are kept. `null`: the session is dead, or died meanwhile, or another rotation of it won.
   *
   * A backend that fails meanwhile may have ended the session: whoever it was logs in again.
   */
  async rotate(token: string, settings: SessionSettings = {}): Promise<Created<Data> | null> {
    const oldId = this.idOf(token);
    if (oldId === null) return null;
    const next = newToken();
    const id = idOf(next);
    let data: Data | undefined;
    await this.#touches.ready();
    const succession = await succeed(this.#store, [oldId, id], (old) => {
      data = this.#encoding.decode(old.data, old);
      const userId = this.#terms.userIdFor(settings.userId, old.data, old);
      const idle = this.#terms.idle(settings.idle, old) ?? old.idle;
      return { userId: userId === undefined ? old.userId : userId, idle };
    });
    if (!succession) return null;
    const { old, successor } = succession;
    const { userId } = successor;
    publish("rotated", { id, userId, from: oldId });
    publish("revoked", { id: oldId, userId: old.userId, why: "rotation", count: 1 });
    const stays = await this.#cap.admit(id, userId, userId === old.userId ? undefined : { id });
    return stays ? { token: next, session: this.#toSession(this.#touches.used(successor), data) } : null;
  }

  /** Logs out: ends the session of a token. `true`: it was alive. */
  async revoke(token: string): Promise<boolean> {
    const id = this.idOf(token);
    return id !== null && this.#end(id, await this.#ownerIfHeard(id), "logout");
  }

  /**
   * Ends a session by its id, as a "your devices" page shows it (ASVS 5.0 7.5.2). `true`: it was alive.
   *
   * @param options `userId`: end it only if it is this user's. Give it wherever the id comes from a client.
   */
  async revokeById(id: string, options: { readonly userId?: UserId } = {}): Promise<boolean> {
    if (options.userId === undefined) return isId(id) && this.#end(id, await this.#ownerIfHeard(id), "id");
    const userId = this.#terms.userId(options.userId);
    // Also one that is leaving for its successor, which then is not to have it.
    const record = isId(id) ? await this.#store.read(id) : null;
    return record?.userId === userId && this.#end(id, userId, "id");
  }

  /**
   * Logs a user out everywhere (ASVS 5.0 7.4.2, 7.4.3, 7.4.5). Answers how many sessions it ended.
   *
   * @param options the one session to keep, after a change of password: its token, or its id
   */
  async revokeAllForUser(
    user: UserId,
    options: { readonly exceptToken?: string; readonly exceptId?: string } = {},
  ): Promise<number> {
    const userId = this.#terms.userId(user);
    const except =
      options.exceptToken === undefined ? options.exceptId : (this.idOf(options.exceptToken) ?? undefined);
    const count = await endAllOf(this.#store, userId, except);
    if (count > 0) publish("revoked", { id: null, userId, why: "user", count });
    return count;
  }

  /** Ends every session of everyone (ASVS 5.0 7.4.5). Reads them all: minutes where there are millions. */
  async revokeEveryone(): Promise<number> {
    return endEveryone(this.#store, ({ id, userId }) => this.#end(id, userId, "everyone"));
  }

  /** The live sessions of a user, oldest first, for a "your devices" page. */
  async listForUser(user: UserId): Promise<Session<Data>[]> {
    return (await listInUse(this.#store, this.#terms.userId(user))).map((record) => this.#toSession(record));
  }

  /** Every live session, in any order, for counting and audit. Reads them all. */
  async *all(): AsyncIterable<Session<Data>> {
    for await (const record of this.#store.scan()) {
      if (isInUse(record)) yield this.#toSession(record);
    }
  }

  async #create(token: string, data: Data, settings: NewSessionSettings): Promise<Session<Data> | null> {
    const id = idOf(token);
    const about = { id, userId: null };
    const text = this.#encoding.encode(data, about);
    const userId = this.#terms.userIdFor(settings.userId, text, about) ?? null;
    const idle = this.#terms.idle(settings.idle, about) ?? this.policy.idleTimeout;
    const lifetime = this.#terms.lifetime(settings.lifetime, about) ?? this.policy.lifetime;
    await this.#touches.ready();
    const before = await this.#cap.idsOf(userId);
    const created = await this.#store.create({ id, userId, data: text, idle, lifetime });
    if (!created) return null;
    publish("created", { id, userId });
    await this.#cap.admit(id, userId, { id, before });
    const now = this.#touches.now();
    const times = {
      createdAt: now,
      touchedAt: now,
      expiresAt: now + Math.min(idle, lifetime),
      endsAt: now + lifetime,
    };
    return this.#toSession({ id, userId, data: text, version: 1, idle, ...times });
  }

  async #touch(record: SessionRecord, idle: number, session: Session<Data>): Promise<Session<Data> | null> {
    const takeBack = this.#touches.begin(record.id);
    try {
      const result = await this.#store.update(record.id, idle === record.idle ? {} : { idle });
      if (result === "updated") return this.#toSession(this.#touches.used({ ...record, idle }), session.data);
    } catch (error) {
      takeBack();
      publish("touch-failed", { id: record.id, userId: record.userId, error });
      return session;
    }
    this.#tellExpired(record);
    return null;
  }

  async #end(id: string, userId: string | null, why: RevokeReason): Promise<boolean> {
    const ended = await this.#store.revoke(id);
    if (ended) publish("revoked", { id, userId, why, count: 1 });
    return ended;
  }

  /** An audit log is to say who logged out; without one nothing is read. A logout does not wait for a read that works. */
  async #ownerIfHeard(id: string): Promise<string | null> {
    if (!isHeard("revoked")) return null;
    const record = await this.#store.read(id).catch(() => null);
    return record && record.userId;
  }

  /** What is to be stored: the caller's changes made to what is stored. */
  #merge(stored: SessionRecord, seen: string, wanted: string, changes: DataChanges): string {
    if (isEmpty(changes)) return stored.data;
    if (stored.data === seen) return wanted;
    return this.#encoding.encode(applyChanges(this.#encoding.decode(stored.data, stored), changes), stored);
  }

  /** For a save that changes nothing: asks the store in any case, as it is to answer what is stored now. */
  async #stillAlive(record: SessionRecord): Promise<Session<Data> | null> {
    const stored = await readInUse(this.#store, record.id);
    if (stored) return this.touch(this.#toSession(stored));
    this.#tellExpired(record);
    return null;
  }

  #tellExpired(record: SessionRecord): void {
    if (this.#touches.hasExpired(record)) publish("expired", { id: record.id, userId: record.userId });
  }

  #toSession(record: SessionRecord, data: Data = this.#encoding.decode(record.data, record)): Session<Data> {
    return toSession(record, data);
  }
}
