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
  loadedCookie,
  loadedData,
  maxAgeOf,
  type StoredCookie,
  storedCookie,
  storedData,
} from "./stored-data.ts";

/**
 * The session of a request, attached to the request and to each `req.session`. A class for the reason given
 * at core's `StoredSession`.
 */
export class Attached<Data extends object> {
  readonly current: RequestSession<Data>;
  cookie: StoredCookie | undefined;
  /** The new token under which the session was last stored. `undefined`: it is under the browser's. */
  storedToken: string | undefined;

  constructor(current: RequestSession<Data>, cookie?: StoredCookie) {
    this.current = current;
    this.cookie = cookie;
  }
}

/**
 * Makes each `req.session`, and finds the session of a request again.
 *
 * The framework reads `req.sessionID` before it sets a cookie and before it saves, and does neither if it is
 * not a string. So a getter returns `undefined` while the response must leave the browser's cookie alone.
 * Without a `req.session` it returns the token, because `unset: "destroy"` then needs it. An ordinary session
 * has a plain property: a getter makes V8 treat the whole request more slowly, and a page view over HTTP took
 * 70 µs instead of 61.
 */
export class Requests<Data extends object> {
  readonly #bridge: Bridge<Data>;
  readonly #middleware: Middleware;
  readonly #isUse: (req: Request) => boolean;
  readonly #createSession: (req: Request, data: SessionData) => session.Session;
  readonly #attached: HiddenValue<Attached<Data>> = hiddenValue();
  /** What `get` has read, attached to the object that it returned. */
  readonly #loaded: HiddenValue<LoadedLive<Data>> = hiddenValue();
  readonly #sessionID: PropertyDescriptor;
  readonly #destroy: PropertyDescriptor;
  #ending: { readonly current: RequestSession<Data>; readonly token: string | undefined } | undefined;

  /** @param createSession the framework's own, which makes a `req.session` */
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
      if (attached) this.#remember(attached.current, made.id);
    });
  }

  /** @throws TypeError if the session middleware has not run */
  of(req: Request): Attached<Data> {
    const attached = this.#attachedTo(req);
    if (attached) return attached;
    throw new TypeError(
      "this request has no session of this store: call app.use(session({ store })) before the route, with this same store, and keep the route under cookie.path. An error handler finds none if the store failed to load the session",
    );
  }

  /**
   * Returns the session of a `req.session`, or of an object that `get` returned. `undefined`: it is neither.
   */
  ofData(data: object): Attached<Data> | undefined {
    const attached = this.#attached.get(data) ?? this.#ofProxy(data);
    const loaded = attached ? undefined : this.#loaded.get(data);
    if (!loaded) return attached;
    // From the stored data: the caller may have changed its own.
    const { cookie } = storedData(this.#bridge.open(loaded.look.stored).data);
    const made = new Attached(this.#bridge.request(loaded), cookie);
    made.current.maxAge = maxAgeOf(cookie);
    this.#attached.set(data, made);
    return made;
  }

  /** A proxy of a `req.session` has only its properties, such as `req`. */
  #ofProxy(data: object): Attached<Data> | undefined {
    const { req } = data as { readonly req?: unknown };
    return typeof req === "object" && req !== null ? this.#attached.get(req) : undefined;
  }

  /** Returns the session of an unknown object that an application gave to `touch`. */
  ofCopy(token: string, data: SessionData): Attached<Data> {
    return new Attached(this.#copy(token, data), storedCookie(data.cookie));
  }

  /** Converts a loaded session to the form in which `get` returns it. */
  readonly shown = (loaded: LoadedLive<Data>): SessionData => {
    const data = loadedData(loaded.session);
    this.#loaded.set(data, loaded);
    return data;
  };

  /** Makes the `req.session` of a loaded session, or of a copy from a cache. */
  showLoaded(req: Request, data: SessionData): session.Session & SessionData {
    const token = req.sessionID;
    const loaded = this.#loaded.get(data);
    const options = {
      // Store#load passes a request without headers.
      isUse: !req.headers || this.#isUse(req),
      // The request already has a session if this is a reload.
      before: this.#attached.get(req)?.current,
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

  /** Makes a `req.session` of data in the framework's loaded form. */
  show(req: Request, attached: Attached<Data>, data: SessionData): session.Session & SessionData {
    const stored = storedCookie(data.cookie);
    // A session made by another bridge or by the application has no cookie.
    if (!stored) data.cookie = this.#middleware.newCookie(req);
    const made = this.#make(req, attached, data);
    attached.cookie = stored ?? storedCookie(made.cookie);
    return made;
  }

  /** Makes another `req.session` with the same data and a new token. */
  showRotated(req: Request, attached: Attached<Data>): void {
    const { cookie, ...data } = req.session;
    const settings = storedCookie(cookie, attached.current.maxAge) ?? { originalMaxAge: null };
    this.show(req, attached, { ...data, cookie: loadedCookie(settings, Number(cookie.expires)) });
  }

  /** Called when the framework generates a session. */
  readonly begin = (req: Request): void => {
    const before = this.#attached.get(req);
    const missed = this.#bridge.missed((token) => token === req.sessionID);
    this.showNew(req, new Attached(before?.current.successor() ?? this.#bridge.request(missed)));
  };

  /**
   * Takes the session that was remembered under this token in this turn. `undefined`: there is none.
   *
   * @param token `undefined`: the value of `req.sessionID` while the cookie is left alone
   */
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
    // The framework takes it as the id of the new session.
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
    const isWithheld = req.session && !current.maySetCookie(storedData(req.session) as Data);
    const token = isWithheld ? undefined : current.token;
    if (isWithheld || !req.session) this.#remember(current, token);
    return token;
  }

  /**
   * Remembers a session for this turn: the framework or the application may pass its token, just read, to the
   * store's `destroy`.
   */
  #remember(current: RequestSession<Data>, token: string | undefined): void {
    const ending = { current, token };
    this.#ending = ending;
    queueMicrotask(() => {
      if (this.#ending === ending) this.#ending = undefined;
    });
  }

  /** A proxy of a request has only the `req.session`. */
  #attachedTo(req: Request): Attached<Data> | undefined {
    return this.#attached.get(req) ?? (req.session && this.#attached.get(req.session));
  }
}

/**
 * All requests share one getter and one setter. With its own functions each would get its own hidden class,
 * which retains everything that they refer to until V8's next full collection: a fifth of a page view's time.
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

/** The framework's method passes only the id to the store's `destroy`. */
function destroyProperty(remember: (made: session.Session) => void): PropertyDescriptor {
  return {
    configurable: true,
    enumerable: false,
    writable: true,
    value(this: session.Session, callback: (error?: unknown) => void) {
      remember(this);
      // The method of the application's copy of the framework.
      // oxlint-disable-next-line typescript/unbound-method -- called with its `this`
      const { destroy } = Object.getPrototypeOf(this) as session.Session;
      return destroy.call(this, callback);
    },
  };
}
