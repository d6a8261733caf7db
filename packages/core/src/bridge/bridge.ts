import type { Context } from "../context.ts";
import type { StoredSession } from "../envelope.ts";
import { publish } from "../events.ts";
import { look } from "../look.ts";
import { LoadedSession, type Session, timeoutsOf } from "../session.ts";
import { Sessions } from "../sessions.ts";
import { isId } from "../token.ts";
import { userIdIn } from "../user.ts";
import { callBack } from "./callback.ts";
import { DEAD, type Loaded } from "./request-cookie.ts";
import { type RequestBridge, type RequestOptions, RequestSession } from "./request-session.ts";
import type { Warn } from "./warnings.ts";

/** One framework's view of `Sessions`. */
export class Bridge<Data extends object> implements RequestBridge<Data> {
  readonly sessions: Sessions<Data>;
  readonly warn: Warn;
  /** See {@link get}. */
  notLive: Loaded<Data> | undefined;
  readonly #ctx: Context<Data>;
  readonly #isShown: (key: string) => boolean;

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
    if (found.state === "superseded" && !found.isRecent) {
      const { id, userId } = found.stored.record;
      publish("superseded-token-used", { id, userId });
    }
    if (found.state !== "live") return { session: null, token, look: found, startedAt };
    const data = this.#ctx.encoding.decode(found.stored.payload, found.stored.record);
    if (data) return { session: this.#session(found.stored, data), token, look: found, startedAt };
    return { session: null, token, look: { state: "unreadable", record: found.stored.record }, startedAt };
  }

  /**
   * `get` of a framework that passes a callback. While the callback learns that there is no session, {@link notLive} is what was read: the
   * framework makes a new session there.
   *
   * @param show a session in the form in which the framework loads it
   */
  get<Shown>(
    token: string,
    show: (loaded: Loaded<Data>, session: Session<Data>) => Shown,
    callback: (error: unknown, shown?: Shown | null) => void,
  ): void {
    callBack(
      () => this.load(token),
      (error, loaded) => {
        if (!loaded) return callback(error);
        if (loaded.session) return callback(null, show(loaded, loaded.session));
        this.notLive = loaded;
        try {
          return callback(null, null);
        } finally {
          this.notLive = undefined;
        }
      },
    );
  }

  /** A stored session with data of its own. */
  open(stored: StoredSession): Session<Data> {
    return this.#session(stored, this.#ctx.encoding.decode(stored.payload, stored.record) ?? ({} as Data));
  }

  /**
   * The session of a request: the loaded one, or a new one with a token of its own.
   *
   * @param loaded absent: the request has no cookie
   */
  request(loaded?: Loaded<Data>, options: RequestOptions<Data> = {}): RequestSession<Data> {
    return new RequestSession(this, this.#ctx, loaded, options);
  }

  /**
   * The session of a request that a cache has shown it, so that it is not known what the request saw. The request may change the session if it is
   * live, and begins no new one.
   *
   * @param saved what the request is about to keep. If that names a user whom the session does not have, the user has been logged out since it was
   *   cached, and the session counts as dead
   */
  requestOfCached(loaded: Loaded<Data>, isUse: boolean, saved?: Data): RequestSession<Data> {
    const named = saved ? this.userIn(saved) : null;
    const isStale = named !== null && named !== loaded.session?.userId;
    return this.request(isStale ? { ...loaded, session: null, look: DEAD } : loaded, {
      isUse,
      seen: {} as Data,
    });
  }

  /** The part of stored data that the framework shows. The very same object if it shows all. */
  shown(data: Data): Data {
    const isShown = this.#isShown;
    if (Object.keys(data).every(isShown)) return data;
    return Object.fromEntries(Object.entries(data).filter(([key]) => isShown(key))) as Data;
  }

  /** The user whom data name, or `null`. */
  userIn(data: Data): string | null {
    return userIdIn(this.sessions.policy.userId(data));
  }

  /** Ends a session by its id, as lists show it, or by its token. */
  async end(idOrToken: string): Promise<void> {
    if (isId(idOrToken) && (await this.sessions.revokeById(idOrToken))) return;
    await this.sessions.revoke(idOrToken);
  }

  #session(stored: StoredSession, data: Data): Session<Data> {
    return new LoadedSession(stored, data, timeoutsOf(stored, this.sessions.policy));
  }
}
