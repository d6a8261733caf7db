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

/** State that all links of a store share. */
export interface Shared<Data extends object> {
  readonly bridge: Bridge<Data>;
  /** The link whose Session is calling `get` or `destroy`. `undefined`: the call comes from elsewhere. */
  caller: RequestLink<Data> | undefined;
}

/**
 * Links a request, the framework's Session and the RequestSession behind both. The Session calls the store
 * through its link, so that the store knows which request is calling.
 */
export class RequestLink<Data extends object> implements SessionOwner {
  readonly request: FrameworkRequest;
  readonly current: RequestSession<Data>;
  session: FrameworkSession | undefined;
  /** How many logouts the request has begun. */
  logouts = 0;
  /** Resolves when the logouts that the request has begun have settled. */
  loggedOut: Promise<unknown> | undefined;
  /** The bridge's store, or a cache in front of it. */
  before: FrameworkStore | undefined;
  readonly #shared: Shared<Data>;
  /** The stored cookie settings, and how the framework shows them. `undefined` until loaded or saved. */
  #cookie: { readonly stored: unknown; readonly shown: string } | undefined;
  #cookieEnd: number | null = null;
  #cookieReads = 0;
  /** The token that the framework's `regenerate` has just requested. A microtask clears it. */
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

  /** Takes over a Session that the framework created. */
  show(session: FrameworkSession): void {
    this.session = session;
    if (session.cookie) defineMaxAge(session.cookie);
    this.#cookieEnd = endOf(session.cookie);
    attach(session, this);
  }

  /**
   * Whether the framework has begun to send the response. It then reads the signed token more than once. An
   * application may read it at any time, usually once.
   */
  get isResponding(): boolean {
    return this.#cookieReads > 1;
  }

  /** Called at the end of each request. The framework calls nothing else if the connection is not secure. */
  hasCookie(session: FrameworkSession): boolean {
    const { current } = this;
    this.#cookieReads += 1;
    if (current.token !== session.sessionId) return false;
    if (!current.isOrdinary && !current.maySetCookie(this.dataOf(session))) return false;
    warnIfNotSent(this.#shared.bridge.warn, this.request, session);
    return true;
  }

  /** @param stored the data that the Session was created from */
  noteLoaded(session: FrameworkSession, stored: Data): void {
    this.#noteCookie(session, (stored as StoredData)["cookie"]);
    this.current.maxAge = session.cookie?.originalMaxAge;
  }

  noteSaved(session: FrameworkSession): void {
    this.#noteCookie(session, this.#cookieToStore(session));
  }

  /** Returns the data of a Session, as they are stored. */
  dataOf(session: FrameworkSession): Data {
    const cookie = this.#cookieToStore(session);
    const entries = entriesOf(session);
    return (cookie === undefined ? entries : { ...entries, cookie }) as Data;
  }

  /** Replaces the data of a Session in place. */
  fill(session: FrameworkSession, data: Data): void {
    for (const key of Object.keys(entriesOf(session))) Reflect.deleteProperty(session, key);
    const { cookie: _cookie, ...entries } = this.#shared.bridge.shown(data) as StoredData;
    Object.assign(session, entries);
    this.noteLoaded(session, data);
  }

  /**
   * Whether the application ended the session by setting `cookie.expires` to a date that has passed. The
   * `expires` of a `maxAge` does not count: it passes in any request that takes longer than the `maxAge`.
   */
  isEnded(cookie: FrameworkCookie): boolean {
    const end = endOf(cookie);
    if (end === null || end > Date.now()) return false;
    return typeof cookie.originalMaxAge !== "number" || end !== this.#cookieEnd;
  }

  /**
   * Notes the token that `regenerate` requests first, before it calls `destroy` or `set` in the same turn.
   */
  ask(token: string): string {
    this.#asked = token;
    queueMicrotask(() => (this.#asked = undefined));
    return token;
  }

  /**
   * Returns the token of the `regenerate` that calls `destroy` or `set`. `undefined`: the caller is another.
   */
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

  /** Returns the cookie's stored settings, or its current ones if the application changed them. */
  #cookieToStore({ cookie }: FrameworkSession): unknown {
    const settings = cookie && settingsOf(cookie);
    return this.#cookie?.shown === JSON.stringify(settings) ? this.#cookie?.stored : settings;
  }
}
