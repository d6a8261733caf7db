import { newToken, type Sessions } from "@tenure/core";
import {
  answer,
  type HeldSession,
  hiddenValue,
  type HolderOptions,
  type SessionHolder,
  sessionHolder,
  type WarningCode,
} from "@tenure/core/bridge";
import { type CookieEnd, endOf, maxAgeOf, settleMaxAge } from "./cookie.ts";
import { answeredData, blankData, dataOf, isBlank, shownData, type StoredData } from "./data.ts";
import { type FrameworkSession, requestOf } from "./framework.ts";
import { tellingIdentity } from "./identity.ts";
import { unsafeSettings } from "./unsafe-settings.ts";

export interface FastifySessionStoreOptions<
  Data extends object = Record<string, unknown>,
> extends HolderOptions<Data> {
  /** Warnings about unsafe settings that you don't want. Default: none, all are given. */
  readonly silence?: readonly WarningCode[];
}

/** A store for `@fastify/session`. Hand over its `idGenerator` too. */
export interface FastifySessionStore {
  get(sessionId: string, callback: (error: unknown, session?: any) => void): void;
  set(sessionId: string, session: object, callback: (error?: unknown) => void): void;
  destroy(sessionId: string, callback: (error?: unknown) => void): void;
  /**
   * Session ids of 256 bits, for the option `idGenerator` of `@fastify/session`, whose own have 192. Where it makes them, to
   * regenerate or destroy a session that was never stored leaves no tombstone.
   */
  readonly idGenerator: (request?: object) => string;
  /**
   * Gives the session of a request a new id and leaves the old one dead: at login and at every change of privilege, instead of
   * `request.session.regenerate` (ASVS 5.0 7.2.4). Data, cookie, creation and end are kept, changes that this request has not
   * saved yet included. `request.session` is another object afterwards. Needs this store's `idGenerator`.
   *
   * `false`: somebody's session died during the request, and there is nothing to log in with. `request.session` is as before
   * and saving it does nothing: send the user to the login page.
   *
   * @throws TypeError where there is no session, and for another `idGenerator`: then the session is ended
   */
  rotate(request: RotatableRequest): Promise<boolean>;
}

/** What `rotate` uses of a request. */
export interface RotatableRequest {
  session: object | null;
}

/**
 * A store for `@fastify/session` 10 and 11 whose logouts hold: a session that died while a request ran is not brought back
 * by that request's save, and requests that change different keys of one session both keep their change.
 *
 * The framework never calls `touch` and saves on every response: what is saved unchanged writes no data, and what is loaded
 * or saved restarts the idle timeout once a `touchEvery`.
 *
 * @throws TypeError for options that are wrong
 */
export function fastifySessionStore<Data extends object>(
  sessions: Sessions<Data>,
  options: FastifySessionStoreOptions<Data> = {},
): FastifySessionStore {
  return storeOn(holderFor(sessions, options), options);
}

/** @param remembered how many ids it remembers. Default: as many as a holder does */
export function holderFor<Data extends object>(
  sessions: Sessions<Data>,
  options: HolderOptions<Data>,
  remembered?: number,
): SessionHolder<Data> {
  return sessionHolder(sessions, options, ({ data }) => shownData(data as StoredData) as Data, remembered);
}

