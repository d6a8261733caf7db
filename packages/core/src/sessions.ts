import { boundedMap } from "./bounded-map.ts";
import { StoreClock } from "./clock.ts";
import { type Duration, parseDuration } from "./duration.ts";
import { StoreError } from "./errors.ts";
import { publish, type RevokeReason } from "./events.ts";
import { applyChanges, changesBetween, type DataChanges, isEmpty } from "./merge.ts";
import { type Policy, policyOf, type SessionsOptions } from "./policy.ts";
import { reportFailures } from "./reporting.ts";
import { recordOf, RETIRED, type Session, toSession } from "./session.ts";
import type { SessionRecord, SessionStore } from "./store.ts";
import { idOf, isToken, maxBitsOf, newToken } from "./token.ts";
import { type UserId, userIdOf, userIdOrNull } from "./user.ts";

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
  readonly #clock: StoreClock;
  /** When this process last touched a session, of `performance.now()`. */
  readonly #touchedAt = boundedMap<number>(REMEMBERED);

  /** @throws TypeError naming the option that is wrong */
  constructor(options: SessionsOptions<Data>) {
    this.policy = policyOf(options);
    this.#store = reportFailures(options.store);
    this.#clock = new StoreClock(() => this.#store.now(), Math.min(60_000, this.policy.touchEvery));
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
    const settling = this.#clock.ready();
    const record = await this.#read(id);
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
    const idle = this.#idleFor(settings.idle) ?? record.idle;
    await this.#clock.ready();
    if (idle === record.idle && !this.#touchIsDue(record)) return session;
    const startedAt = performance.now();
    // Before the answer: requests side by side, to each of which a touch is due, make one.
    this.#touchedAt.set(record.id, startedAt);
    try {
      const changes = idle === record.idle ? {} : { idle };
      const result = await this.#store.update(record.id, changes);
      if (result === "updated") return this.#toSession(this.#used({ ...record, idle }), session.data);
    } catch (error) {
      if (this.#touchedAt.get(record.id) === startedAt) this.#touchedAt.delete(record.id);
      publish("touch-failed", { id: record.id, userId: record.userId, error });
      return session;
    }
    this.#tellExpired(record);
    return null;
  }

  /** Whether `touch` would ask the store now. */
  touchIsDue(session: Session<Data>): boolean {
    return this.#clock.ready() !== undefined || this.#touchIsDue(recordOf(session));
  }

  /**
   * Saves what the caller changed: the top-level keys by which `data` differs from what it saw. Others' changes to other
   * keys stay; for the same key the later save wins. Answers the session as it is stored now, others' changes included,
   * or `null`: it died meanwhile, and nothing was written. A save that changes nothing is a touch that always asks.
   */
  async save(
    session: Session<Data>,
    data: Data,
    settings: SaveSettings<Data> = {},
  ): Promise<Session<Data> | null> {
    let record = recordOf(session);
    const wanted = this.#encode(data, record);
    const seen = settings.seen === undefined ? record.data : this.#encode(settings.seen, record);
    const changes = wanted === seen ? NO_CHANGES : changesBetween(this.policy.codec, seen, wanted);
    const idle = this.#idleFor(settings.idle);
    for (let attempt = 1; ; attempt += 1) {
      const merged = this.#merge(record, seen, wanted, changes);
      const userId = this.#userIdFor(settings.userId, merged);
      const next = {
        ...(isEmpty(changes) ? {} : { data: merged }),
        ...(userId === undefined || userId === record.userId ? {} : { userId }),
        ...(idle === undefined || idle === record.idle ? {} : { idle }),
      };
      if (Object.keys(next).length === 0) return this.#stillAlive(record);
      const { id, version } = record;
      const result = await this.#store.update(id, { ...next, ifVersion: version });
      if (result === "updated") {
        const { userId: before } = record;
        const grown = next.data !== undefined || next.userId !== undefined ? 1 : 0;
        const saved = this.#used({ ...record, ...next, version: version + grown });
        if (attempt > 1) publish("conflict-merged", { id, userId: saved.userId });
        if (saved.userId !== before) await this.#enforceCap(saved.userId, id);
        return this.#toSession(saved);
      }
      const stored = result === "gone" ? null : await this.#read(id);
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
   */
  async rotate(token: string, settings: SessionSettings = {}): Promise<Created<Data> | null> {
    const oldId = this.idOf(token);
    if (oldId === null) return null;
    const old = await this.#read(oldId);
    if (!old) return null;
    const next = newToken();
    const id = idOf(next);
    const idle = this.#idleFor(settings.idle) ?? old.idle;
    const { createdAt, endsAt, data } = old;
    const userId = this.#successorOf(old, settings.userId);
    const successor = { id, userId, data, idle, lifetime: endsAt - createdAt, createdAt };
    if (!(await this.#store.create(successor))) return null;
    let bound: SessionRecord | null;
    try {
      bound = await this.#retire({ ...old, ...successor, version: 1 }, old, settings.userId);
      if (!bound || !(await this.#store.revoke(oldId))) {
        await this.#revoke(id, userId, "lost-rotation");
        return null;
      }
    } catch (error) {
      // Nobody holds the new token; still, it is not left behind if that can be helped.
      await this.#revoke(id, userId, "lost-rotation").catch(() => undefined);
      throw error;
    }
    publish("rotated", { id, userId: bound.userId, from: oldId });
    publish("revoked", { id: oldId, userId: old.userId, why: "rotation", count: 1 });
    await this.#enforceCap(bound.userId, id);
    return { token: next, session: this.#toSession(this.#used(bound)) };
  }

  /** Logs out: ends the session of a token. `true`: it was alive. */
  async revoke(token: string): Promise<boolean> {
    const id = this.idOf(token);
    return id !== null && this.#revoke(id, null, "logout");
  }

  /**
   * Ends a session by its id, as a "your devices" page shows it (ASVS 5.0 7.5.2). `true`: it was alive.
   *
   * @param options `userId`: end it only if it is this user's. Give it wherever the id comes from a client.
   */
  async revokeById(id: string, options: { readonly userId?: UserId } = {}): Promise<boolean> {
    if (options.userId === undefined) return this.#revoke(id, null, "id");
    const userId = userIdOf(options.userId);
    const record = await this.#read(id);
    return record?.userId === userId && this.#revoke(id, userId, "id");
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
    const userId = userIdOf(user);
    const except =
      options.exceptToken === undefined ? options.exceptId : (this.idOf(options.exceptToken) ?? undefined);
    const startedAt = await this.#store.now();
    let count = 0;
    for (let pass = 1; ; pass += 1) {
      count += await this.#store.revokeUser(userId, except === undefined ? {} : { except });
      // A rotation under way may have put a successor where the store had looked before. It keeps the creation of the
      // session that it continues, which tells it from a login that came after this call.
      const left = await this.#list(userId);
      if (!left.some((record) => record.id !== except && record.createdAt <= startedAt)) break;
      if (pass >= MAX_ATTEMPTS)
        throw new StoreError("revokeUser", "this user's sessions keep being rotated: call it again");
    }
    publish("revoked", { id: null, userId, why: "user", count });
    return count;
  }

  /** Ends every session of everyone (ASVS 5.0 7.4.5). Reads them all: minutes where there are millions. */
  async revokeEveryone(): Promise<number> {
    const startedAt = await this.#store.now();
    let count = 0;
    for (let found = 1; found > 0;) {
      found = 0;
      for await (const batch of batches(this.#store.scan(), 100)) {
        const ending = batch.filter((record) => record.createdAt <= startedAt);
        const ended = await Promise.all(ending.map(({ id, userId }) => this.#revoke(id, userId, "everyone")));
        found += ending.length;
        count += ended.filter(Boolean).length;
      }
    }
    return count;
  }

  /** The live sessions of a user, oldest first, for a "your devices" page. */
  async listForUser(user: UserId): Promise<Session<Data>[]> {
    return (await this.#list(userIdOf(user))).map((record) => this.#toSession(record));
  }

  /** Every live session, in any order, for counting and audit. Reads them all. */
  async *all(): AsyncIterable<Session<Data>> {
    for await (const record of this.#store.scan()) {
      if (record.data !== RETIRED) yield this.#toSession(record);
    }
  }

  async #create(token: string, data: Data, settings: NewSessionSettings): Promise<Session<Data> | null> {
    const id = idOf(token);
    const text = this.#encode(data, { id, userId: null });
    const userId = this.#userIdFor(settings.userId, text) ?? null;
    const idle = this.#idleFor(settings.idle) ?? this.policy.idleTimeout;
    const lifetime = this.#limit("lifetime", settings.lifetime, this.policy.lifetime) ?? this.policy.lifetime;
    await this.#clock.ready();
    const created = await this.#store.create({ id, userId, data: text, idle, lifetime });
    if (!created) return null;
    publish("created", { id, userId });
    await this.#enforceCap(userId);
    const now = Math.floor(this.#clock.earliest());
    const times = {
      createdAt: now,
      touchedAt: now,
      expiresAt: now + Math.min(idle, lifetime),
      endsAt: now + lifetime,
    };
    return this.#toSession({ id, userId, data: text, version: 1, idle, ...times });
  }

  /**
   * Takes a session out of use in favour of its successor, in one conditional update: of two rotations one wins, and no save
   * that was acknowledged is lost between the reading of the data and the end of the session. Answers the successor as it
   * is stored now. `null`: the old session died, or another rotation won.
   */
  async #retire(
    successor: SessionRecord,
    old: SessionRecord,
    user: UserId | null | undefined,
  ): Promise<SessionRecord | null> {
    const { id } = successor;
    for (;;) {
      const result = await this.#store.update(old.id, { data: RETIRED, ifVersion: old.version });
      if (result === "updated") return successor;
      const saved = result === "gone" ? null : await this.#read(old.id);
      if (!saved) return null;
      const changes = { data: saved.data, userId: this.#successorOf(saved, user) };
      if ((await this.#store.update(id, changes)) !== "updated") return null;
      successor = { ...successor, ...changes, version: successor.version + 1 };
      old = saved;
    }
  }

  /** Whose the successor of a session is. */
  #successorOf(old: SessionRecord, given: UserId | null | undefined): string | null {
    const userId = this.#userIdFor(given, old.data);
    return userId === undefined ? old.userId : userId;
  }

  /**
   * The oldest go. Of concurrent logins the last one to look sees them all, and all judge by the same order, so that they
   * agree on who stays.
   *
   * @param login a session that is older than its login, which is therefore not to go by its creation
   */
  async #enforceCap(userId: string | null, login?: string): Promise<void> {
    if (userId === null || this.policy.maxPerUser === Number.POSITIVE_INFINITY) return;
    const alive = await this.#list(userId);
    const oldestFirst = [
      ...alive.filter(({ id }) => id !== login),
      ...alive.filter(({ id }) => id === login),
    ];
    const tooMany = oldestFirst.slice(0, Math.max(0, alive.length - this.policy.maxPerUser));
    await Promise.all(tooMany.map(({ id }) => this.#revoke(id, userId, "cap")));
  }

  async #revoke(id: string, userId: string | null, why: RevokeReason): Promise<boolean> {
    const ended = await this.#store.revoke(id);
    if (ended) publish("revoked", { id, userId, why, count: 1 });
    return ended;
  }

  async #read(id: string): Promise<SessionRecord | null> {
    const record = await this.#store.read(id);
    return !record || record.data === RETIRED ? null : record;
  }

  /** Oldest first; ties by id, so that concurrent caps end the same sessions. */
  async #list(userId: string): Promise<SessionRecord[]> {
    const records = await this.#store.listUser(userId);
    return records
      .filter(({ data }) => data !== RETIRED)
      .toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }

  /** What is to be stored: the caller's changes made to what is stored. */
  #merge(stored: SessionRecord, seen: string, wanted: string, changes: DataChanges): string {
    if (isEmpty(changes)) return stored.data;
    if (stored.data === seen) return wanted;
    const merged = applyChanges(this.policy.codec, stored.data, changes);
    this.#assertSize(merged, stored);
    return merged;
  }

  /** For a save that changes nothing. */
  async #stillAlive(record: SessionRecord): Promise<Session<Data> | null> {
    await this.#clock.ready();
    if (this.#touchIsDue(record)) return this.touch(this.#toSession(record));
    const stored = await this.#read(record.id);
    return stored && this.#toSession(stored);
  }

  #touchIsDue({ id, touchedAt, idle }: SessionRecord): boolean {
    const every = Math.min(this.policy.touchEvery, Math.floor(idle / 4));
    // The store's clock may never have been sampled (NaN): then a touch is due.
    if (this.#clock.latest() - touchedAt < every) return false;
    const last = this.#touchedAt.get(id);
    return last === undefined || performance.now() - last >= every;
  }

  /** A record after a use that succeeded just now. */
  #used(record: SessionRecord): SessionRecord {
    const touchedAt = Math.max(record.touchedAt, Math.floor(this.#clock.earliest()));
    return { ...record, touchedAt, expiresAt: Math.min(touchedAt + record.idle, record.endsAt) };
  }

  #tellExpired({ id, userId, expiresAt }: SessionRecord): void {
    if (this.#clock.latest() >= expiresAt) publish("expired", { id, userId });
  }

  #toSession(record: SessionRecord, data: Data = this.#decode(record.data)): Session<Data> {
    return toSession(record, data);
  }

  #encode(data: Data, { id, userId }: Pick<SessionRecord, "id" | "userId">): string {
    if (typeof data !== "object" || data === null || Array.isArray(data)) {
      throw refusal("session data must be an object with a key for each thing to keep", id, userId);
    }
    const text = this.policy.codec.encode(data);
    if (typeof text !== "string" || text === RETIRED) {
      throw refusal("the codec must encode session data as a string that is not empty", id, userId);
    }
    this.#assertSize(text, { id, userId });
    return text;
  }

  #assertSize(text: string, { id, userId }: Pick<SessionRecord, "id" | "userId">): void {
    const bytes = Buffer.byteLength(text);
    if (bytes <= this.policy.maxDataBytes) return;
    throw refusal(
      `session data of ${bytes} bytes is over the limit of ${this.policy.maxDataBytes}: keep it elsewhere, or raise maxDataBytes`,
      id,
      userId,
    );
  }

  #decode(text: string): Data {
    try {
      return this.policy.codec.decode(text) as Data;
    } catch {
      // No cause: what parsers throw quotes the text.
      throw new StoreError("read", "the stored session data is not of this codec: has the codec changed?");
    }
  }

  /** `undefined`: leave it as it is. */
  #userIdFor(given: UserId | null | undefined, text: string): string | null | undefined {
    if (given !== undefined) return userIdOrNull(given);
    return this.policy.userId ? userIdOrNull(this.policy.userId(this.#decode(text))) : undefined;
  }

  #idleFor(given: Duration | undefined): number | undefined {
    return this.#limit("idle", given, this.policy.idleTimeout);
  }

  #limit(name: string, given: Duration | undefined, policy: number): number | undefined {
    if (given === undefined) return undefined;
    const duration = parseDuration(name, given);
    return this.policy.mayLengthen ? duration : Math.min(duration, policy);
  }
}

/** Sessions, some 10 MB: more than a process touches while its slowest request runs. */
const REMEMBERED = 50_000;

/** More rounds than requests of one browser meet; past this something else is wrong. */
const MAX_ATTEMPTS = 1000;

const NO_CHANGES: DataChanges = { set: new Map(), deleted: new Set() };

function refusal(why: string, id: string | null = null, userId: string | null = null): TypeError {
  publish("refused", { id, userId, why });
  return new TypeError(why);
}

async function* batches<Item>(items: AsyncIterable<Item>, size: number): AsyncIterable<Item[]> {
  let batch: Item[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
