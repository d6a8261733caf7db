import type { Context } from "../context.ts";
import { endSession } from "../ending.ts";
import type { StoredSession } from "../envelope.ts";
import { look } from "../look.ts";
import { LoadedSession, type Session } from "../session.ts";
import { Sessions } from "../sessions.ts";
import type { SessionRecord } from "../store.ts";
import { digestOf, idOf, isId, isOwnToken } from "../token.ts";
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
  /** While the callback of {@link get} learns that there is no session: what was read. */
  #missed: LoadedOther | undefined;

  /**
   * @param isShown whether the framework can show a top-level key of stored data to the application. What it does not show, a save does not
   *   delete
   * @throws TypeError for anything but a `Sessions` of this copy of the package
   */
  constructor(sessions: Sessions<Data>, warn: Warn, isShown: (key: string) => boolean = () => true) {
    this.#ctx = Sessions.contextOf(sessions);
    this.sessions = sessions;
    this.warn = warn;
    this.#isShown = isShown;
  }

  /** Reads the session of a request's token. It is a use of it only once {@link request} is given the result. */
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
   * `get` of a framework that passes a callback, and makes a new session inside of it if there is none.
   *
   * @param show a session in the form in which the framework loads it
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

  /** A stored session. Default: with data of its own. */
  open(stored: StoredSession, data?: Data): Session<Data> {
    const { encoding, policy } = this.#ctx;
    const own = data ?? encoding.decode(stored.payload, stored.record) ?? ({} as Data);
    return new LoadedSession(stored, own, policy);
  }

  /**
   * What {@link get} has just read instead of a live session, for the first request that begins in its callback.
   *
   * @param isOfRequest whether the token that was read is the request's, if the framework shows it: another request may begin in that callback, too
   */
  missed(isOfRequest: (token: string) => boolean = () => true): LoadedOther | undefined {
    const missed = this.#missed;
    if (!missed || !isOfRequest(missed.token)) return undefined;
    this.#missed = undefined;
    return missed;
  }

  /**
   * The session of a request: the loaded one, or a new one with a token of its own.
   *
   * @param loaded absent: the request has no cookie
   */
  request(loaded?: Loaded<Data>, options: RequestOptions = {}): RequestSession<Data> {
    return new RequestSession(this, this.#ctx, loaded, options);
  }

  /**
   * The session of a request that a cache has shown it. The first call that needs the session reads it. The request may change it if it is live,
   * and begins no new one. If the copy names a user whom the session does not have, the user has been logged out since, and the session counts
   * as dead.
   */
  requestOfCopy(copy: Copy<Data>, options: RequestOptions = {}): RequestSession<Data> {
    return new RequestSession(this, this.#ctx, undefined, options, copy);
  }

  /** The part of stored data that the framework shows. The very same object if it shows all. */
  shown(data: Data): Data {
    const isShown = this.#isShown;
    if (Object.keys(data).every(isShown)) return data;
    return Object.fromEntries(Object.entries(data).filter(([key]) => isShown(key))) as Data;
  }

  #isReplacedVisitors(record: SessionRecord, token: string): boolean {
    const { envelopes } = this.#ctx;
    const sealed = envelopes.read(record);
    if (sealed?.head.previous?.wasUsers !== false) return false;
    try {
      return envelopes.tokenOf(sealed, digestOf(token)) === "previous";
    } catch {
      // The key is missing: a logout that cannot be understood logs out.
      return false;
    }
  }

  /** The user whom data name, or `null`. */
  userIn(data: Data): string | null {
    return userIdIn(this.sessions.policy.userId(data));
  }

  /**
   * Ends a session by its id, as lists show it, or by its token. A token of our own ends the session whose id it names, because other requests may
   * have replaced it since the caller saw it. An anonymous visitor's token that a login has replaced ends nothing: applications destroy it after the
   * login, and it may have been planted.
   */
  async end(idOrToken: string): Promise<void> {
    if (isId(idOrToken) && (await this.sessions.revokeById(idOrToken))) return;
    if (!isOwnToken(idOrToken)) return void (await this.sessions.revoke(idOrToken));
    const { store } = this.#ctx;
    const id = idOf(idOrToken);
    // What cannot be read can be ended all the same.
    const record = await store.read(id).catch(() => undefined);
    if (record === null || (record && this.#isReplacedVisitors(record, idOrToken))) return;
    await endSession(store, record ?? { id, userId: null }, "logout");
  }
}
