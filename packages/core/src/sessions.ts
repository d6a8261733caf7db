import { isAsynchronous } from "./asynchronous.ts";
import { Cap, type LoginRefusal } from "./cap.ts";
import { StoreClock } from "./clock.ts";
import type { Context } from "./context.ts";
import { create } from "./creation.ts";
import { DataChange } from "./data-change.ts";
import { type Duration, parseDuration } from "./duration.ts";
import { endSession } from "./ending.ts";
import { Encoding } from "./encoding.ts";
import { Envelopes, type SealedSession, type StoredSession } from "./envelope.ts";
import { ReauthenticationRequired, StoreError } from "./errors.ts";
import { publish, publishRevoked } from "./events.ts";
import { inBatches } from "./in-batches.ts";
import { logIn } from "./login.ts";
import { logoutWith, type Look, look } from "./look.ts";
import { type Policy, policyOf, type SessionsOptions } from "./policy.ts";
import { reencrypt, type Reencrypted, type ReencryptOptions } from "./reencryption.ts";
import { assertCallOptions, assertUseOptions, refusal, refusing } from "./refusal.ts";
import { reportFailures } from "./reporting.ts";
import { rotate } from "./rotation.ts";
import { save } from "./save.ts";
import { type ListedSession, LoadedSession, type Session } from "./session.ts";
import type { SessionRecord } from "./store.ts";
import { type GivenTimeouts, isOver, ownTimeouts, publishIfExpired, timeoutsOf } from "./timeouts.ts";
import { idOf, isId, isOwnToken, isToken, maxBitsOf, newToken } from "./token.ts";
import { Touches } from "./touches.ts";
import { type UserId, userIdIn, userIdOf } from "./user.ts";
import { Writes } from "./writes.ts";

/** Settings of a new session. With a user, its creation is a login. */
export interface NewSessionSettings extends Pick<LoginSettings, "since" | "idle" | "lifetime"> {
  /** The session's user, or `null` for none. Default: the user that the data name. */
  readonly userId?: UserId | null;
}

/** Settings of a login. */
export interface LoginSettings {
  /** The top-level keys to take over from another user's session, such as a basket. Default: none. */
  readonly keep?: readonly string[];
  /**
   * When the login began: what `sessions.since()` returned before the password was checked. If the user was
   * logged out everywhere after that, the login is refused. Default: now.
   */
  readonly since?: number;
  /** The login's own idle timeout ("remember me"), up to `maxIdleTimeout`. Default: the policy's. */
  readonly idle?: Duration;
  /** The login's own lifetime, up to `maxLifetime`. Default: the policy's. */
  readonly lifetime?: Duration;
}

/** A session and its new token. */
export interface Created<Data extends object> {
  /** For the browser's cookie. Never returned again. */
  readonly token: string;
  readonly session: Session<Data>;
  readonly refused?: undefined;
}

/** A login that was refused. */
export interface Refused {
  /**
   * `"logged-out-meanwhile"`: the user was logged out everywhere after the login began.
   * `"too-many-sessions"`: the user already has `maxPerUser` sessions, or that many later logins.
   */
  readonly refused: LoginRefusal;
  readonly token?: undefined;
  readonly session?: undefined;
}

/** The error of a `create` whose data name a user whose login is refused. */
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
 * A dead, unknown or expired session is `null` or `false`. Calls reject with a `StoreError` if the backend
 * fails, and with a `TypeError` for wrong input, before anything is written.
 */
export class Sessions<Data extends object = Record<string, unknown>> {
  readonly policy: Policy<Data>;
  readonly #ctx: Context<Data>;

  /** @throws TypeError naming the wrong option */
  constructor(options: SessionsOptions<Data>) {
    const policy = policyOf(options);
    const store = reportFailures(options.store);
    const encoding = new Encoding<Data>(policy.codec, policy.maxDataBytes);
    const clock = new StoreClock(() => store.now());
    const envelopes = new Envelopes(policy.protection);
    const ctx = { policy, store, envelopes, encoding, clock };
    this.policy = policy;
    this.#ctx = { ...ctx, touches: new Touches(ctx), writes: new Writes(ctx), cap: new Cap(ctx) };
  }

