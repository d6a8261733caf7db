import type { Bridge, RequestSession } from "@tenure/core/bridge";
import { warnIfNotSent } from "./cookie-warnings.ts";
import { defineMaxAge, endOf, entriesOf, settingsOf, type StoredData } from "./data.ts";
import {
  attach,
  type FrameworkCookie,
  type FrameworkRequest,
  type FrameworkSession,
  type FrameworkStore,
  type SessionOwner,
} from "./framework.ts";

/** What the links of a store share. */
export interface Shared<Data extends object> {
  readonly bridge: Bridge<Data>;
  /** Whose Session calls `get` or `destroy` at this moment. */
  caller: RequestLink<Data> | undefined;
}

/**
 * A request, the framework's Session of it, and the RequestSession behind both. The Session calls the store through its link, so that the store
 * knows whose calls they are.
 */
export class RequestLink<Data extends object> implements SessionOwner {
  readonly request: FrameworkRequest;
  readonly current: RequestSession<Data>;
  /** The request's present Session. */
  session: FrameworkSession | undefined;
  /** Another store may stand in front of the bridge's. */
  before: FrameworkStore | undefined;
  readonly #shared: Shared<Data>;
  /** The cookie's settings as they are stored, and what the framework made of them. `undefined`: none are stored. */
  #cookie: { readonly stored: unknown; readonly shown: string } | undefined;
  #cookieEnd: number | null = null;
  /** The token that the framework has asked for in this turn, in its `regenerate`. */
  #asked: string | undefined;

  constructor(shared: Shared<Data>, request: FrameworkRequest, current: RequestSession<Data>) {
    this.#shared = shared;
    this.request = request;
    this.current = current;
  }

  get(sessionId: string, callback: (error: unknown, session?: unknown) => void): void {
    this.#call(() => this.before?.get(sessionId, callback));
  }

  set(sessionId: string, session: object, callback: (error?: unknown) => void): void {
    this.before?.set(sessionId, session, callback);
  }

  destroy(sessionId: string, callback: (error?: unknown) => void): void {
    this.#call(() => this.before?.destroy(sessionId, callback));
  }

  /** Takes over a Session that the framework has made. */
  show(session: FrameworkSession): void {
    this.session = session;
    if (session.cookie) defineMaxAge(session.cookie);
    this.#cookieEnd = endOf(session.cookie);
    attach(session, this);
  }

  /** The framework asks at the end of each request, and calls nothing else if the connection is not secure. */
  hasCookie(session: FrameworkSession): boolean {
    const { current } = this;
    // The framework has keys of the application on its Session, as data have.
    const data = session as object as Data;
    if (current.token !== session.sessionId || !current.maySetCookie(data)) return false;
    warnIfNotSent(this.#shared.bridge.warn, this.request, session);
    return true;
  }

  /** @param stored the data that the Session has been made of */
  noteLoaded(session: FrameworkSession, stored: Data): void {
    this.#noteCookie(session, (stored as StoredData)["cookie"]);
    this.current.maxAge = session.cookie?.originalMaxAge;
  }

  noteSaved(session: FrameworkSession): void {
    this.#noteCookie(session, this.#cookieToStore(session));
  }

  /** The data of a Session. */
  dataOf(session: FrameworkSession): Data {
    const cookie = this.#cookieToStore(session);
    const entries = entriesOf(session);
    return (cookie === undefined ? entries : { ...entries, cookie }) as Data;
  }

  /** Replaces the data of the Session in place. */
  fill(session: FrameworkSession, data: Data): void {
    for (const key of Object.keys(entriesOf(session))) Reflect.deleteProperty(session, key);
    const { cookie: _cookie, ...entries } = this.#shared.bridge.shown(data) as StoredData;
    Object.assign(session, entries);
    this.noteLoaded(session, data);
  }

  /**
   * Whether the application has ended the session through `cookie.expires`: a date of its own that has passed. The end that goes with a
   * `maxAge` passes in every request that takes longer, and means nothing.
   */
  isEnded(cookie: FrameworkCookie): boolean {
    const end = endOf(cookie);
    if (end === null || end > Date.now()) return false;
    return typeof cookie.originalMaxAge !== "number" || end !== this.#cookieEnd;
  }

  /** A `regenerate` of the framework asks for its token first, and calls `destroy` or `set` in the same turn. */
  ask(token: string): string {
    this.#asked = token;
    queueMicrotask(() => (this.#asked = undefined));
    return token;
  }

  /** The token of the `regenerate` that a call of `destroy` or `set` belongs to. */
  takeAsked(): string | undefined {
    const asked = this.#asked;
    this.#asked = undefined;
    return asked;
  }

  #call(method: () => void): void {
    this.#shared.caller = this;
    try {
      method();
    } finally {
      this.#shared.caller = undefined;
    }
  }

  #noteCookie({ cookie }: FrameworkSession, stored: unknown): void {
    this.#cookie = cookie && { stored, shown: JSON.stringify(settingsOf(cookie)) };
    this.#cookieEnd = endOf(cookie);
  }

  /** The cookie's settings as they were stored, unless the application has changed them. */
  #cookieToStore({ cookie }: FrameworkSession): unknown {
    const settings = cookie && settingsOf(cookie);
    return this.#cookie?.shown === JSON.stringify(settings) ? this.#cookie?.stored : settings;
  }
}
