import { type CookieSettings, hiddenValue, type MaxAge } from "@tenure/core/bridge";

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
export interface FrameworkCookie extends CookieSettings {
  /** The last `maxAge`. `null`: none. */
  originalMaxAge?: MaxAge;
  maxAge?: MaxAge;
  /** Moves with the clock, unless there is no `originalMaxAge`: then the application or the plugin's options set it. */
  expires?: Date | null;
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

/** What a Session works with once the bridge has taken it over: it calls this store. */
export interface SessionOwner extends FrameworkStore {
  readonly request: FrameworkRequest;
  /** The store that the Session was made with. */
  before: FrameworkStore | undefined;
  /** Whether the response may set the Session's cookie, or clear another. */
  hasCookie(session: FrameworkSession): boolean;
}

/** Takes over a Session. The framework's `onSend` leaves the cookie alone if `encryptedSessionId` is empty, and offers no other way. */
export function attach(session: FrameworkSession, owner: SessionOwner): void {
  const names = namesOf(session);
  if (!names) return;
  const internals = session as Internals;
  owner.before ??= internals[names.sessionStore] as FrameworkStore;
  internals[names.sessionStore] = owner;
  // `reload(callback)` before 11.1.2 passes the request and the store in the wrong order.
  internals[names.request] = owner.request;
  owners.set(session, owner);
  Object.defineProperty(session, "encryptedSessionId", SIGNED_TOKEN);
}

const owners = hiddenValue<SessionOwner>();

/** Whether {@link attach} has taken a Session over. */
export function isAttached(session: FrameworkSession): boolean {
  return owners.get(session) !== undefined;
}

/**
 * All Sessions share one getter. With a getter of its own, each would get a hidden class of its own, which keeps alive all that it refers to until
 * V8's next collection of old objects.
 */
const SIGNED_TOKEN: PropertyDescriptor & ThisType<FrameworkSession> = {
  configurable: true,
  get() {
    return owners.get(this)?.hasCookie(this) === true ? signedToken(this) : "";
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
  const signer = internals[names.cookieSignerKey] as { sign(value: string): string };
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

/** Under which symbols @fastify/session 10.0.0 to 11.1.3 keeps what a Session works with: their descriptions. */
const SYMBOLS = ["request", "sessionStore", "sessionId", "encryptedSessionId", "cookieSignerKey"] as const;

type Names = Record<(typeof SYMBOLS)[number], symbol>;

/** By the prototype: each copy of the framework has symbols of its own. */
const known = new WeakMap<object, Names>();

function namesOf(session: object): Names | undefined {
  const prototype: unknown = Object.getPrototypeOf(session);
  if (typeof prototype !== "object" || prototype === null || prototype === Object.prototype) return undefined;
  const before = known.get(prototype);
  if (before) return before;
  const symbols = Object.getOwnPropertySymbols(session);
  const found = SYMBOLS.map((name) => [name, symbols.find(({ description }) => description === name)]);
  if (found.some(([, symbol]) => symbol === undefined)) return undefined;
  const names = Object.fromEntries(found) as Names;
  known.set(prototype, names);
  return names;
}
