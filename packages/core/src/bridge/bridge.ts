import type { Context } from "../context.ts";
import { publish } from "../events.ts";
import { type Look, look } from "../look.ts";
import { LoadedSession, type Session, timeoutsOf } from "../session.ts";
import { Sessions } from "../sessions.ts";
import type { StoredSession } from "../envelope.ts";
import { isId, newToken } from "../token.ts";
import { userIdIn } from "../user.ts";
import { type RequestBridge, RequestSession } from "./request-session.ts";
import type { Warn } from "./warnings.ts";

/** What a request's cookie stands for. Give it to {@link Bridge.open}. */
export interface Loaded<Data extends object> {
  /** The session to show to the framework. `null`: there is none, and the framework makes a new one. */
  readonly session: Session<Data> | null;
  readonly token: string;
  readonly look: Look;
  /** Of `performance.now()`. */
  readonly startedAt: number;
}

/** One framework's view of `Sessions`. */
export class Bridge<Data extends object> implements RequestBridge<Data> {
  readonly sessions: Sessions<Data>;
  /** The part of stored data that the framework shows: without keys that never reach an application. */
  readonly shown: (data: Data) => Data;
  readonly #ctx: Context<Data>;
  readonly #warn: Warn;

  /**
   * @param shown the part of stored data that the framework shows. The very same object if it shows all: what is missing from it is not
   *   deleted by a save
   * @throws TypeError for anything but a `Sessions` of this copy of the package
   */
  constructor(sessions: Sessions<Data>, warn: Warn, shown: (data: Data) => Data = (data) => data) {
    this.#ctx = Sessions.contextOf(sessions);
    this.sessions = sessions;
    this.shown = shown;
    this.#warn = warn;
  }

  /** Reads the session of a request's token. This is not yet its use: see `RequestSession.use`. */
  async load(token: string): Promise<Loaded<Data>> {
    const startedAt = performance.now();
    const found = await this.look(token);
    if (found.state === "superseded" && !found.isRecent) {
      const { id, userId } = found.stored.record;
      publish("superseded-token-used", { id, userId });
    }
    if (found.state !== "live") return { session: null, token, look: found, startedAt };
    const data = this.#ctx.encoding.decode(found.stored.payload, found.stored.record);
    if (data) return { session: this.#session(found.stored, data), token, look: found, startedAt };
    return { session: null, token, look: { state: "unreadable", record: found.stored.record }, startedAt };
  }

  /** A stored session with data of its own. */
  open(stored: StoredSession): Session<Data> {
    return this.#session(stored, this.#ctx.encoding.decode(stored.payload, stored.record) ?? ({} as Data));
  }

  /**
   * The session of a request: the loaded one, or a new one with a token of its own.
   *
   * @param loaded absent: the request has no cookie
   * @param options `isUse: false`: this request restarts no idle timeout, for polling. `seen`: the framework has these data of the session,
   *   from a cache, and not those that `load` read. The request may change the session if it is live, and begins no new one
   */
  request(
    loaded?: Loaded<Data>,
    options: { readonly isUse?: boolean; readonly seen?: Data } = {},
  ): RequestSession<Data> {
    const { isUse = true, seen } = options;
    const startedAt = loaded?.startedAt ?? performance.now();
    const cookie: Look = loaded?.look ?? { state: "dead" };
    const token = loaded && cookie.state === "live" ? loaded.token : newToken();
    const session = new RequestSession(this, this.#ctx, cookie, token, { startedAt, isUse, seen });
    if (loaded?.session) session.use(loaded.session);
    return session;
  }

  /** The user whom data name, or `null`. */
  userIn(data: Data): string | null {
    return userIdIn(this.sessions.policy.userId(data));
  }

  look(token: string): Promise<Look> {
    return look(this.#ctx, token);
  }

  /** Ends a session by its id, as lists show it, or by its token. */
  async end(idOrToken: string): Promise<void> {
    if (isId(idOrToken) && (await this.sessions.revokeById(idOrToken))) return;
    await this.sessions.revoke(idOrToken);
  }

  warnOfCappedMaxAge(): void {
    this.#warn(
      "TENURE_MAX_AGE_CAPPED",
      'cookie.maxAge is longer than the idle timeout, which counts: raise idleTimeout of Sessions, or log in with logIn(…, { idle: "30d" }) and maxIdleTimeout for "remember me"',
    );
  }

  #session(stored: StoredSession, data: Data): Session<Data> {
    return new LoadedSession(stored, data, timeoutsOf(stored, this.sessions.policy));
  }
}
