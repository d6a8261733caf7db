import type { RequestSession } from "@tenure/core/bridge";
import { defineMaxAge, endOf, isEnded, settingsOf } from "./cookie.ts";
import { entriesOf, shownData, type StoredData } from "./data.ts";
import type { FrameworkCookie, FrameworkRequest, FrameworkSession, FrameworkStore } from "./framework.ts";

/** A request, the framework's Session of it, and the RequestSession behind both. */
export class RequestLink<Data extends object> {
  readonly request: FrameworkRequest;
  /** The request's present Session. */
  session: FrameworkSession | undefined;
  /** What its Sessions call. */
  store: FrameworkStore | undefined;
  #current: RequestSession<Data> | undefined;
  readonly #read: () => Promise<RequestSession<Data>>;
  /** The cookie's settings as they are stored, and what the framework made of them. `undefined`: none are stored. */
  #cookie: { readonly stored: unknown; readonly shown: string } | undefined;
  #cookieEnd: number | null = null;
  /** The token that the framework has asked for in this turn, in its `regenerate`. */
  #asked: string | undefined;
  /** The token of a `regenerate` that is under way: the framework has still to hand over its Session. */
  #begun: string | undefined;

  /** @param current or, for a Session that a cache has given to the framework, a function that reads what it stands for */
  constructor(
    request: FrameworkRequest,
    current: RequestSession<Data> | (() => Promise<RequestSession<Data>>),
  ) {
    this.request = request;
    this.#current = typeof current === "function" ? undefined : current;
    this.#read = typeof current === "function" ? current : async () => current;
  }

  /** `undefined`: it has still to be read. */
  get current(): RequestSession<Data> | undefined {
    return this.#current;
  }

  async load(): Promise<RequestSession<Data>> {
    return (this.#current ??= await this.#read());
  }

  /** Takes over a Session that the framework has made. */
  show(session: FrameworkSession): void {
    this.session = session;
    const { cookie } = session;
    if (cookie) defineMaxAge(cookie);
    this.#cookieEnd = cookie ? endOf(cookie) : null;
  }

  /** Whether the response may set the Session's cookie, or clear another. */
  hasCookie(session: FrameworkSession): boolean {
    const { current } = this;
    // The framework has keys of the application on its Session, as data have.
    return (
      !current || (current.token === session.sessionId && current.maySetCookie(session as object as Data))
    );
  }

  /** @param stored the data that the Session has been made of */
  noteLoaded({ cookie }: FrameworkSession, stored: Data): void {
    this.#cookie = cookie && {
      stored: (stored as StoredData)["cookie"],
      shown: JSON.stringify(settingsOf(cookie)),
    };
    this.#cookieEnd = cookie ? endOf(cookie) : null;
    if (this.#current) this.#current.maxAge = cookie?.originalMaxAge;
  }

  noteSaved({ cookie }: FrameworkSession): void {
    const settings = cookie && settingsOf(cookie);
    const shown = JSON.stringify(settings);
    if (settings && shown !== this.#cookie?.shown) this.#cookie = { stored: settings, shown };
    this.#cookieEnd = cookie ? endOf(cookie) : null;
  }

  /** The data of a Session. The cookie's settings are as they were stored, unless the application has changed them. */
  dataOf(session: FrameworkSession): Data {
    const settings = session.cookie && settingsOf(session.cookie);
    const isSame = this.#cookie && this.#cookie.shown === JSON.stringify(settings);
    const cookie = isSame ? this.#cookie?.stored : settings;
    const entries = entriesOf(session);
    return (cookie === undefined ? entries : { ...entries, cookie }) as Data;
  }

  /** Replaces the data of the Session in place. */
  fill(session: FrameworkSession, data: Data): void {
    for (const key of Object.keys(entriesOf(session))) Reflect.deleteProperty(session, key);
    const { cookie: _cookie, ...entries } = shownData(data) as StoredData;
    Object.assign(session, entries);
    this.noteLoaded(session, data);
  }

  /** Whether the application has ended the session through `cookie.expires`. */
  isEnded(cookie: FrameworkCookie): boolean {
    return isEnded(cookie, this.#cookieEnd);
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
    this.#begun = asked ?? this.#begun;
    return asked;
  }

  /** Whether a call of `set` is the one that a `regenerate` makes with its Session. */
  takeBegun(token: string): boolean {
    const isBegun = this.#begun === token;
    if (isBegun) this.#begun = undefined;
    return isBegun;
  }
}