export function storeOn<Data extends object>(
  holder: SessionHolder<Data>,
  { silence }: Pick<FastifySessionStoreOptions, "silence">,
): FastifySessionStore {
  const warnOfUnsafeSettings = unsafeSettings(silence);
  /** What was loaded or saved, by the framework's own Session. */
  const marks = hiddenValue<Mark<Data>>();
  /** The id that was made last, by the request that it was made for. */
  const minted = hiddenValue<string>();
  /** Set while the callback of `destroy` runs: `regenerate` calls `set` from there, from 11.1.3 on. */
  let ending: Ending | "failed" | undefined;
  /** Set while `regenerate` runs for `rotate`, which it does in one go: what the Session it makes stands for. */
  let successor: HeldSession<Data> | undefined;

  return {
    get(sessionId, callback) {
      answer(() => load(sessionId), callback);
    },

    set(sessionId, session, callback) {
      if (successor) adopt(successor, sessionId, session as FrameworkSession, callback);
      else answer(() => save(sessionId, session as FrameworkSession), callback);
    },

    destroy(sessionId, callback) {
      if (successor) return callback();
      answer(
        () => end(sessionId),
        (error, ended) => {
          ending = ended ?? "failed";
          try {
            callback(error);
          } finally {
            ending = undefined;
          }
        },
      );
    },

    idGenerator(request) {
      if (successor) return successor.token;
      const token = newToken();
      holder.minted(token);
      if (request) minted.set(request, token);
      return token;
    },

    rotate,
  };

  async function load(token: string): Promise<object | null> {
    const found = await holder.load(token);
    // With `rolling: false` no other call tells of a page view.
    const session = found && (await holder.touch(found));
    if (!session) return null;
    return tellingIdentity(answeredData(session.data as StoredData), (shown) => {
      const held = holder.loaded(token, session, dataOf(shown) as Data, maxAgeOf(shown.cookie));
      marks.set(shown, { held, cookie: endOf(shown.cookie) });
    });
  }

  async function save(token: string, session: FrameworkSession): Promise<void> {
    warnOfUnsafeSettings(session);
    const known = marks.get(session);
    if (session.cookie) settleMaxAge(session.cookie, known?.cookie);
    const data = dataOf(session);
    const maxAge = maxAgeOf(session.cookie);
    const mark = known ?? begin(token, session, data);
    mark.cookie = endOf(session.cookie);
    marks.set(session, mark);
    const saving = mark.held.save(data as Data, maxAge);
    const [isAlive] = await Promise.all([saving, mark.ending]);
    if (!isAlive || mark.replaced === undefined) return;
    await replace(mark.replaced, token);
    delete mark.replaced;
  }

  /**
   * For what was not loaded: a new Session, or one that `reload` made under an old id because its `get` failed or found nothing,
   * or an object of the application's, which is to replace what is stored.
   */
  function begin(token: string, session: FrameworkSession, data: StoredData): Mark<Data> {
    const request = requestOf(session);
    if (!request) return { held: holder.fresh(token) };
    if (holder.isKnown(token)) return unloaded(token, session, data);
    const replaced = replacedBy(session);
    const held = holder.fresh(token);
    // Where the request has destroyed its session itself, there is none that it could take a user over from.
    if (ending === undefined || request.session === null) return { held, replaced };
    // From here on it is never created.
    return mayFollow(ending, replaced) ? { held } : { held, ending: holder.revoke(token) };
  }

  /**
   * One that `reload` made where its `get` failed or found nothing, or that a cache before this store has answered, or under an
   * id of the application's.
   */
  function unloaded(token: string, session: FrameworkSession, data: StoredData): Mark<Data> {
    return { held: holder.known(token, blankData(data) as Data, maxAgeOf(session.cookie)) };
  }

  /** Before 11.1.3 `regenerate` leaves the old session alive. */
  async function replace(old: FrameworkSession, token: string): Promise<void> {
    try {
      if (!mayFollow(await end(old.sessionId), old)) await holder.revoke(token);
    } catch (error) {
      await holder.revoke(token).catch(() => undefined);
      throw error;
    }
  }

  async function end(token: string): Promise<Ending> {
    const wasKnown = holder.isKnown(token);
    return { wasAlive: await holder.revoke(token), wasKnown };
  }

  async function rotate(request: RotatableRequest): Promise<boolean> {
    const { session: old } = request;
    if (!isSession(old)) {
      throw new TypeError(
        "there is no request.session to rotate: the plugin comes first, and a session that was destroyed is none",
      );
    }
    const loaded = marks.get(old);
    // Never stored, so that nobody can know its id.
    if (!loaded && minted.get(request) === old.sessionId) return true;
    const wasKnown = holder.isKnown(old.sessionId);
    const data = dataOf(old);
    // What `reload` made without data. The framework sends no cookie for a new Session as empty as that.
    if (!loaded && wasKnown && isBlank(data)) return false;
    const mark = loaded ?? unloaded(old.sessionId, old, data);
    const { held } = mark;
    const rotated = await held.rotate();
    if (rotated === "new") return true;
    const wasNobodys = held.userId === undefined ? !wasKnown : held.userId === null;
    if (!rotated && !wasNobodys) return false;
    if (request.session !== old) {
      // Logged out meanwhile, by the id that is dead now.
      if (rotated) await holder.revoke(rotated.held.token);
      return false;
    }
    await (rotated ? succeed(old, rotated.held) : old.regenerate());
    // Of the old Session's keys only, not of its symbols: the framework's own are among them.
    Object.assign(request.session, Object.fromEntries(Object.entries(old)));
    const made = marks.get(request.session);
    if (made && mark.cookie) made.cookie = mark.cookie;
    return true;
  }

  /** Lets the framework make the Session that goes on, without a save: the rotation has stored it. */
  async function succeed(old: FrameworkSession, held: HeldSession<Data>): Promise<void> {
    let made: Promise<void>;
    successor = held;
    try {
      made = old.regenerate();
    } finally {
      successor = undefined;
    }
    try {
      await made;
    } catch (error) {
      await holder.revoke(held.token);
      throw error;
    }
  }

  function adopt(
    held: HeldSession<Data>,
    token: string,
    session: FrameworkSession,
    callback: (error?: unknown) => void,
  ): void {
    if (token !== held.token) {
      callback(new TypeError("rotate needs @fastify/session's option idGenerator: store.idGenerator"));
      return;
    }
    marks.set(session, { held });
    callback();
  }

  /**
   * Where somebody's session died during the request, there is nothing to log in with: an application that takes the user over
   * would log in again whom another request has logged out.
   */
  function mayFollow(ended: Ending | "failed", old: FrameworkSession | undefined): boolean {
    if (ended === "failed") return false;
    const mark = old && marks.get(old);
    return ended.wasAlive || (mark ? mark.held.userId === null : !ended.wasKnown);
  }
}

/** What a session was when it was destroyed. */
interface Ending {
  readonly wasAlive: boolean;
  /** This process has loaded or stored it, of late. */
  readonly wasKnown: boolean;
}

interface Mark<Data extends object> {
  readonly held: HeldSession<Data>;
  /** The cookie's end as it was loaded or last saved. */
  cookie?: CookieEnd;
  /** The session that it is to take the place of. */
  replaced?: FrameworkSession | undefined;
  /** Under way where it may not take that place. */
  readonly ending?: Promise<unknown>;
}

/** The session that `regenerate` puts this one in the place of: the request has the old one until the new one is saved. */
function replacedBy(session: FrameworkSession): FrameworkSession | undefined {
  const old = requestOf(session)?.session;
  return old && old !== session && old.sessionId !== undefined ? (old as FrameworkSession) : undefined;
}

function isSession(session: object | null): session is FrameworkSession {
  return session !== null && (session as Partial<FrameworkSession>).sessionId !== undefined;
}
