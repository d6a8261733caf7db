import type { Sessions } from "@tenure/core";
import {
  assertOptions,
  Bridge,
  type BridgeOptions,
  hiddenValue,
  isOwnToken,
  type RequestSession,
  type SessionCalls,
  warnOnce,
} from "@tenure/core/bridge";
import { keepCookie, warnOfSettings } from "./cookie.ts";
import { isShown, type StoredData } from "./data.ts";
import type { ApplicationContext, FrameworkContext, FrameworkOptions, RequestContext } from "./framework.ts";
import { KoaRequest } from "./koa-request.ts";

/** Options of `koaSessionStore`. */
export type KoaSessionStoreOptions = BridgeOptions<RequestContext>;

/** Passed by koa-session with each call. */
export interface StoreCall {
  /** Koa's context. */
  readonly ctx?: any;
  readonly rolling?: boolean;
}

/**
 * A store for koa-session. Pass its `genid` to the middleware as well. Its calls take Koa's context. After
 * `logIn` and `rotate`, `ctx.session` is another object. After `logOut` it is `null`, and the cookie is
 * cleared.
 */
export interface KoaSessionStore extends SessionCalls<object> {
  get(key: string, maxAge?: unknown, call?: StoreCall): Promise<any>;
  set(key: string, session: object, maxAge?: unknown, call?: StoreCall): Promise<void>;
  /** Without `call`, ends a session by its key, or by its id as lists show it. */
  destroy(keyOrId: string, call?: StoreCall): Promise<void>;
  /** The middleware's option `genid`. Returns keys whose secret a login can replace in place. */
  readonly genid: (ctx: object) => string;
}

/**
 * Returns a store for koa-session 6.4 and 7 whose logouts hold. A request's save does not revive a session
 * that ended while the request ran, and requests that change different keys of one session both keep their
 * changes.
 *
 * @throws TypeError for invalid or unknown options
 */
export function koaSessionStore<Data extends object>(
  sessions: Sessions<Data>,
  options: KoaSessionStoreOptions = {},
): KoaSessionStore {
  assertOptions(options, ["silence", "isUse"]);
  const warn = warnOnce(options.silence);
  const bridge = new Bridge<Data>(sessions, warn, isShown);

  return {
    async get(key, configured, { ctx, rolling } = {}) {
      const loaded = await bridge.load(tokenIn(key));
      const session = bridge.request(loaded, { isUse: isUse(ctx) });
      const data = loaded.session && (bridge.shown(loaded.session.data) as StoredData);
      if (ctx) open(ctx, session, data, configured as FrameworkOptions["maxAge"]);
      if (!data) return null;
      const { _maxAge } = data;
      // koa-session treats a session past its `_expire` as dead. With `rolling`, its end moves and is not
      // stored.
      return rolling && _maxAge !== undefined ? { ...data, _expire: Date.now() + _maxAge } : data;
    },

    async set(key, session, _ttl, { ctx } = {}) {
      const token = tokenIn(key);
      if (!ctx) return replace(token, session as Data);
      warnOfSettings(warn, ctx);
      const { sessionOptions } = ctx as FrameworkContext;
      // With a `maxAge` of NaN or Infinity, setting the cookie after the save would throw.
      if (typeof sessionOptions?.maxAge === "number" && !Number.isFinite(sessionOptions.maxAge)) {
        sessionOptions.maxAge = undefined;
      }
      const known = requestKnown(ctx);
      if (known?.has(token)) return known.save(session as StoredData);
      if (!isOwnToken(token) && !(await bridge.load(token)).session) {
        throw new TypeError(
          "this store did not generate the session key: pass genid: store.genid to koa-session, as well as store",
        );
      }
      return openCopy(ctx, token, session).save(session as StoredData);
    },

    async destroy(keyOrId, { ctx } = {}) {
      const token = tokenIn(keyOrId);
      if (!ctx) return bridge.end(token);
      const known = requestKnown(ctx);
      if (known?.isMoving) return undefined;
      const request = known?.has(token) ? known : openCopy(ctx, token);
      return ctx.session === null ? request.end() : request.regenerate();
    },

    genid(ctx) {
      if (!isObject(ctx)) {
        throw new TypeError(
          "genid needs Koa's context: pass genid: store.genid, or (ctx) => `shop:${store.genid(ctx)}`",
        );
      }
      const context = ctx as FrameworkContext;
      const known = requestKnown(ctx);
      return (known ?? open(context, bridge.request(undefined, { isUse: isUse(context) }))).nextToken();
    },

    async logIn(ctx, user, login) {
      return { refused: await requestOf(ctx).logIn(user, login) };
    },

    async logOut(ctx) {
      return requestOf(ctx).logOut();
    },

    async logOutEverywhere(ctx, everywhere) {
      return requestOf(ctx).logOutEverywhere(everywhere);
    },

    async rotate(ctx) {
      return requestOf(ctx).rotate();
    },

    userOf(given) {
      const ctx = contextOf(given);
      const request = requestKnown(ctx);
      if (request && request.session.state !== "unread") return request.userId;
      if (!request) keyOf(ctx);
      throw new TypeError(
        "a cache in front of this store supplied the session, so its user is not known yet: call sessions.get(ctx.session.externalKey)",
      );
    },
  };

  function isUse(ctx: FrameworkContext | undefined): boolean {
    return ctx === undefined || options.isUse?.(ctx) !== false;
  }

  function open(
    ctx: FrameworkContext,
    session: RequestSession<Data>,
    data?: StoredData | null,
    configured?: FrameworkOptions["maxAge"],
  ): KoaRequest<Data> {
    const request = new KoaRequest(bridge, ctx, session, data, configured);
    requests.set(ctx, request);
    watch(ctx.app.context);
    return request;
  }

  /**
   * Returns the request of a context. `undefined`: no store has opened it.
   *
   * @throws TypeError if another store has
   */
  function requestKnown(ctx: object): KoaRequest<Data> | undefined {
    const request: KoaRequest<Data> | undefined = requests.get(ctx);
    if (!request || request.isOf(bridge)) return request;
    throw new TypeError(
      "the session belongs to another store: call koaSessionStore once, pass koa-session that store and its genid, and call logIn, logOut and userOf of the same store",
    );
  }

  /** Opens the session of a request that loaded it from a cache in front of this store. */
  function openCopy(ctx: FrameworkContext, token: string, saved?: object): KoaRequest<Data> {
    const data = (saved ?? ctx.session?.toJSON() ?? {}) as Data;
    const copy = { token, data, mayBeChanged: true };
    return open(ctx, bridge.requestOfCopy(copy, { isUse: isUse(ctx) }));
  }

  function requestOf(given: object): KoaRequest<Data> {
    const ctx = contextOf(given);
    warnOfSettings(warn, ctx);
    const known = requestKnown(ctx);
    if (!known) return openCopy(ctx, tokenIn(keyOf(ctx)));
    const key = ctx.session?.externalKey;
    return key === undefined || known.has(tokenIn(key)) ? known : openCopy(ctx, tokenIn(key));
  }

  /**
   * Returns the key of a session that a cache has supplied.
   *
   * @throws TypeError if koa-session has not run. Reading `ctx.session` then creates a session
   */
  function keyOf(ctx: FrameworkContext): string {
    const key = ctx.session?.externalKey;
    return key === undefined || requestKnown(ctx) ? notRun() : key;
  }

  /** For an application that calls `set` without a request. */
  async function replace(token: string, data: Data): Promise<void> {
    const session = await sessions.get(token);
    if (session && (await sessions.save(session, data))) return;
    throw new TypeError(
      "set without Koa's context can only change a live session. A wrapper of this store must pass on the last argument, which only koa-session gives. Without a request, create a session with sessions.create(data)",
    );
  }
}

