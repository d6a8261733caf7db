import { newToken, type Sessions } from "@tenure/core";
import {
  type HeldSession,
  hiddenValue,
  type HolderOptions,
  sessionHolder,
  type WarningCode,
} from "@tenure/core/bridge";
import { type CookieAge, keysFor, loadedAge, maxAgeOf, savedAge } from "./cookie-age.ts";
import { applicationData, type OwnData, ownData, type StoredData } from "./data.ts";
import type { FrameworkCall, FrameworkContext } from "./framework.ts";
import { unsafeSettings } from "./unsafe-settings.ts";

export interface KoaSessionStoreOptions<
  Data extends object = Record<string, unknown>,
> extends HolderOptions<Data> {
  /** Warnings about unsafe settings that you don't want. Default: none, all are given. */
  readonly silence?: readonly WarningCode[];
}

/** A store for `koa-session`. Hand over its `genid` too. */
export interface KoaSessionStore {
  get(key: string, maxAge: unknown, call?: FrameworkCall): Promise<any>;
  set(key: string, session: object, maxAge: unknown, call?: FrameworkCall): Promise<void>;
  destroy(key: string, call?: FrameworkCall): Promise<void>;
  /**
   * Session keys of 256 bits, for the option `genid` of `koa-session`. Its own are UUIDs of 122, which are refused unless
   * `Sessions` has `minTokenBits: 122`.
   */
  readonly genid: () => string;
}

/**
 * A store for `koa-session` 6 and 7 whose logouts hold: a session that died while a request ran is not brought back by that
 * request's save, and requests that change different keys of one session both keep their change.
 *
 * What is saved unchanged writes no data, and what is loaded or saved restarts the idle timeout once a `touchEvery`, whatever
 * `rolling` and `renew` are. The store alone decides whether a session lives.
 *
 * @throws TypeError for options that are wrong
 */
export function koaSessionStore<Data extends object>(
  sessions: Sessions<Data>,
  options: KoaSessionStoreOptions<Data> = {},
): KoaSessionStore {
  const holder = sessionHolder(
    sessions,
    options,
    ({ data }) => ({ ...applicationData(data as StoredData), ...ownData(data as StoredData) }) as Data,
  );
  const unsafe = unsafeSettings(sessions, options.silence);
  const requests = hiddenValue<RequestState<Data>>();

  return {
    async get(key, configured, call = {}) {
      const found = await holder.load(key);
      // Without `rolling` no other call tells of a page view.
      const session = found && (await holder.touch(found));
      if (!session) return null;
      const data = session.data as StoredData;
      const own = ownData(data);
      const age = loadedAge(own, configured);
      const seen = applicationData(data);
      const held = holder.loaded(key, session, undefined, maxAgeOf(age));
      stateOf(call.ctx).sessions.set(key, { held, own, age });
      return { ...seen, ...own, ...freshEnd(own, call) };
    },

    async set(key, session, _ttl, call = {}) {
      unsafe.warnOfCookie(call.ctx);
      const state = stateOf(call.ctx);
      const saved = session as StoredData;
      const known = state.sessions.get(key);
      if (!known) {
        unsafe.refuseWeakKey(key);
        // `regenerate` keeps the data, and would log in again whom another request has logged out.
        if (state.hasLostSession) await holder.revoke(key);
      }
      const mark = known ?? { held: holder.fresh(key), own: {}, age: undefined };
      state.sessions.set(key, mark);
      const age = savedAge(saved, call.ctx, mark.age ?? state.age);
      const own = nextOwnData(mark, age, saved, call);
      await mark.held.save({ ...applicationKeys(saved), ...own } as Data, maxAgeOf(age));
      mark.own = own;
      mark.age = age;
      state.age = age;
    },

    async destroy(key, call = {}) {
      const state = stateOf(call.ctx);
      const held = state.sessions.get(key)?.held;
      const wasSomebodys = held !== undefined && held.userId !== null;
      const wasAlive = await holder.revoke(key);
      if (wasSomebodys && !wasAlive) state.hasLostSession = true;
    },

    genid() {
      const token = newToken();
      holder.minted(token);
      return token;
    },
  };

  /** Without a context, as when the application calls the store itself, nothing is remembered. */
  function stateOf(ctx: FrameworkContext | undefined): RequestState<Data> {
    const state = (ctx && requests.get(ctx)) ?? {
      sessions: new Map(),
      hasLostSession: false,
      age: undefined,
    };
    if (ctx) requests.set(ctx, state);
    return state;
  }
}

/** What one request loaded and saved. */
interface RequestState<Data extends object> {
  readonly sessions: Map<string, Mark<Data>>;
  /** It destroyed somebody's session, which had died meanwhile. */
  hasLostSession: boolean;
  /** Of its last save. */
  age: CookieAge;
}

interface Mark<Data extends object> {
  readonly held: HeldSession<Data>;
  /** The framework's own keys as they were loaded or last saved, and the age of the cookie then. */
  own: OwnData;
  age: CookieAge;
}

/**
 * With `rolling` every response moves the cookie's end, so none is stored: a page view is no reason to write. koa-session
 * takes a session past its `_expire` for dead, so it gets one that is to come: the store knows whether the session lives.
 */
function freshEnd({ _maxAge }: OwnData, { rolling }: FrameworkCall): OwnData {
  return rolling && _maxAge !== undefined ? { _expire: Date.now() + _maxAge } : {};
}

/** The own keys to store: only what changed, and the cookie's end where it is worth knowing. */
function nextOwnData(
  { own, age: before }: { readonly own: OwnData; readonly age: CookieAge },
  age: CookieAge,
  saved: StoredData,
  { rolling }: FrameworkCall,
): OwnData {
  const kept = age === before ? own : keysFor(age);
  const { _expire } = saved;
  return typeof age === "number" && !rolling && _expire !== undefined ? { ...kept, _expire } : kept;
}

/** The rest is what koa-session put there itself. */
function applicationKeys({ _expire, _maxAge, _session, ...data }: StoredData): StoredData {
  return data;
}
