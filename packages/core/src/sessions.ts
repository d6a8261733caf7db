import { Cap, type LoginRefusal } from "./cap.ts";
import { StoreClock } from "./clock.ts";
import type { Context } from "./context.ts";
import { createUnder } from "./creation.ts";
import { DataChange } from "./data-change.ts";
import { type Duration, parseDuration } from "./duration.ts";
import { isOver, unlessOver } from "./ended-by-policy.ts";
import { endSession } from "./ending.ts";
import { Encoding } from "./encoding.ts";
import { Envelopes, type SealedSession, StoredSession } from "./envelope.ts";
import { ReauthenticationRequired, StoreError } from "./errors.ts";
import { publish, publishRevoked } from "./events.ts";
import { logIn } from "./login.ts";
import { type Look, look } from "./look.ts";
import { type Policy, policyOf, type SessionsOptions } from "./policy.ts";
import { reencrypt, type Reencrypted, type ReencryptOptions } from "./reencryption.ts";
import { NOBODY, refusal, refusing } from "./refusal.ts";
import { reportFailures } from "./reporting.ts";
import { rotate } from "./rotation.ts";
import { admitted, save } from "./save.ts";
import { type ListedSession, LoadedSession, type Session } from "./session.ts";
import type { SessionRecord } from "./store.ts";
import { type GivenTimeouts, ownTimeouts, timeoutsOf } from "./timeouts.ts";
import { digestOf, idOf, isId, isOwnToken, isToken, maxBitsOf, newToken } from "./token.ts";
import { Touches } from "./touches.ts";
import { type UserId, userIdIn, userIdOf } from "./user.ts";
import { Writes } from "./writes.ts";

/** How a session begins. With a user it begins by a login. */
export interface NewSessionSettings extends Pick<LoginSettings, "since" | "idle" | "lifetime"> {
  /** Whose the session is. Default: the user that the data name; `null`: nobody. */
  readonly userId?: UserId | null;
}

/** How a user logs in. */
export interface LoginSettings {
  /** The top-level keys of the data to take over from another user's session: a basket. Default: none. */
  readonly keep?: readonly string[];
  /**
   * When the login began, epoch milliseconds of the store's clock: take it from `sessions.since()` before the password is checked. A user who
   * was logged out everywhere after that is not logged in. Default: now.
   */
  readonly since?: number;
  /** This login's own idle timeout ("remember me"), up to the policy's `maxIdleTimeout`. Default: the policy's. */
  readonly idle?: Duration;
  /** This login's own lifetime, up to the policy's `maxLifetime`. Default: the policy's. */
  readonly lifetime?: Duration;
}

/** A new session, and its token. */
export interface Created<Data extends object> {
  /** The secret for the browser's cookie. It is returned here and never again. */
  readonly token: string;
  readonly session: Session<Data>;
  readonly refused?: undefined;
}

/** A login that was refused. */
export interface Refused {
  /**
   * `"logged-out-meanwhile"`: the user was logged out everywhere after the login began. `"too-many-sessions"`: the user has
   * `maxPerUser` sessions, or as many later logins.
   */
  readonly refused: LoginRefusal;
  readonly token?: undefined;
  readonly session?: undefined;
}

/** A `create` whose data name a user who was logged out everywhere meanwhile, or has too many sessions. */
export class LoginRefused extends Error {
  override readonly name: string = "LoginRefused";
  readonly refused: LoginRefusal;

  constructor(refused: LoginRefusal) {
    super(`the data name a user whose login was refused (${refused}): log users in with logIn`);
    this.refused = refused;
  }
}

/**
 * Sessions over any store: tokens, timeouts, logins, merging, caps and events.
 *
 * What is dead, unknown or expired is `null` or `false`. Every call rejects with a `StoreError` if the backend fails, and with
 * a `TypeError`, before anything is written, for what the caller can correct.
 */
export class Sessions<Data extends object = Record<string, unknown>> {
  /** The options with their defaults, durations in milliseconds. */
  readonly policy: Policy<Data>;
  readonly #ctx: Context<Data>;

