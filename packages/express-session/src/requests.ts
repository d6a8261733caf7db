import {
  type Bridge,
  type HiddenValue,
  hiddenValue,
  type LoadedLive,
  type RequestOptions,
  type RequestSession,
} from "@tenure/core/bridge";
import session, { type SessionData } from "express-session";
import type { Middleware, Request } from "./middleware.ts";
import {
  cookieIn,
  loadedCookie,
  loadedData,
  maxAgeOf,
  type StoredCookie,
  storedCookie,
  storedData,
} from "./stored-data.ts";

/** The session of a request. It is attached to the request and to each `req.session`. A class for the reason given at core's `StoredSession`. */
export class Attached<Data extends object> {
  readonly current: RequestSession<Data>;
  /** The cookie's settings as they are stored. */
  cookie: StoredCookie | undefined;

  constructor(current: RequestSession<Data>, cookie?: StoredCookie) {
    this.current = current;
    this.cookie = cookie;
  }
}

/**
 * Makes each `req.session`, and finds the session of a request again.
 *
 * The framework reads `req.sessionID` before it sets a cookie and before it saves, and does neither if it is not a string. So it becomes a getter,
 * which returns `undefined` while this response must leave the browser's cookie alone. It returns the token if `req.session` is gone,
 * which is when `unset: "destroy"` asks for it. It stays a plain property as long as the session is ordinary: V8 makes a request whose property becomes a
 * getter slow for all that use it, and a page view over HTTP took 70 µs instead of 61.
 */
export class Requests<Data extends object> {
  readonly #bridge: Bridge<Data>;
  readonly #middleware: Middleware;
  readonly #isUse: (req: Request) => boolean;
  readonly #createSession: (req: Request, data: SessionData) => session.Session;
  readonly #attached: HiddenValue<Attached<Data>> = hiddenValue();
  /** What `get` has read, on the object that it returned. */
  readonly #loaded: HiddenValue<LoadedLive<Data>> = hiddenValue();
  /** Of each request. */
  readonly #sessionID: PropertyDescriptor;
  /** Of each `req.session`. */
  readonly #destroy: PropertyDescriptor;
  #ending: { readonly current: RequestSession<Data>; readonly token: string | undefined } | undefined;

