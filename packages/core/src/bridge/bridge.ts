import type { Context } from "../context.ts";
import { endSession } from "../ending.ts";
import type { StoredSession } from "../envelope.ts";
import { logoutWith, look } from "../look.ts";
import { LoadedSession, type Session } from "../session.ts";
import { Sessions } from "../sessions.ts";
import { idOf, isId, isOwnToken } from "../token.ts";
import { userIdIn } from "../user.ts";
import { callBack } from "./callback.ts";
import { type Copy, type Loaded, type LoadedLive, type LoadedOther, LoadResult } from "./request-cookie.ts";
import { type RequestBridge, type RequestOptions, RequestSession } from "./request-session.ts";
import type { Warn } from "./warnings.ts";

/** One framework's view of `Sessions`. */
export class Bridge<Data extends object> implements RequestBridge<Data> {
  readonly sessions: Sessions<Data>;
  readonly warn: Warn;
  readonly #ctx: Context<Data>;
  readonly #isShown: (key: string) => boolean;
  /** What {@link get} has read, while its callback runs without a session. */
  #missed: LoadedOther | undefined;

  /**
   * @param isShown whether the framework exposes a top-level key of stored data to the application. A save
   *   does not delete a key that is not exposed
   * @throws TypeError for anything but a `Sessions` of this copy of the package
   */
  constructor(sessions: Sessions<Data>, warn: Warn, isShown: (key: string) => boolean = () => true) {
    this.#ctx = Sessions.contextOf(sessions);
    this.sessions = sessions;
    this.warn = warn;
    this.#isShown = isShown;
  }

  /** Reads the session of a request's token. Restarts no idle timeout: {@link request} does. */
  async load(token: string): Promise<Loaded<Data>> {
    const startedAt = performance.now();
    const found = await look(this.#ctx, token);
    if (found.state !== "live") return new LoadResult(null, token, found, startedAt);
    const { record, payload } = found.stored;
    const data = this.#ctx.encoding.decode(payload, record);
    if (data) return new LoadResult(this.open(found.stored, data), token, found, startedAt);
    return new LoadResult(null, token, { state: "unreadable", record }, startedAt);
  }

  /**
   * `get` for a framework that passes a callback, in which it makes a new session if there is none.
   *
   * @param show converts a loaded session to the framework's form
   */
  get<Shown>(
    token: string,
    show: (loaded: LoadedLive<Data>) => Shown,
    callback: (error: unknown, shown?: Shown | null) => void,
  ): void {
    callBack(this.load(token), (error, loaded) => {
      if (!loaded) return callback(error);
      if (loaded.session) return callback(null, show(loaded));
      this.#missed = loaded;
      try {
        return callback(null, null);
      } finally {
        this.#missed = undefined;
      }
    });
  }

  /** Returns a stored session as a `Session`. Default `data`: newly decoded. */
  open(stored: StoredSession, data?: Data): Session<Data> {
    const { encoding, policy } = this.#ctx;
    const own = data ?? encoding.decode(stored.payload, stored.record) ?? ({} as Data);
    return new LoadedSession(stored, own, policy);
  }

  /**
   * Returns what {@link get} has read instead of a live session, once, to the first request that begins in
   * its callback. `undefined`: nothing.
   *
   * @param isOfRequest whether a token is the request's: another request may begin in that callback, too
   */
  missed(isOfRequest: (token: string) => boolean = () => true): LoadedOther | undefined {
    const missed = this.#missed;
    if (!missed || !isOfRequest(missed.token)) return undefined;
    this.#missed = undefined;
    return missed;
  }

  /**
   * Returns the session of a request: the loaded one, or a new one with its own token.
   *
   * @param loaded absent: the request has no cookie
   */
  request(loaded?: Loaded<Data>, options: RequestOptions = {}): RequestSession<Data> {
    return new RequestSession(this, this.#ctx, loaded, options);
  }

  /**
   * Returns the session of a request that got its data from a cache in front of the store. The first call
   * that needs the session reads it. If it is live, the request can change it; if not, a save stores nothing.
   * If the copy names a user other than the session's, that user has been logged out since, and the session
   * counts as dead.
   */
  requestOfCopy(copy: Copy<Data>, options: RequestOptions = {}): RequestSession<Data> {
    return new RequestSession(this, this.#ctx, undefined, options, copy);
  }

  /** Returns the part of stored data that the framework exposes: the same object if that is all. */
  shown(data: Data): Data {
    const isShown = this.#isShown;
    if (Object.keys(data).every(isShown)) return data;
    return Object.fromEntries(Object.entries(data).filter(([key]) => isShown(key))) as Data;
  }

  /** Returns the user named by data, or `null`. */
  userIn(data: Data): string | null {
    return userIdIn(this.sessions.policy.userId(data));
  }

  /**
   * Ends a session by its id, as lists show it, or by its token. One of Tenure's tokens ends the session
   * whose id it contains, even if its secret matches nothing: other requests may have replaced the secret
   * since, and the application's own call is trusted. An anonymous visitor's token that a login has replaced
   * ends nothing: applications destroy it after the login, and it may have been planted.
   */
  async end(idOrToken: string): Promise<void> {
    if (isId(idOrToken) && (await this.sessions.revokeById(idOrToken))) return;
    if (!isOwnToken(idOrToken)) return void (await this.sessions.revoke(idOrToken));
    const { store, envelopes } = this.#ctx;
    const id = idOf(idOrToken);
    // A session that cannot be read can still be ended.
    const record = await store.read(id).catch(() => undefined);
    if (record === null || (record && logoutWith(envelopes, record, idOrToken) === "planted")) return;
    await endSession(store, record ?? { id, userId: null }, "logout");
  }
}