  /** For `@tenure/core/bridge`. @throws TypeError even for a `Sessions` of another copy of this package */
  static contextOf<Data extends object>(sessions: Sessions<Data>): Context<Data> {
    if (typeof sessions === "object" && sessions !== null && #ctx in sessions) return sessions.#ctx;
    throw new TypeError(
      "sessions is not a Sessions of this @tenure/core: pass new Sessions({ store }), and install one copy of @tenure/core",
    );
  }

  /**
   * Creates a session. With a user this is a login, which can be refused.
   *
   * @throws LoginRefused if the login is refused and only the data name its user
   */
  create(data: Data, settings?: NewSessionSettings & { readonly userId?: null }): Promise<Created<Data>>;
  create(data: Data, settings: NewSessionSettings): Promise<Created<Data> | Refused>;
  async create(data: Data, settings: NewSessionSettings = {}): Promise<Created<Data> | Refused> {
    const token = newToken();
    const created = await this.#create(token, data, settings);
    if (created === "taken") {
      throw new StoreError(
        "create",
        'the store returned "taken" for a new id of 128 random bits: fix its create',
      );
    }
    if (typeof created !== "string") return { token, session: created };
    if (settings.userId === undefined) throw new LoginRefused(created);
    return { refused: created };
  }

  /**
   * Creates a session under a token that a framework made. `null`: a session with this token is alive or was
   * revoked, or the login is refused.
   *
   * @throws TypeError for a token with room for fewer than `minTokenBits`, and for the id of a live session
   */
  async createWithToken(
    token: string,
    data: Data,
    settings: NewSessionSettings = {},
  ): Promise<Session<Data> | null> {
    this.assertStrong(token);
    if (isId(token) && (await this.#ctx.store.read(token))) {
      throw refusal(
        "this is the id of a live session, and an id is not a token: save the session, or end it with revokeById",
      );
    }
    const created = await this.#create(token, data, settings);
    return typeof created === "string" ? null : created;
  }

  /** @throws TypeError for a framework's token that is too weak */
  assertStrong(token: string): void {
    if (!isToken(token)) throw refusal("a token must be a well-formed string of 1 to 1024 characters");
    if (maxBitsOf(token) < this.policy.minTokenBits) {
      throw refusal(
        `a token with room for ${maxBitsOf(token)} random bits is too weak: generate ${this.policy.minTokenBits} or more, for example with crypto.randomBytes(32)`,
      );
    }
  }

  /** Returns the id of a token's session. `null`: this cannot be a token. */
  idOf(token: string): string | null {
    return isToken(token) ? idOf(token) : null;
  }

  /**
   * Returns the live session of a token, or `null`. This is a use: it calls {@link touch}.
   *
   * @param options `touch: false`: not a use, for polling
   */
  async get(
    token: string | null | undefined,
    options: { readonly touch?: boolean } = {},
  ): Promise<Session<Data> | null> {
    assertUseOptions(options);
    const found = await look(this.#ctx, token);
    const session = found.state === "live" ? this.#open(found.stored) : null;
    return session && options.touch !== false ? this.touch(session) : session;
  }

  /**
   * Restarts the idle timeout if `touchEvery` has passed since the last restart, and otherwise returns
   * `session`. `null`: the session is dead. A failure of the backend is the event `touch-failed`, because a
   * touch may be lost.
   *
   * @throws TypeError for a copy of a session
   */
  async touch(session: Session<Data>): Promise<Session<Data> | null> {
    return this.#ctx.touches.ifDue(session) ?? session;
  }

  /**
   * Returns for each session whether it is still alive with the same user. For open connections (WebSockets,
   * server-sent events): close those whose session is not. Not a use. A store joins the reads into few
   * commands. A session whose read fails counts as dead, as its record may be unreadable.
   *
   * @throws StoreError if every read fails: the first error
   */
  async areLive(sessions: readonly Session<Data>[]): Promise<boolean[]> {
    const { store, envelopes, clock } = this.#ctx;
    await clock.ready();
    const reads = await Promise.allSettled(sessions.map(({ id }) => store.read(id)));
    const [first] = reads;
    if (first?.status === "rejected" && reads.every(({ status }) => status === "rejected"))
      throw first.reason;
    return reads.map((read, at) => {
      const record = read.status === "fulfilled" ? read.value : null;
      if (!record || record.userId !== sessions[at]?.userId) return false;
      const stored = this.#openIfPossible(envelopes.read(record));
      return stored !== null && !isOver(this.#ctx, stored);
    });
  }

  /**
   * Returns how long the session lives if it is not used, milliseconds; 0 if it has ended. Does not read the
   * session again.
   *
   * @throws StoreError if the store's clock cannot be read
   */
  async timeLeft(session: Session<Data>): Promise<number> {
    const { clock } = this.#ctx;
    await clock.notAfter();
    return Math.max(0, Math.floor(session.expiresAt - clock.latest()));
  }

  /**
   * Returns an instant of the store's clock that is not after now, for a login that begins now.
   *
   * @throws StoreError if the store's clock cannot be read
   */
  since(): Promise<number> {
    return this.#ctx.clock.notAfter();
  }

  /**
   * Stores the top-level keys in which `data` differs from the data that `session` was returned with. Changes
   * by other requests to other keys stay; for the same key the later save wins.
   *
   * @param options `touch: false`: the save is not a use
   * @returns the stored session, changes by other requests included. `null`: the session is dead, or has
   *   another user or token; nothing was stored
   */
  async save(
    session: Session<Data>,
    data: Data,
    options: { readonly touch?: boolean } = {},
  ): Promise<Session<Data> | null> {
    const startedAt = performance.now();
    assertUseOptions(options);
    const seen = LoadedSession.storedOf(session);
    const wanted = this.#ctx.encoding.encode(data, seen.record);
    const change = new DataChange(this.#ctx.encoding, seen.record, { base: seen.payload, wanted });
    if (change.isEmpty()) return this.#stillAlive(seen, options);
    const since = await this.#ctx.clock.notAfter(startedAt);
    const saved = await save(this.#ctx, { session: seen, change, since, touch: options.touch });
    if (!saved || saved.payload !== change.wanted) return saved && this.#open(saved);
    return new LoadedSession(saved, change.wantedData(), this.policy);
  }

  /**
   * Changes the stored data, for counters and lists. Returns what {@link save} does.
   *
   * @param change changes the data in place, or returns new data. Synchronous. Runs again after a conflict
   */
  async update(session: Session<Data>, change: (data: Data) => Data | void): Promise<Session<Data> | null> {
    const startedAt = performance.now();
    const { encoding, clock } = this.#ctx;
    const seen = LoadedSession.storedOf(session);
    const saved = await save(this.#ctx, {
      session: seen,
      since: await clock.notAfter(startedAt),
      change(draft) {
        // A copy, because the draft's data are shared.
        const own = encoding.decode(draft.text(), seen.record);
        if (!own) return;
        const changed = change(own) ?? own;
        if (isAsynchronous(changed)) {
          throw refusal("the function given to update must be synchronous", seen.record);
        }
        draft.replaceData(encoding.encode(changed, seen.record));
      },
    });
    return saved && this.#open(saved);
  }

  /**
   * Logs in a user who has just authenticated: the session gets a new token, and its lifetime restarts
   * (OWASP ASVS 5.0 7.2.4). An anonymous session, or one of the same user, keeps its data. Another user's
   * session ends, and a new one begins with the keys named in `keep`. Without a live session, a new one
   * begins.
   */
  async logIn(
    token: string | null | undefined,
    user: UserId,
    settings: LoginSettings = {},
  ): Promise<Created<Data> | Refused> {
    const startedAt = performance.now();
    assertCallOptions(settings, ["keep", "since", "idle", "lifetime"]);
    const userId = this.#userId(user);
    const timeouts = this.#ownTimeouts(settings);
    const since = await this.#sinceOf(settings, startedAt);
    const from: Look = await look(this.#ctx, token);
    const result = await logIn(this.#ctx, from, { userId, since, ...timeouts, keep: keysToKeep(settings) });
    if ("refused" in result) return result;
    const { token: next, stored } = result;
    const data = this.#ctx.encoding.decodeOwn(stored.payload, stored.record);
    return { token: next, session: new LoadedSession(stored, data, this.policy) };
  }

  /**
   * Gives a session a new token, for a change of privilege (OWASP ASVS 5.0 7.2.4); `logIn` does this itself.
   * Data, user and lifetime stay; the idle timeout restarts. `null`: the session is dead. `"superseded"`:
   * another request has its new token.
   */
  async rotate(token: string): Promise<Created<Data> | "superseded" | null> {
    const found = await look(this.#ctx, token);
    if (found.state === "superseded") return "superseded";
    if (found.state !== "live" || !this.#open(found.stored)) return null;
    const rotated = await rotate(this.#ctx, { session: found.stored });
    if (rotated === null || rotated === "superseded") return rotated;
    const session = this.#open(rotated.stored);
    return session && { token: rotated.token, session };
  }

  /**
   * Logs out: ends the session of a token. `true`: this call ended a live session. A superseded token works
   * if it was a user's.
   */
  async revoke(token: string): Promise<boolean> {
    if (!isToken(token)) return false;
    const id = idOf(token);
    const { store, envelopes } = this.#ctx;
    const record = await store.read(id);
    // Only a framework may create a session under this token later: leave a tombstone.
    if (!record) return !isOwnToken(token) && endSession(store, { id, userId: null }, "logout");
    const mayLogOut = logoutWith(envelopes, record, token) === "allowed";
    return mayLogOut && endSession(store, record, "logout");
  }

  /**
   * Ends a session by its id, which a "your devices" page shows (OWASP ASVS 5.0 7.5.2). `true`: this call
   * ended a live session.
   *
   * @param options `userId`: end it only if it is this user's. Give it wherever the id comes from a client.
   *   `actor`: who ends it, for the event
   */
  async revokeById(
    id: string,
    options: { readonly userId?: UserId; readonly actor?: UserId } = {},
  ): Promise<boolean> {
    assertCallOptions(options, ["userId", "actor"]);
    const actor = this.#actor(options);
    const { store } = this.#ctx;
    if (!("userId" in options)) {
      if (!isId(id)) return false;
      // Only the event needs the record: a session that cannot be read can still be ended.
      const record = await store.read(id).catch(() => null);
      return endSession(store, record ?? { id, userId: null }, "id", actor);
    }
    const userId = this.#userId(options.userId);
    const record = isId(id) ? await store.read(id) : null;
    return record?.userId === userId && endSession(store, record, "id", actor);
  }

  /**
   * Logs a user out everywhere (OWASP ASVS 5.0 7.4.2, 7.4.3, 7.4.5) and returns how many sessions it ended.
   * Once it resolves, every session of the user is dead, and a login that began before is refused.
   *
   * @param options `exceptToken` or `exceptId`: the one session to keep, after a change of password.
   *   `authenticatedUpTo`: end only logins up to this instant of the store's clock, for a logout message that
   *   arrives late. `actor`: who does it, the user or an administrator, for the event
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
    assertCallOptions(options, ["exceptToken", "exceptId", "authenticatedUpTo", "actor"]);
    const userId = this.#userId(user);
    const actor = this.#actor(options);
    const { exceptToken, exceptId, authenticatedUpTo } = options;
    if (exceptToken !== undefined && exceptId !== undefined) {
      throw refusal("exceptToken and exceptId both name the session to keep: give one of them");
    }
    const except = exceptToken === undefined ? exceptId : await this.#idProvenBy(exceptToken);
    const count = await this.#ctx.store.revokeUser(userId, {
      ...(except === undefined ? {} : { except }),
      ...(authenticatedUpTo === undefined ? {} : { authenticatedUpTo }),
    });
    publishRevoked({ id: null, userId, why: "user", count, actor });
    // Dates this process's next login after the fence.
    await this.#ctx.clock.renew().catch(() => undefined);
    return count;
  }

  /**
   * Ends every session of every user (OWASP ASVS 5.0 7.4.5) and returns how many. Reads them all, which takes
   * minutes for millions. A login that overlaps it can survive: call it again.
   *
   * @param options `actor`: the administrator, for the events
   */
  async revokeEveryone(options: { readonly actor?: UserId } = {}): Promise<number> {
    assertCallOptions(options, ["actor"]);
    const actor = this.#actor(options);
    const { store } = this.#ctx;
    let count = 0;
    await inBatches(store.scan(), 100, async (batch) => {
      const ended = await Promise.all(batch.map((record) => endSession(store, record, "everyone", actor)));
      count += ended.filter(Boolean).length;
    });
    return count;
  }

  /**
   * Protects every session with the first key of `protect`, after a key was added or `acceptPlain` was set.
   * Can be stopped and started again, runs during logins, and extends no session.
   *
   * @throws StoreError if the backend fails, or a key is missing: start it again
   */
  async reencrypt(options: ReencryptOptions = {}): Promise<Reencrypted> {
    assertCallOptions(options, ["onProgress", "signal"]);
    return reencrypt(this.#ctx, options);
  }

  /** Returns the live sessions of a user, oldest first, for a "your devices" page. */
  async listForUser(user: UserId): Promise<ListedSession<Data>[]> {
    const records = await this.#ctx.store.listUser(this.#userId(user));
    return records.map((record) => this.#listed(record)).filter((session) => session !== null);
  }

  /** Iterates over the live sessions, in any order, for counting and audit. */
  async *all(): AsyncIterable<ListedSession<Data>> {
    for await (const record of this.#ctx.store.scan()) {
      const session = this.#listed(record);
      if (session) yield session;
    }
  }

  /**
   * Throws unless the user authenticated at most `within` ago. Call it before a change of password, or before
   * other devices are logged out (OWASP ASVS 5.0 7.5.2).
   *
   * @throws ReauthenticationRequired also for an anonymous session, and while the store's clock is unknown
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
    assertCallOptions(settings, ["userId", "since", "idle", "lifetime"]);
    const timeouts = this.#ownTimeouts(settings);
    const { encoding } = this.#ctx;
    const about = { id: idOf(token), userId: null };
    // The caller may change `data` while this call waits.
    const snapshot = encoding.decodeOwn(encoding.encode(data, about), about);
    const named = settings.userId === undefined ? userIdIn(this.policy.userId(snapshot)) : settings.userId;
    const userId = named === null ? null : this.#userId(named);
    const since = userId === null ? undefined : await this.#sinceOf(settings, startedAt);
    const created = await create(this.#ctx, token, snapshot, { userId, since, ...timeouts });
    return typeof created === "string" ? created : new LoadedSession(created, snapshot, this.policy);
  }

  /** Reads the session for a save that changes nothing, because `save` returns what is stored. */
  async #stillAlive(
    seen: StoredSession,
    options: { readonly touch?: boolean },
  ): Promise<Session<Data> | null> {
    const record = await this.#ctx.store.read(seen.record.id);
    const stored = record && this.#ctx.envelopes.openRecord(record);
    const isAsSeen = stored?.head.digest === seen.head.digest && stored.record.userId === seen.record.userId;
    if (!stored || !isAsSeen || isOver(this.#ctx, stored)) {
      publishIfExpired(this.#ctx.clock, seen.record);
      return null;
    }
    const session = this.#open(stored);
    return session && options.touch !== false ? this.touch(session) : session;
  }

  async #idProvenBy(token: string): Promise<string | undefined> {
    const found = await look(this.#ctx, token);
    const isTheirs = found.state === "live" || (found.state === "superseded" && found.isRecent);
    return isTheirs ? found.stored.record.id : undefined;
  }

  /** `null`: the codec cannot decode the data. */
  #open(stored: StoredSession): Session<Data> | null {
    const data = this.#ctx.encoding.decode(stored.payload, stored.record);
    return data && new LoadedSession(stored, data, this.policy);
  }

  /**
   * `null`: the record cannot be read, or its key is missing. It must not hide the other records of a list.
   */
  #openIfPossible(sealed: SealedSession | null): StoredSession | null {
    try {
      return sealed && this.#ctx.envelopes.open(sealed);
    } catch {
      return null;
    }
  }

  /** `null`: the session is hidden, or the policy has ended it. */
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
    return refusing({}, () => userIdOf(user));
  }

  #actor({ actor }: { readonly actor?: UserId }): string | null {
    return actor === undefined ? null : this.#userId(actor);
  }

  /** When a login began, by the store's clock. Default: `startedAt`, an instant of `performance.now()`. */
  async #sinceOf({ since }: Pick<LoginSettings, "since">, startedAt: number): Promise<number> {
    if (since === undefined) return this.#ctx.clock.notAfter(startedAt);
    if (Number.isSafeInteger(since) && since >= 0) return since;
    throw refusal("since must be a whole number of epoch milliseconds, as sessions.since() returns");
  }

  #ownTimeouts(settings: Pick<LoginSettings, "idle" | "lifetime">): GivenTimeouts {
    return refusing({}, () => ownTimeouts(settings, this.policy));
  }
}

export function keysToKeep({ keep = [] }: Pick<LoginSettings, "keep">): readonly string[] {
  if (Array.isArray(keep) && keep.every((key) => typeof key === "string")) return keep;
  throw refusal("keep must be an array of the top-level keys to take over");
}