  /** @param createSession the framework's own: makes a `req.session` */
  constructor(
    bridge: Bridge<Data>,
    middleware: Middleware,
    isUse: (req: Request) => boolean,
    createSession: (req: Request, data: SessionData) => session.Session,
  ) {
    this.#bridge = bridge;
    this.#middleware = middleware;
    this.#isUse = isUse;
    this.#createSession = createSession;
    this.#sessionID = tokenProperty((req) => this.#tokenOf(req));
    this.#destroy = destroyProperty((made) => {
      const attached = this.#attached.get(made);
      if (attached) this.#begin(attached.current, made.id);
    });
  }

  /** @throws TypeError where the session middleware has not run */
  of(req: Request): Attached<Data> {
    const attached = this.#attachedTo(req);
    if (attached) return attached;
    throw new TypeError(
      "this request has no session of this store: call app.use(session({ store })) before the route, with this very store",
    );
  }

  /** What a `req.session` stands for, or an object that `get` returned. */
  ofData(data: object): Attached<Data> | undefined {
    const attached = this.#attached.get(data);
    const loaded = attached ? undefined : this.#loaded.get(data);
    if (!loaded) return attached;
    // As stored: the caller may have changed its own.
    const cookie = storedCookie(cookieIn(this.#bridge.open(loaded.look.stored).data));
    const made = new Attached(this.#bridge.request(loaded), cookie);
    made.current.maxAge = maxAgeOf(cookie);
    this.#attached.set(data, made);
    return made;
  }

  /** An object that is not known, given to `touch` by hand. */
  ofCopy(token: string, data: SessionData): Attached<Data> {
    return new Attached(this.#copy(token, data), storedCookie(data.cookie));
  }

  /** A stored session in the form in which `get` returns it. */
  readonly shown = (loaded: LoadedLive<Data>): SessionData => {
    const data = loadedData(loaded.session);
    this.#loaded.set(data, loaded);
    return data;
  };

  /** Makes the `req.session` of a loaded session, or of a copy of one from a cache. */
  showLoaded(req: Request, data: SessionData): session.Session & SessionData {
    const token = req.sessionID;
    const loaded = this.#loaded.get(data);
    const options = {
      // Store#load makes do with a request without headers.
      isUse: !req.headers || this.#isUse(req),
      // A reload does not make a login in this request a later one.
      startedAt: this.#attached.get(req)?.current.startedAt,
    };
    const current =
      loaded?.token === token ? this.#bridge.request(loaded, options) : this.#copy(token, data, options);
    const made = this.show(req, new Attached(current), data);
    current.maxAge = maxAgeOf(made.cookie);
    return made;
  }

  /** Makes a new, blank `req.session`. */
  showNew(req: Request, attached: Attached<Data>): void {
    attached.cookie = undefined;
    const cookie = this.#middleware.generate(req);
    if (cookie) this.#make(req, attached, { cookie: { originalMaxAge: null } }).cookie = cookie;
  }

  /** Makes a `req.session` of data in the form in which the framework loads them. */
  show(req: Request, attached: Attached<Data>, data: SessionData): session.Session & SessionData {
    const stored = storedCookie(data.cookie);
    // A session that another bridge or the application made has no cookie.
    if (!stored) data.cookie = this.#middleware.newCookie(req);
    const made = this.#make(req, attached, data);
    attached.cookie = stored ?? storedCookie(made.cookie);
    return made;
  }

  /** Makes another `req.session` with the same data, under a new token. */
  showRotated(req: Request, attached: Attached<Data>): void {
    const { cookie, ...data } = req.session;
    const settings = storedCookie(cookie, attached.current.maxAge) ?? { originalMaxAge: null };
    this.show(req, attached, { ...data, cookie: loadedCookie(settings, Number(cookie.expires)) });
  }

  /** A request whose session the framework generates. */
  readonly begin = (req: Request): void => {
    const before = this.#attached.get(req);
    const missed = this.#bridge.missed((token) => token === req.sessionID);
    this.showNew(req, new Attached(before?.current.successor() ?? this.#bridge.request(missed)));
  };

  /** The session of the request that is ending the session with this token, in the same turn. `undefined`: its `req.sessionID` is. */
  ending(token: string | undefined): RequestSession<Data> | undefined {
    const ending = this.#ending;
    this.#ending = undefined;
    return ending && ending.token === token ? ending.current : undefined;
  }

  #copy(token: string, from: SessionData, options?: RequestOptions): RequestSession<Data> {
    return this.#bridge.requestOfCopy(
      { token, data: storedData(from) as Data, mayBeChanged: false },
      options,
    );
  }

  #make(req: Request, attached: Attached<Data>, data: SessionData): session.Session & SessionData {
    const { current } = attached;
    // The framework makes it the id of the new one.
    req.sessionID = current.token;
    const made = this.#createSession(req, data) as session.Session & SessionData;
    this.#attached.set(req, attached);
    this.#attached.set(made, attached);
    Object.defineProperty(made, "destroy", this.#destroy);
    const watch = (): void => void Object.defineProperty(req, "sessionID", this.#sessionID);
    if (current.isOrdinary) current.onChange = watch;
    else watch();
    return made;
  }

  #tokenOf(req: Request): string | undefined {
    const attached = this.#attachedTo(req);
    if (!attached) return undefined;
    const { current } = attached;
    const isWithheld = req.session && !current.maySetCookie(req.session as unknown as Data);
    const token = isWithheld ? undefined : current.token;
    if (isWithheld || !req.session) this.#begin(current, token);
    return token;
  }

  /** The framework, or the application, may pass what it has just read to the store's `destroy`. */
  #begin(current: RequestSession<Data>, token: string | undefined): void {
    const ending = { current, token };
    this.#ending = ending;
    queueMicrotask(() => {
      if (this.#ending === ending) this.#ending = undefined;
    });
  }

  /** A proxy of a request has the session alone. */
  #attachedTo(req: Request): Attached<Data> | undefined {
    return this.#attached.get(req) ?? (req.session && this.#attached.get(req.session));
  }
}

/**
 * All requests share one getter and one setter. With functions of their own, each would get a hidden class of its own, which keeps alive all that it
 * refers to until V8's next collection of old objects: a fifth of a page view's time.
 */
function tokenProperty(tokenOf: (req: Request) => string | undefined): PropertyDescriptor {
  return {
    configurable: true,
    enumerable: true,
    get(this: Request) {
      return tokenOf(this);
    },
    set(this: Request, value: unknown) {
      const plain = { configurable: true, enumerable: true, writable: true, value };
      Object.defineProperty(this, "sessionID", plain);
    },
  };
}

/** The framework's method, which gives the store's `destroy` the id alone. */
function destroyProperty(begin: (made: session.Session) => void): PropertyDescriptor {
  return {
    configurable: true,
    enumerable: false,
    writable: true,
    value(this: session.Session, callback: (error?: unknown) => void) {
      begin(this);
      // Of the application's copy of the framework.
      // oxlint-disable-next-line typescript/unbound-method -- called with its `this`
      const { destroy } = Object.getPrototypeOf(this) as session.Session;
      return destroy.call(this, callback);
    },
  };
}
