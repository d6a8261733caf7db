import { newToken, type Sessions } from "@tenure/core";
import { type HolderOptions, type SessionHolder, sessionHolder, type WarningCode } from "@tenure/core/bridge";
import { type CookieAge, keysFor, loadedAge, maxAgeOf, savedAge, settleMaxAge } from "./cookie-age.ts";
import { applicationData, type OwnData, ownData, type StoredData } from "./data.ts";
import type { FrameworkCall, FrameworkContext, FrameworkSession } from "./framework.ts";
import { type Mark, requestStates } from "./request-state.ts";
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
   * `Sessions` has `minTokenBits: 122`. Given the context, as koa-session gives it, to regenerate or end a session that was
   * never stored leaves no tombstone.
   */
  readonly genid: (ctx?: object) => string;
  /**
   * Gives the session of a request a new key and leaves the old one dead: at login and at every change of privilege, instead of
   * `ctx.session.regenerate` (ASVS 5.0 7.2.4). Data, creation and end are kept, and what this request has changed so far is
   * saved. `ctx.session` is another object afterwards. The new key is one of this store's, also where `genid` is not.
   *
   * `false`: somebody's session died during the request, and there is nothing to log in with. `ctx.session` is as before and
   * saving it does nothing: send the user to the login page.
   *
   * @throws TypeError where there is no session
   */
  rotate(ctx: object): Promise<boolean>;
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
  return storeOn(sessions, holderFor(sessions, options), options);
}

/** @param remembered how many ids it remembers. Default: as many as a holder does */
export function holderFor<Data extends object>(
  sessions: Sessions<Data>,
  options: HolderOptions<Data>,
  remembered?: number,
): SessionHolder<Data> {
  return sessionHolder(
    sessions,
    options,
    ({ data }) => ({ ...applicationData(data as StoredData), ...ownData(data as StoredData) }) as Data,
    remembered,
  );
}

export function storeOn<Data extends object>(
  sessions: Sessions<Data>,
  holder: SessionHolder<Data>,
  { silence }: Pick<KoaSessionStoreOptions, "silence">,
): KoaSessionStore {
  const unsafe = unsafeSettings(sessions, silence);
  const stateOf = requestStates<Data>();

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
      const state = stateOf(call.ctx);
      const held = holder.loaded(key, session, undefined, maxAgeOf(age));
      state.sessions.set(key, { held, own, age });
      state.key = key;
      return { ...seen, ...own, ...freshEnd(own, call) };
    },

    async set(key, session, _ttl, call = {}) {
      unsafe.warnOfCookie(call.ctx);
      if (call.ctx) settleMaxAge(call.ctx);
      const state = stateOf(call.ctx);
      const saved = session as StoredData;
      const mark = state.sessions.get(key) ?? begin(key, state.hasLostSession);
      const age = savedAge(saved, call.ctx, mark.age ?? state.age);
      const own = nextOwnData(mark, age, saved, call);
      // Before anything is awaited: a request may save again without waiting for this save.
      state.sessions.set(key, { ...mark, own, age });
      state.key = key;
      state.age = age;
      await mark.held.save({ ...applicationKeys(saved), ...own } as Data, maxAgeOf(age));
    },

    async destroy(key, call = {}) {
      const state = stateOf(call.ctx);
      const held = state.sessions.get(key)?.held;
      if (key === state.ended || (!held && isMinted(state, key))) return;
      const wasSomebodys = held !== undefined && held.userId !== null;
      const wasAlive = await holder.revoke(key);
      if (wasSomebodys && !wasAlive) state.hasLostSession = true;
      if (!wasAlive) return;
      // By this request itself, which may log in anew.
      state.sessions.delete(key);
      state.ended = key;
    },

    genid(ctx) {
      const token = newToken();
      stateOf(ctx).minted = token;
      return token;
    },

    async rotate(ctx: FrameworkContext) {
      const { session: before } = ctx;
      if (!before) {
        throw new TypeError(
          "there is no ctx.session to rotate: the middleware comes first, and a session that was ended is none",
        );
      }
      const state = stateOf(ctx);
      const key = state.key ?? before.externalKey ?? "";
      const loaded = state.sessions.get(key);
      // Never stored, so that nobody can know its key.
      if (!loaded && (before.isNew || isMinted(state, key))) return true;
      if (!loaded && key === state.ended) {
        await before.regenerate();
        return true;
      }
      const mark = loaded ?? unloaded(key);
      const { held } = mark;
      const wasKnown = holder.isKnown(key);
      const rotated = await held.rotate();
      if (rotated === "new") return true;
      const wasNobodys = held.userId === undefined ? !wasKnown : held.userId === null;
      if (!rotated && !wasNobodys) return false;
      const { session: now } = ctx;
      if (!now) {
        // Logged out meanwhile, by the key that is dead now.
        if (rotated) await holder.revoke(rotated.held.token);
        return false;
      }
      if (!rotated) await now.regenerate();
      else await succeed(ctx, now, { ...mark, held: rotated.held });
      return true;
    },
  };

  /** One that a cache before this store has answered, or that was made under a key of the application's. */
  function unloaded(key: string): Mark<Data> {
    return { held: holder.known(key, undefined, null), own: {}, age: undefined };
  }

  /** For a session that this request has not loaded. */
  function begin(key: string, hasLostSession: boolean): Mark<Data> {
    unsafe.refuseWeakKey(key);
    // `regenerate` keeps the data, and would log in again whom another request has logged out.
    return hasLostSession ? unloaded(key) : { held: holder.fresh(key), own: {}, age: undefined };
  }

  /** Has the framework go on under the key of a rotation. */
  async function succeed(ctx: FrameworkContext, session: FrameworkSession, mark: Mark<Data>): Promise<void> {
    const state = stateOf(ctx);
    const { token } = mark.held;
    state.ended = state.key;
    state.sessions.set(token, mark);
    // The request's own copy.
    const options = ctx.sessionOptions ?? {};
    const { genid } = options;
    options.genid = () => token;
    try {
      await session.regenerate();
    } catch (error) {
      await holder.revoke(token).catch(() => undefined);
      throw error;
    } finally {
      options.genid = genid;
    }
    // The one there is goes on telling the old key.
    if (ctx.session) Object.assign(ctx, { session: session.toJSON() });
  }
}

/** Whether it was made for this request, and so is known to nobody as long as nothing is stored under it. */
function isMinted({ minted }: { readonly minted: string | undefined }, key: string): boolean {
  return minted !== undefined && key.endsWith(minted);
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
