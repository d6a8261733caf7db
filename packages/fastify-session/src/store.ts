import { newToken, type Sessions } from "@tenure/core";
import {
  type HeldSession,
  hiddenValue,
  type HolderOptions,
  sessionHolder,
  type WarningCode,
} from "@tenure/core/bridge";
import { dataOf, maxAgeOf, shownData, type StoredData } from "./data.ts";
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
  readonly idGenerator: () => string;
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
  const holder = sessionHolder(sessions, options, ({ data }) => shownData(data as StoredData) as Data);
  const warnOfUnsafeSettings = unsafeSettings(options.silence);
  /** What was loaded or saved, by the framework's own Session. */
  const marks = hiddenValue<Mark<Data>>();
  /** Set while the callback of `destroy` runs: `regenerate` calls `set` from there, from 11.1.3 on. */
  let ending: Ending | "failed" | undefined;

  return {
    get(sessionId, callback) {
      answer(load(sessionId), callback);
    },

    set(sessionId, session, callback) {
      answer(save(sessionId, session as FrameworkSession), (error) => callback(error));
    },

    destroy(sessionId, callback) {
      answer(end(sessionId), (error, ended) => {
        ending = ended ?? "failed";
        try {
          callback(error);
        } finally {
          ending = undefined;
        }
      });
    },

    idGenerator() {
      const token = newToken();
      holder.minted(token);
      return token;
    },
  };

  async function load(token: string): Promise<object | null> {
    const found = await holder.load(token);
    // With `rolling: false` no other call tells of a page view.
    const session = found && (await holder.touch(found));
    if (!session) return null;
    return tellingIdentity(shownData(session.data as StoredData), (shown) => {
      const held = holder.loaded(token, session, dataOf(shown) as Data, maxAgeOf(shown.cookie));
      marks.set(shown, { held });
    });
  }

  async function save(token: string, session: FrameworkSession): Promise<void> {
    warnOfUnsafeSettings(session);
    const known = marks.get(session);
    const replaced = known ? undefined : replacedBy(session);
    const isLost = !known && ending !== undefined && !mayFollow(ending, replaced);
    // From here on it is never created.
    const lost = isLost ? holder.revoke(token) : undefined;
    const mark = known ?? { held: holder.fresh(token), ...(ending ? {} : { replaced }) };
    marks.set(session, mark);
    const saving = mark.held.save(dataOf(session) as Data, maxAgeOf(session.cookie));
    const [isAlive] = await Promise.all([saving, lost]);
    if (!isAlive || mark.replaced === undefined) return;
    await replace(mark.replaced, token);
    delete mark.replaced;
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
  /** The session that it is to take the place of. */
  replaced?: FrameworkSession | undefined;
}

/** The session that `regenerate` puts this one in the place of: the request has the old one until the new one is saved. */
function replacedBy(session: FrameworkSession): FrameworkSession | undefined {
  const old = requestOf(session)?.session;
  return old && old !== session && old.sessionId !== undefined ? (old as FrameworkSession) : undefined;
}

/** Calls back outside of the promise, where what the callback throws is its own affair. */
function answer<Value>(work: Promise<Value>, callback: (error: unknown, value?: Value) => void): void {
  work.then(
    (value) => process.nextTick(callback, null, value),
    (error: unknown) => process.nextTick(callback, error),
  );
}