  /** @throws TypeError naming the option that is wrong */
  constructor(options: SessionsOptions<Data>) {
    const policy = policyOf(options);
    const store = reportFailures(options.store);
    const encoding = new Encoding<Data>(policy.codec, policy.maxDataBytes);
    const clock = new StoreClock(() => store.now());
    const touches = new Touches(clock, policy.touchEvery);
    const envelopes = new Envelopes(policy.protection);
    const ctx = { policy, store, envelopes, encoding, clock };
    this.policy = policy;
    this.#ctx = { ...ctx, touches, writes: new Writes(ctx), cap: new Cap(ctx) };
  }

  /** For `@tenure/core/bridge`. @throws TypeError for an object of another copy of this package, too */
  static contextOf<Data extends object>(sessions: Sessions<Data>): Context<Data> {
    if (typeof sessions === "object" && sessions !== null && #ctx in sessions) return sessions.#ctx;
    throw new TypeError(
      "sessions is not a Sessions of this @tenure/core: give new Sessions({ store }), and install one copy of @tenure/core",
    );
  }

  /**
   * A new session and its token; with `userId`, a login, which can be refused.
   *
   * @throws LoginRefused if the data alone name a user, and the login is refused
   */
  create(data: Data, settings?: NewSessionSettings & { readonly userId?: null }): Promise<Created<Data>>;
  create(data: Data, settings: NewSessionSettings): Promise<Created<Data> | Refused>;
  async create(data: Data, settings: NewSessionSettings = {}): Promise<Created<Data> | Refused> {
    const token = newToken();
    const created = await this.#create(token, data, settings);
    if (created === "taken") {
      throw new StoreError(
        "create",
        'the store refused an id of 128 random bits: its create returns "taken" by mistake',
      );
    }
    if (typeof created !== "string") return { token, session: created };
    if (settings.userId === undefined) throw new LoginRefused(created);
    return { refused: created };
  }

  /**
   * A new session under a token that a framework made. `null`: a session with this token is alive or was revoked, or its user was logged
   * out everywhere after `since`; nothing was stored.
   *
   * @throws TypeError for a token with room for fewer than `minTokenBits`, and for the id of a live session: an id logs nobody in
   */
  async createWithToken(
    token: string,
    data: Data,
    settings: NewSessionSettings = {},
  ): Promise<Session<Data> | null> {
    this.assertStrong(token);
    if (isId(token) && (await this.#ctx.store.read(token))) {
      throw refusal(
        "this is the id of a session, and an id is no token: change the session itself, or end it with revokeById",
      );
    }
    const created = await this.#create(token, data, settings);
    return typeof created === "string" ? null : created;
  }

  /**
   * Refuses a framework's token that is too weak.
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

  /** The id of the session that a token is for. `null`: it cannot be a token. */
  idOf(token: string): string | null {
    return isToken(token) ? idOf(token) : null;
  }

  /**
   * The live session of a token, or `null`. This is a use: it restarts the idle timeout once `touchEvery` has passed. A failure to
   * do so is the event `touch-failed`.
   *
   * @param options `touch: false`: not a use, for polling
   */
  async get(
    token: string | null | undefined,
    options: { readonly touch?: boolean } = {},
  ): Promise<Session<Data> | null> {
    const found = await look(this.#ctx, token);
    const session = found.state === "live" ? this.#open(found.stored) : null;
    return session && options.touch !== false ? this.touch(session) : session;
  }

  /**
   * Restarts the idle timeout, if `touchEvery` has passed since it last was restarted. `null`: the session is dead. Before `touchEvery`
   * has passed, the store is not asked and `session` is returned.
   *
   * A failure of the backend is the event `touch-failed`, because a touch may be lost.
   *
   * @throws TypeError for a copy of a session
   */
  async touch(session: Session<Data>): Promise<Session<Data> | null> {
    return this.touchIfDue(session) ?? session;
  }

  /** As `touch`. `undefined`: the store is not asked. */
  touchIfDue(session: Session<Data>): Promise<Session<Data> | null> | undefined {
    // Now: in the background it would be an unhandled rejection.
    LoadedSession.storedOf(session);
    const { clock } = this.#ctx;
    const sampling = clock.ready();
    if (sampling) return sampling.then(() => this.#touchIfDueNow(session) ?? session);
    const touching = this.#touchIfDueNow(session);
    // After a suspension of this machine the sample of the store's clock is too early: decide again with the next one.
    if (!touching) void clock.renewing()?.then(() => this.#touchIfDueNow(session));
    return touching;
  }

  /**
   * Whether sessions that were loaded before are still alive and still their user's, for open connections (WebSockets, server-sent events):
   * close those that are not. Not a use. The reads leave together, so a store joins them into few commands.
   *
   * @returns one value per session, in order
   */
  async areLive(sessions: readonly Session<Data>[]): Promise<boolean[]> {
    const { store, envelopes, clock } = this.#ctx;
    await clock.ready();
    return Promise.all(
      sessions.map(async ({ id, userId }) => {
        const record = await store.read(id);
        if (!record || record.userId !== userId) return false;
        const stored = this.#openIfPossible(envelopes.read(record));
        return stored !== null && !isOver(this.#ctx, stored);
      }),
    );
  }

  /**
   * How long the session lives if it is not used, milliseconds, by the store's clock; 0: it has ended. Does not ask the store about the
   * session.
   *
   * @throws StoreError if the store's clock cannot be read
   */
  async timeLeft(session: Session<Data>): Promise<number> {
    const { clock } = this.#ctx;
    await clock.notAfter();
    return Math.max(0, Math.floor(session.expiresAt - clock.latest()));
  }

  /**
   * An instant of the store's clock that is not after now: when a login begins. Give it to `logIn`.
   *
   * @throws StoreError if the store's clock cannot be read
   */
  since(): Promise<number> {
    return this.#ctx.clock.notAfter();
  }

  /**
   * Stores the top-level keys by which `data` differs from the session's data as they were returned. Changes of others to other keys
   * stay; for the same key the later save wins. Returns the session as it is stored, changes of others included, or `null`: the session is
   * dead, or has another user or token, and nothing was stored.
   *
   * @param options `touch: false`: the save is not a use
   */
  async save(
    session: Session<Data>,
    data: Data,
    options: { readonly touch?: boolean } = {},
  ): Promise<Session<Data> | null> {
    const startedAt = performance.now();
    const seen = LoadedSession.storedOf(session);
    const wanted = this.#ctx.encoding.encode(data, seen.record);
    const change = new DataChange(this.#ctx.encoding, seen.record, { base: seen.payload, wanted });
    if (change.isEmpty()) return this.#stillAlive(seen, options);
    const since = await this.#ctx.clock.notAfter(startedAt);
    const saved = await save(this.#ctx, { session: seen, change, since, touch: options.touch });
    if (!saved || saved.payload !== change.wanted) return saved && this.#open(saved);
    const own = change.wantedData();
    return own && new LoadedSession(saved, own, this.policy);
  }

  /**
   * Changes the data as they are stored, for counters and lists. Returns the session as it is stored, or `null` as `save` does.
   *
   * @param change changes the data in place, or returns new data. Synchronous; runs again if another request was faster
   */
  async update(session: Session<Data>, change: (data: Data) => Data | void): Promise<Session<Data> | null> {
    const startedAt = performance.now();
    const { encoding, clock } = this.#ctx;
    const seen = LoadedSession.storedOf(session);
    const saved = await save(this.#ctx, {
      session: seen,
      since: await clock.notAfter(startedAt),
      change(draft) {
        // The draft's own data are shared.
        const own = encoding.decode(draft.text(), seen.record);
        if (!own) return;
        const changed = change(own) ?? own;
        if (changed instanceof Promise) {
          changed.catch(() => undefined);
          throw refusal("the function given to update must be synchronous", seen.record);
        }
        draft.replaceData(encoding.encode(changed, seen.record));
      },
    });
    return saved && this.#open(saved);
  }

  /**
   * Logs a user in who has just authenticated: a new token, the lifetime restarts (OWASP ASVS 5.0 7.2.4). An anonymous session, and one of
   * the same user, go on with their data. Over another user's session a new one begins, with the keys named in `keep`, and the
   * old one ends. Without a live session a new one begins.
   *
   * @param token the request's, or `null`
   */
  async logIn(
    token: string | null | undefined,
    user: UserId,
    settings: LoginSettings = {},
  ): Promise<Created<Data> | Refused> {
    const startedAt = performance.now();
    const userId = this.#userId(user);
    const timeouts = this.#ownTimeouts(settings);
    const since = settings.since ?? (await this.#ctx.clock.notAfter(startedAt));
    const from: Look = await look(this.#ctx, token);
    const result = await logIn(this.#ctx, from, { userId, since, ...timeouts, keep: keysToKeep(settings) });
    if ("refused" in result) return result;
    const session = this.#open(result.stored);
    if (session) return { token: result.token, session };
    throw new StoreError("read", "the codec cannot read what it has encoded");
  }

  /**
   * Gives a session a new token, at a change of privilege (OWASP ASVS 5.0 7.2.4); `logIn` does so by itself. Data, user and times stay.
   * `null`: the session is dead. `"superseded"`: it goes on, and another request has its new token.
   */
  async rotate(token: string): Promise<Created<Data> | "superseded" | null> {
    const found = await look(this.#ctx, token);
    if (found.state === "superseded") return "superseded";
    if (found.state !== "live" || !this.#open(found.stored)) return null;
    const rotated = await rotate(this.#ctx, found.stored);
    if (rotated === null || rotated === "superseded") return rotated;
    const session = this.#open(rotated.stored);
    return session && { token: rotated.token, session };
  }

  /**
   * Logs out: ends the session of a token. `true`: it was alive. A user's token that was replaced by a rotation ends the session, too.
   */
  async revoke(token: string): Promise<boolean> {
    if (!isToken(token)) return false;
    const id = idOf(token);
    const { store } = this.#ctx;
    const record = await store.read(id);
    // Only a framework's token can be used again: ids of our own are random and made once.
    if (!record) return !isOwnToken(token) && endSession(store, { id, userId: null }, "logout");
    const mayLogOut = this.#mayLogOut(record, digestOf(token));
    return mayLogOut && endSession(store, record, "logout");
  }

  /**
   * Ends a session by its id, as a "your devices" page shows it (OWASP ASVS 5.0 7.5.2). `true`: it was alive.
   *
   * @param options `userId`: end it only if it is this user's. Give it wherever the id comes from a client. `actor`: who ends it, for the
   *   event; the user, or an administrator
   */
  async revokeById(
    id: string,
    options: { readonly userId?: UserId; readonly actor?: UserId } = {},
  ): Promise<boolean> {
    const actor = this.#actor(options);
    const { store } = this.#ctx;
    if (!("userId" in options)) {
      if (!isId(id)) return false;
      // Its user is for the event: what cannot be read can be ended all the same.
      const record = await store.read(id).catch(() => null);
      return endSession(store, record ?? { id, userId: null }, "id", actor);
    }
    const userId = this.#userId(options.userId);
    const record = isId(id) ? await store.read(id) : null;
    return record?.userId === userId && endSession(store, record, "id", actor);
  }

  /**
   * Logs a user out everywhere (OWASP ASVS 5.0 7.4.2, 7.4.3, 7.4.5). Once it resolves, every session of the user is dead, and a login that had
   * begun before is refused. Returns how many sessions it ended.
   *
   * @param options `exceptToken`, `exceptId`: the one session to keep, after a change of password. `authenticatedUpTo`: end only
   *   logins up to this instant of the store's clock, for a message that arrives late. `actor`: who logs the user out, for the event; the
   *   user, or an administrator
   */
  async revokeAllForUser(
    user: UserId,
    options: {
      readonly exceptToken?: string;
      readonly exceptId?: string;
      readonly authenticatedUpTo?: number;
      readonly actor?: UserId;
    } = {},
  ): Promise<number> {
    const userId = this.#userId(user);
    const actor = this.#actor(options);
    const { exceptToken, exceptId, authenticatedUpTo } = options;
    const except = exceptToken === undefined ? exceptId : await this.#idOfHolder(exceptToken);
    const count = await this.#ctx.store.revokeUser(userId, {
      ...(except === undefined ? {} : { except }),
      ...(authenticatedUpTo === undefined ? {} : { authenticatedUpTo }),
    });
    publishRevoked({ id: null, userId, why: "user", count, actor });
    // So that a login which begins from here on in this process is dated after the fence.
    await this.#ctx.clock.renew().catch(() => undefined);
    return count;
  }

  /**
   * Ends every session of everyone (OWASP ASVS 5.0 7.4.5) and returns how many. Reads them all: minutes where there are millions. A login
   * that overlaps it can survive: call it again.
   *
   * @param options `actor`: the administrator, for the events
   */
  async revokeEveryone(options: { readonly actor?: UserId } = {}): Promise<number> {
    const actor = this.#actor(options);
    const { store } = this.#ctx;
    let count = 0;
    let found: SessionRecord[] = [];
    const finish = async (): Promise<void> => {
      const ending = found.map((record) => endSession(store, record, "everyone", actor));
      found = [];
      count += (await Promise.all(ending)).filter(Boolean).length;
    };
    try {
      for await (const record of store.scan()) {
        found.push(record);
        if (found.length === 100) await finish();
      }
    } finally {
      // Also if the scan rejects, at its end, for a record that is no session.
      await finish();
    }
    return count;
  }

  /**
   * Stores every session with the first key of `protect`: after a new key, and after the change to `protect` with
   * `acceptPlain`. Can be stopped and started again, runs while logins go on, and extends no session.
   *
   * @returns how many sessions it moved, how many were as they should be, and how many cannot be read
   * @throws StoreError if the backend fails, or a key is missing: start it again
   */
  reencrypt(options: ReencryptOptions = {}): Promise<Reencrypted> {
    return reencrypt(this.#ctx, options);
  }

  /** The live sessions of a user, oldest first, for a "your devices" page. */
  async listForUser(user: UserId): Promise<ListedSession<Data>[]> {
    const records = await this.#ctx.store.listUser(this.#userId(user));
    return records.map((record) => this.#listed(record)).filter((session) => session !== null);
  }

  /** Every live session, in any order, for counting and audit. Reads them all. */
  async *all(): AsyncIterable<ListedSession<Data>> {
    for await (const record of this.#ctx.store.scan()) {
      const session = this.#listed(record);
      if (session) yield session;
    }
  }

  /**
   * Throws unless the user authenticated at most this long ago: before a password is changed, or other devices are ended (OWASP ASVS
   * 5.0 7.5.2).
   *
   * @throws ReauthenticationRequired also if it cannot be known
   */
  requireRecent(session: Session<Data>, within: Duration): void {
    const maxAge = parseDuration("within", within);
    const { clock } = this.#ctx;
    const { authenticatedAt } = session;
    const isKnown = clock.ready() === undefined && authenticatedAt !== null;
    if (isKnown && clock.latest() - authenticatedAt <= maxAge) return;
    throw new ReauthenticationRequired(maxAge);
  }

  async #create(
    token: string,
    data: Data,
    settings: NewSessionSettings,
  ): Promise<Session<Data> | "taken" | LoginRefusal> {
    const startedAt = performance.now();
    const timeouts = this.#ownTimeouts(settings);
    const named = settings.userId === undefined ? this.#userIn(token, data) : settings.userId;
    const userId = named === null ? null : this.#userId(named);
    const since =
      userId === null ? undefined : (settings.since ?? (await this.#ctx.clock.notAfter(startedAt)));
    const created = await createUnder(this.#ctx, token, data, { userId, since, ...timeouts });
    if (created.state === "taken") return "taken";
    if (created.state === "fenced") {
      publish("login-refused", { id: null, userId, why: "logged-out-meanwhile" });
      return "logged-out-meanwhile";
    }
    const { stored } = created;
    if (userId !== null && !(await admitted(this.#ctx, stored, userId))) return "too-many-sessions";
    return this.#open(stored) ?? "taken";
  }

  /** The user whom the data name once they are stored. */
  #userIn(token: string, data: Data): string | null {
    const about = { id: idOf(token), userId: null };
    const stored = this.#ctx.encoding.decode(this.#ctx.encoding.encode(data, about), about);
    return stored && userIdIn(this.policy.userId(stored));
  }

  #touchIfDueNow(session: Session<Data>): Promise<Session<Data> | null> | undefined {
    return this.#ctx.touches.isDue(session) ? this.#touch(session) : undefined;
  }

  async #touch(session: Session<Data>): Promise<Session<Data> | null> {
    const stored = LoadedSession.storedOf(session);
    const { record } = stored;
    const { clock, store, touches } = this.#ctx;
    const { idle } = session;
    if (isOver(this.#ctx, stored)) return this.#touchAgain(stored, session.data);
    const takeBack = touches.begin(record.id);
    try {
      const result = await store.update(record.id, idle === record.idle ? {} : { idle });
      if (result === "updated") {
        const touchedAt = Math.max(record.touchedAt, Math.floor(clock.earliest()));
        const expiresAt = Math.min(touchedAt + idle, record.endsAt);
        const { head, payload } = stored;
        const touched = new StoredSession({ ...record, idle, touchedAt, expiresAt }, head, payload);
        return new LoadedSession(touched, session.data, this.policy);
      }
    } catch (error) {
      takeBack();
      publish("touch-failed", { id: record.id, userId: record.userId, error });
      return session;
    }
    this.#publishExpired(record);
    return null;
  }

  /** Touches a session that a shortened policy has ended, unless another request has used it since it was seen. */
  async #touchAgain(seen: StoredSession, data: Data): Promise<Session<Data> | null> {
    const stored = await unlessOver(this.#ctx, seen);
    if (stored) return this.touch(new LoadedSession(stored, data, this.policy));
    this.#publishExpired(seen.record);
    return null;
  }

  /** For a save that changes nothing: the store is asked, because the result is the session as it is stored now. */
  async #stillAlive(
    seen: StoredSession,
    options: { readonly touch?: boolean },
  ): Promise<Session<Data> | null> {
    const record = await this.#ctx.store.read(seen.record.id);
    const stored = record && this.#ctx.envelopes.openRecord(record);
    const isAsSeen = stored?.head.digest === seen.head.digest && stored.record.userId === seen.record.userId;
    if (!stored || !isAsSeen || isOver(this.#ctx, stored)) {
      this.#publishExpired(seen.record);
      return null;
    }
    const session = this.#open(stored);
    return session && options.touch !== false ? this.touch(session) : session;
  }

  /** The id of the session whose token this is, or was before its last rotation. An id alone proves nothing. */
  async #idOfHolder(token: string): Promise<string | undefined> {
    const found = await look(this.#ctx, token);
    return found.state === "live" || found.state === "superseded" ? found.stored.record.id : undefined;
  }

  /** What cannot be known lets the logout happen. */
  #mayLogOut(record: SessionRecord, digest: string): boolean {
    const { envelopes } = this.#ctx;
    const sealed = envelopes.read(record);
    if (!sealed) return true;
    try {
      const match = envelopes.tokenOf(sealed, digest);
      return match === "current" || (match === "previous" && sealed.head.previous?.wasUsers === true);
    } catch {
      return true;
    }
  }

  #publishExpired({ id, userId, expiresAt }: SessionRecord): void {
    if (this.#ctx.clock.latest() >= expiresAt) publish("expired", { id, userId });
  }

  /** `null`: the codec cannot read it. */
  #open(stored: StoredSession): Session<Data> | null {
    const data = this.#ctx.encoding.decode(stored.payload, stored.record);
    return data && new LoadedSession(stored, data, this.policy);
  }

  /** `null`: it was changed, or its key is missing, which is no reason to show none of the others. */
  #openIfPossible(sealed: SealedSession | null): StoredSession | null {
    try {
      return sealed && this.#ctx.envelopes.open(sealed);
    } catch {
      return null;
    }
  }

  /** `null`: it is not to be listed. */
  #listed(record: SessionRecord): ListedSession<Data> | null {
    const { envelopes } = this.#ctx;
    const sealed = envelopes.read(record);
    if (sealed?.head.isHidden) return null;
    const stored = this.#openIfPossible(sealed);
    if (!stored) {
      publish("unreadable", { id: record.id, userId: record.userId, keyId: sealed?.keyId ?? null });
    } else if (isOver(this.#ctx, stored)) return null;
    const session = stored && this.#open(stored);
    if (session) return session;
    const { version: _version, ...facts } = record;
    return { ...facts, ...(stored && timeoutsOf(stored, this.policy)), data: null };
  }

  #userId(user: UserId): string {
    return refusing(NOBODY, () => userIdOf(user));
  }

  #actor({ actor }: { readonly actor?: UserId }): string | null {
    return actor === undefined ? null : this.#userId(actor);
  }

  #ownTimeouts(settings: Pick<LoginSettings, "idle" | "lifetime">): GivenTimeouts {
    return refusing(NOBODY, () => ownTimeouts(settings, this.policy));
  }
}

export function keysToKeep({ keep = [] }: Pick<LoginSettings, "keep">): readonly string[] {
  if (Array.isArray(keep) && keep.every((key) => typeof key === "string")) return keep;
  throw refusal("keep must be a list of the top-level keys to take over");
}
