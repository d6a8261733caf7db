import { hiddenValue, type MaxAge } from "@tenure/core/bridge";

/** What the bridge uses of the Session of @fastify/session. Every other enumerable key is the application's data. */
export interface FrameworkSession {
  readonly sessionId: string;
  /** Absent on an object that an application gives to `set` itself. */
  cookie?: FrameworkCookie;
  regenerate(): Promise<void>;
  /** Whether the data differ from those that were loaded or last saved. */
  isModified(): boolean;
  /** Whether the application has saved it itself. Absent before 10.4. */
  isSaved?(): boolean;
}

/** What the bridge uses of the framework's cookie. */
export interface FrameworkCookie {
  /** The last `maxAge`. `null`: none. */
  originalMaxAge?: MaxAge;
  maxAge?: MaxAge;
  /** Moves with the clock, unless there is no `originalMaxAge`: then the application or the plugin's options set it. */
  expires?: Date | null;
  readonly path?: string | null;
  readonly domain?: string | null;
  readonly httpOnly?: boolean;
  readonly secure?: boolean | null;
  readonly sameSite?: boolean | string | null;
  readonly partitioned?: boolean;
}

/** What the bridge uses of a request, or of what an application gave to `decryptSession` in its place. */
export interface FrameworkRequest {
  session?: object | null;
  readonly cookies?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly protocol?: string;
  readonly server?: { readonly version?: string };
}

/** The calls that a Session makes. */
export interface FrameworkStore {
  get(sessionId: string, callback: (error: unknown, session?: any) => void): void;
  set(sessionId: string, session: object, callback: (error?: unknown) => void): void;
  destroy(sessionId: string, callback: (error?: unknown) => void): void;
}

/** Whether a request has a Session: it has `{}` before the plugin's hook is done, and `null` after `destroy`. */
export function isSession(session: object | null | undefined): session is FrameworkSession {
  return !!session && "sessionId" in session && typeof session.sessionId === "string";
}

/** The request that a Session belongs to. `undefined`: this is not a Session. */
export function requestOf(session: object): FrameworkRequest | undefined {
  const names = namesOf(session);
  return names && (session as Internals)[names.request];
}

/**
 * Puts a Session under a link: its calls go to `store`, and its cookie is left alone, neither set nor cleared, while `hasCookie` returns
 * false. The framework's `onSend` does nothing if `encryptedSessionId` is empty, and offers no other way.
 */
export function attach(
  session: FrameworkSession,
  request: FrameworkRequest,
  makeStore: (before: FrameworkStore) => FrameworkStore,
  hasCookie: () => boolean,
): void {
  const names = namesOf(session);
  if (!names) return;
  const internals = session as Internals;
  // `reload(callback)` before 11.1.2 passes the request and the store in the wrong order.
  const [before, given] = [internals[names.sessionStore], internals[names.request]] as unknown[];
  internals[names.sessionStore] = makeStore((isStore(before) ? before : given) as FrameworkStore);
  internals[names.request] = request;
  cookieRules.set(session, hasCookie);
  Object.defineProperty(session, "encryptedSessionId", SIGNED_TOKEN);
}

const cookieRules = hiddenValue<() => boolean>();

/**
 * All Sessions share one getter. With a getter of its own, each would get a hidden class of its own, which keeps alive all that it refers to until
 * V8's next collection of old objects.
 */
const SIGNED_TOKEN: PropertyDescriptor & ThisType<FrameworkSession> = {
  configurable: true,
  get() {
    return cookieRules.get(this)?.() === true ? signedToken(this) : "";
  },
};

/** The signed token, as the cookie has it. `undefined`: this is not a Session. */
export function signedToken(session: FrameworkSession): string | undefined {
  const names = namesOf(session);
  return names && ((session as Internals)[names.encryptedSessionId] as string);
}

/** Gives a Session another token. */
export function giveToken(session: FrameworkSession, token: string): void {
  const names = namesOf(session);
  if (!names || session.sessionId === token) return;
  const internals = session as Internals;
  const signer = internals[names.cookieSigner] as { sign(value: string): string };
  internals[names.sessionId] = token;
  internals[names.encryptedSessionId] = signer.sign(token);
}

/** Lets the framework save a Session and set its cookie with the response, also if the request changes nothing more. */
export function makeModified(session: FrameworkSession): void {
  // `isModified` compares the hash. It is "originalHash" before 10.4.
  const hash = Object.getOwnPropertySymbols(session).find(({ description }) =>
    ["persistedHash", "originalHash"].includes(description ?? ""),
  );
  if (hash) (session as Internals)[hash] = "";
}

/** Calls `notice` with the next Session that is assigned to a request, before anything else of the request runs. */
export function whenAssigned(request: FrameworkRequest, notice: (session: FrameworkSession) => void): void {
  awaited.set(request, { before: request.session, notice });
  Object.defineProperty(request, "session", AWAITED_SESSION);
}

const awaited = hiddenValue<{
  readonly before: object | null | undefined;
  readonly notice: (session: FrameworkSession) => void;
}>();

/** Shared as {@link SIGNED_TOKEN} is. */
const AWAITED_SESSION: PropertyDescriptor & ThisType<FrameworkRequest> = {
  configurable: true,
  enumerable: true,
  get() {
    return awaited.get(this)?.before;
  },
  set(session: object | null) {
    const value = { value: session, writable: true, enumerable: true, configurable: true };
    Object.defineProperty(this, "session", value);
    if (isSession(session)) awaited.get(this)?.notice(session);
  },
};

type Internals = FrameworkSession & Record<symbol, any>;

/** Under which symbols @fastify/session 10.0.0 to 11.1.3 keeps what a Session works with. */
interface Names {
  readonly request: symbol;
  readonly sessionStore: symbol;
  readonly sessionId: symbol;
  readonly encryptedSessionId: symbol;
  readonly cookieSigner: symbol;
}

/** By the prototype: each copy of the framework has symbols of its own. */
const known = new WeakMap<object, Names>();

function namesOf(session: object): Names | undefined {
  const prototype: unknown = Object.getPrototypeOf(session);
  if (typeof prototype !== "object" || prototype === null || prototype === Object.prototype) return undefined;
  const before = known.get(prototype);
  if (before) return before;
  const symbols = Object.getOwnPropertySymbols(session);
  const named = (name: string): symbol | undefined => symbols.find(({ description }) => description === name);
  const names = {
    request: named("request"),
    sessionStore: named("sessionStore"),
    sessionId: named("sessionId"),
    encryptedSessionId: named("encryptedSessionId"),
    cookieSigner: named("cookieSignerKey"),
  };
  if (Object.values(names).includes(undefined)) return undefined;
  known.set(prototype, names as Names);
  return names as Names;
}

function isStore(value: unknown): boolean {
  const { get, set, destroy } = (value ?? {}) as Partial<FrameworkStore>;
  return [get, set, destroy].every((method) => typeof method === "function");
}
