import type { Session } from "@tenure/core";
import { type HeldSession, type HiddenValue, hiddenValue, type SessionHolder } from "@tenure/core/bridge";
import type { SessionData } from "express-session";
import { maxAgeOf, type StoredCookie, storedCookie } from "./stored-cookie.ts";
import { loadedData, shownData, storedData } from "./stored-data.ts";

/** What a session object stands for that the framework, or an application, hands to the store. */
export interface Mark<Data extends object> {
  readonly held: HeldSession<Data>;
  /** The cookie's settings as they are stored. */
  cookie: StoredCookie | undefined;
}

/** Tells a session that was loaded from a new one, by the very object. */
export class Marks<Data extends object> {
  readonly #holder: SessionHolder<Data>;
  readonly #marks: HiddenValue<Mark<Data>> = hiddenValue();
  /** What `get` answered, until it is saved, or made a `req.session` of. */
  readonly #loaded: HiddenValue<Loaded<Data>> = hiddenValue();

  constructor(holder: SessionHolder<Data>) {
    this.#holder = holder;
  }

  /** A stored session as `get` answers it. */
  answer(token: string, session: Session<Data>): SessionData {
    const data = loadedData(session);
    this.#loaded.set(data, { token, session, cookie: storedCookie(data.cookie) });
    return data;
  }

  set(object: object, mark: Mark<Data>): void {
    this.#marks.set(object, mark);
  }

  /** The new session of a request. Its first save creates it. */
  setNew(object: object, token: string): void {
    this.set(object, { held: this.#holder.fresh(token), cookie: undefined });
  }

  /**
   * The session of a request, made of `from`. If `get` didn't answer that, it is a copy, from a cache or a clone: it was alive
   * once, so it is never created either.
   *
   * @param cookie of `from`, before it was given the middleware's own for want of one
   */
  setLoaded(object: SessionData, token: string, from: object, cookie: StoredCookie | undefined): void {
    const loaded = this.#loaded.get(from);
    const maxAge = maxAgeOf(object.cookie);
    const seen = (): Data => storedData(object) as Data;
    const held =
      loaded?.token === token
        ? this.#holder.loaded(token, loaded.session, cookie ? undefined : seen(), maxAge)
        : this.#holder.known(token, seen(), maxAge);
    this.set(object, { held, cookie: cookie ?? storedCookie(object.cookie) });
  }

  /** What an object stands for under this token. */
  of(object: object, token: string): Mark<Data> | undefined {
    const mark = this.ofAny(object);
    return mark?.held.token === token ? mark : undefined;
  }

  /** What an object stands for, under whatever token. */
  ofAny(object: object): Mark<Data> | undefined {
    const mark = this.#marks.get(object);
    const loaded = mark ? undefined : this.#loaded.get(object);
    if (!loaded) return mark;
    const { token, session, cookie } = loaded;
    const made = { held: this.#holder.loaded(token, session, undefined, maxAgeOf(cookie)), cookie };
    this.set(object, made);
    return made;
  }

  /** For an object that stands for nothing. `null`: no session with this token lives. */
  async ofStored(token: string): Promise<Mark<Data> | null> {
    const found = await this.#holder.load(token);
    if (!found) return null;
    const { cookie } = loadedData(found);
    const maxAge = maxAgeOf(cookie);
    const held = this.#holder.loaded(token, found, shownData(found) as Data, maxAge);
    return { held, cookie: storedCookie(cookie, maxAge) };
  }
}

interface Loaded<Data extends object> {
  readonly token: string;
  readonly session: Session<Data>;
  readonly cookie: StoredCookie | undefined;
}