/** The requests of all stores, by Koa's context. */
const requests = hiddenValue<KoaRequest<any>>();

const watched = new WeakSet<object>();

/**
 * Observes assignments to `ctx.session`, which koa-session does not report to the store, and responses to
 * errors. All requests of an application share one setter and one error handler.
 */
function watch(context: ApplicationContext): void {
  if (watched.has(context)) return;
  watched.add(context);
  // oxlint-disable-next-line typescript/unbound-method -- called with its `this` below
  const { onerror } = context;
  if (onerror) Object.assign(context, { onerror: respondToError });
  const session = Object.getOwnPropertyDescriptor(context, "session");
  if (!session?.set || !session.configurable) return;
  // oxlint-disable-next-line typescript/unbound-method -- called with its `this` below
  const assign = session.set;
  Object.defineProperty(context, "session", {
    ...session,
    set(this: object, value: unknown) {
      requests.get(this)?.noteAssigned(value);
      assign.call(this, value);
    },
  });

  function respondToError(this: FrameworkContext, error: unknown): void {
    const respond = (): void => onerror?.call(this, error);
    // Koa also calls it without an error, after each response.
    if (error && requests.get(this)) keepCookie(this, respond);
    else respond();
  }
}

/**
 * Returns Koa's own context, even for a proxy of it or an object that inherits from it.
 *
 * @throws TypeError for any other object
 */
function contextOf(given: unknown): FrameworkContext {
  const ctx = isObject(given) ? ((given as Partial<FrameworkContext>).request?.ctx ?? given) : undefined;
  return (ctx as FrameworkContext | undefined)?.sessionOptions ? (ctx as FrameworkContext) : notRun();
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function notRun(): never {
  throw new TypeError(
    "koa-session has not run for this request, or this is not Koa's ctx: call app.use(session({ store, genid: store.genid }, app)) first, and pass ctx",
  );
}

/**
 * Returns the token in a session key. An application's `genid` may prefix it: `shop:${store.genid(ctx)}`. A
 * key that does not end with one of Tenure's tokens is returned unchanged.
 */
function tokenIn(key: string): string {
  return OWN_TOKEN.exec(key)?.[0] ?? key;
}

/** An id of 22 characters, or 43 if a framework's own token began the session, and a secret. */
const OWN_TOKEN = /(?:(?<![\w-])[\w-]{43}|[\w-]{22})\.[\w-]{43}$/;
