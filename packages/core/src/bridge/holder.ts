import { boundedMap } from "../bounded-map.ts";
import { publish } from "../events.ts";
import type { Session } from "../session.ts";
import type { Sessions } from "../sessions.ts";
import type { UserId } from "../user.ts";
import { type HeldSession, type Holding, holdSession } from "./held-session.ts";
import type { MaxAge } from "./max-age.ts";
import { recentIds } from "./recent-ids.ts";
import { userOfData } from "./user-of-data.ts";

/** What every bridge lets its users choose. */
export interface HolderOptions<Data extends object> {
  /**
   * Whose session it is, told from its data. Default: the option `userId` of `Sessions`; without that,
   * `data.userId ?? data.passport?.user`.
   */
  readonly userId?: (data: Data) => UserId | null | undefined;
  /**
   * A cookie's `maxAge` is the session's idle timeout, also where it is longer than the policy's ("remember me"), within the
   * lifetime. Needs `mayLengthen` of `Sessions`. Default `false`: it may only shorten it.
   */
  readonly maxAgeMayLengthen?: boolean;
}

/** Holds the sessions of a bridge, so that what was loaded is only ever updated. */
export interface SessionHolder<Data extends object> {
  /** The live session of a token, not touched, or `null`. */
  load(token: string): Promise<Session<Data> | null>;
  /**
   * Restarts the idle timeout of a session that `load` answered, for a framework that tells of no use, at most once a
   * `touchEvery`. `null`: it died meanwhile. A failing backend is the event `touch-failed`.
   */
  touch(session: Session<Data>): Promise<Session<Data> | null>;
  /**
   * A session that was loaded.
   *
   * @param seen what the framework was shown of its data, where that is not what `shown` tells; it is read at once
   * @param maxAge what the framework was told of the cookie's
   */
  loaded(token: string, session: Session<Data>, seen: Data | undefined, maxAge: MaxAge): HeldSession<Data>;
  /**
   * A session that was alive at some time, elsewhere: a copy, or one that a cache kept. It is read when it is first written
   * to, and never created.
   *
   * @param seen as in `loaded`. Absent: not known, and the first save replaces what is stored
   */
  known(token: string, seen: Data | undefined, maxAge: MaxAge): HeldSession<Data>;
  /**
   * A session that may be new. The first save creates it, or replaces it where it is alive, or does nothing where it was
   * revoked. An id that this process loaded, made or ended before is never created.
   */
  fresh(token: string): HeldSession<Data>;
  /** This token was made just now and nothing is stored under it: to end it leaves no tombstone. */
  minted(token: string): void;
  /** Whether this process knows the token of a session that it loaded, made or ended. */
  isKnown(token: string): boolean;
  /** Logs out. A later save creates nothing, also where the store kept no tombstone. `true`: it was alive. */
  revoke(token: string): Promise<boolean>;
  /** Tells of a framework's touch that failed before there was anything to touch: the event `touch-failed`. */
  touchFailed(token: string, error: unknown): void;
}

/**
 * @param shown what the framework shows of a stored session's data: keys that never reach an application (`__proto__`, and
 *   what the framework reserves) left out, so that their absence from a save is no deletion
 * @param remembered how many ids of sessions are remembered that were loaded, made or ended, a power of two from 8 on. Default:
 *   more than a process meets while its slowest request runs; a test of what holds without that sets it small
 * @throws TypeError for options of another type, and for `maxAgeMayLengthen` where `Sessions` may not lengthen
 */
export function sessionHolder<Data extends object>(
  sessions: Sessions<Data>,
  options: HolderOptions<Data>,
  shown: (session: Session<Data>) => Data,
  remembered: number = REMEMBERED,
): SessionHolder<Data> {
  if (typeof sessions?.createWithToken !== "function") {
    throw new TypeError("sessions is missing: give new Sessions({ store })");
  }
  const { userId, maxAgeMayLengthen = false } = options;
  if (userId !== undefined && typeof userId !== "function") {
    throw new TypeError(
      "userId must be a function that tells the user from the data: (data) => data.account",
    );
  }
  if (typeof maxAgeMayLengthen !== "boolean") {
    throw new TypeError("maxAgeMayLengthen must be true or false");
  }
  if (maxAgeMayLengthen && !sessions.policy.mayLengthen) {
    throw new TypeError("maxAgeMayLengthen needs new Sessions({ mayLengthen: true })");
  }
  const { codec } = sessions.policy;
  const known = recentIds(remembered);
  // One that is forgotten costs a tombstone and nothing else.
  const minted = boundedMap<true>(remembered / 8);
  const holding: Holding<Data> = {
    sessions,
    userOf: userId ?? (sessions.policy.userId ? undefined : userOfData),
    mayLengthen: maxAgeMayLengthen,
    shown,
    isKnown,
    remember,
    revoke,
    touchFailed,
  };

  return {
    async load(token) {
      const session = await sessions.get(token, { touch: false });
      if (session) known.add(session.id);
      return session;
    },
    touch: (session) => sessions.touch(session),
    loaded: (token, session, seen, maxAge) =>
      holdSession(holding, token, {
        session,
        ...(seen === undefined ? {} : { seen: codec.encode(seen) }),
        maxAge,
        mayCreate: false,
      }),
    known: (token, seen, maxAge) =>
      holdSession(holding, token, {
        ...(seen === undefined ? {} : { seen: codec.encode(seen) }),
        maxAge,
        mayCreate: false,
      }),
    fresh: (token) => holdSession(holding, token, { maxAge: null, mayCreate: true }),
    minted(token) {
      const id = sessions.idOf(token);
      if (id !== null) minted.set(id, true);
    },
    isKnown,
    revoke,
    touchFailed: (token, error) => touchFailed(token, null, error),
  };

  async function revoke(token: string): Promise<boolean> {
    const id = sessions.idOf(token);
    const isStored = id === null || minted.get(id) === undefined;
    remember(token);
    return isStored && sessions.revoke(token);
  }

  function touchFailed(token: string, of: string | null, error: unknown): void {
    publish("touch-failed", { id: sessions.idOf(token), userId: of, error });
  }

  function isKnown(token: string): boolean {
    const id = sessions.idOf(token);
    return id !== null && known.has(id);
  }

  function remember(token: string): void {
    const id = sessions.idOf(token);
    if (id === null) return;
    known.add(id);
    minted.delete(id);
  }
}

/** Ids, half a MB, and with those that were minted at most one and a half. */
const REMEMBERED = 65_536;
