import { type CookieSettings, hiddenValue, type MaxAge } from "@tenure/core/bridge";

/**
 * The part of @fastify/session's Session that the bridge uses. All other enumerable keys are application
 * data.
 */
export interface FrameworkSession {
  readonly sessionId: string;
  /** Absent on an object that an application passes to `set` itself. */
  cookie?: FrameworkCookie;
  regenerate(): Promise<void>;
  /** Whether the data differ from the loaded or last saved ones. */
  isModified(): boolean;
  /** Whether the application has called `save`. Absent before 10.4. */
  isSaved?(): boolean;
}

/** The part of the framework's cookie that the bridge uses. */
export interface FrameworkCookie extends CookieSettings {
  /** The last `maxAge`. `null`: none. */
  originalMaxAge?: MaxAge;
  maxAge?: MaxAge;
  /** Computed from `originalMaxAge`. Without one, set by the application or the plugin's options. */
  expires?: Date | null;
  readonly partitioned?: boolean;
}

/** The part of a request, or of an object passed to `decryptSession` in its place, that the bridge uses. */
export interface FrameworkRequest {
  session?: object | null;
  readonly cookies?: Readonly<Record<string, string | undefined>>;
  readonly protocol?: string;
}

/** The store methods that a Session calls. */
export interface FrameworkStore {
  get(sessionId: string, callback: (error: unknown, session?: any) => void): void;
  set(sessionId: string, session: object, callback: (error?: unknown) => void): void;
  destroy(sessionId: string, callback: (error?: unknown) => void): void;
}

/**
 * Whether this is a Session. `request.session` is `{}` before the plugin's hook, and `null` after `destroy`.
 */
export function isSession(session: object | null | undefined): session is FrameworkSession {
  const { sessionId, regenerate } = (session ?? {}) as Partial<Record<keyof FrameworkSession, unknown>>;
  return typeof sessionId === "string" && typeof regenerate === "function";
}

/** Returns the request that a Session belongs to. `undefined`: this is not a Session. */
export function requestOf(session: object): FrameworkRequest | undefined {
  return isSession(session) ? (session as Internals)[namesOf(session).request] : undefined;
}

/** The store that a Session calls once the bridge has taken the Session over. */
export interface SessionOwner extends FrameworkStore {
  readonly request: FrameworkRequest;
  /** The store that the Session was created with. */
  before: FrameworkStore | undefined;
  /** Whether the response may set the Session's cookie, or clear a different one. */
  hasCookie(session: FrameworkSession): boolean;
}

/** Takes over a Session. Only an empty `encryptedSessionId` makes `onSend` leave the cookie alone. */
export function attach(session: FrameworkSession, owner: SessionOwner): void {
  const names = namesOf(session);
  const internals = session as Internals;
  owner.before ??= internals[names.sessionStore] as FrameworkStore;
  internals[names.sessionStore] = owner;
  // Before 11.1.2, `reload(callback)` swaps the request and the store.
  internals[names.request] = owner.request;
  owners.set(session, owner);
  Object.defineProperty(session, "encryptedSessionId", SIGNED_TOKEN);
}

const owners = hiddenValue<SessionOwner>();

/** Returns the owner of a Session, which may be another store's. `undefined`: no store has taken it over. */
export function ownerOf(session: FrameworkSession): SessionOwner | undefined {
  return owners.get(session);
}

/**
 * A getter shared by all Sessions. Its own getter would give each Session its own hidden class, which keeps
 * everything that it refers to alive until V8's next collection of old objects.
 */
const SIGNED_TOKEN: PropertyDescriptor & ThisType<FrameworkSession> = {
  configurable: true,
  get() {
    return owners.get(this)?.hasCookie(this) === true ? signedToken(this) : "";
  },
};

/** Returns the signed token, as the cookie holds it. */
export function signedToken(session: FrameworkSession): string {
  return (session as Internals)[namesOf(session).encryptedSessionId];
}

export function giveToken(session: FrameworkSession, token: string): void {
  if (session.sessionId === token) return;
  const names = namesOf(session);
  const internals = session as Internals;
  const signer = internals[names.cookieSignerKey] as { sign(value: string): string };
  internals[names.sessionId] = token;
  internals[names.encryptedSessionId] = signer.sign(token);
}

/** Makes the framework save a Session and set its cookie, even if the request changes nothing more. */
export function makeModified(session: FrameworkSession): void {
  // `isModified` compares this hash, whose symbol is "originalHash" before 10.4.
  const hash = Object.getOwnPropertySymbols(session).find(({ description }) =>
    ["persistedHash", "originalHash"].includes(description ?? ""),
  );
  if (hash) (session as Internals)[hash] = "";
}

/** Calls `notice` with the next Session assigned to a request, before any other code of the request runs. */
export function whenAssigned(request: FrameworkRequest, notice: (session: FrameworkSession) => void): void {
  awaited.set(request, { before: request.session, notice });
  Object.defineProperty(request, "session", AWAITED_SESSION);
}

const awaited = hiddenValue<{
  readonly before: object | null | undefined;
  readonly notice: (session: FrameworkSession) => void;
}>();

/** Shared, like {@link SIGNED_TOKEN}. */
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

/** Descriptions of the symbols that hold a Session's internals in @fastify/session 10.0.0 to 11.1.3. */
const SYMBOLS = ["request", "sessionStore", "sessionId", "encryptedSessionId", "cookieSignerKey"] as const;

type Names = Record<(typeof SYMBOLS)[number], symbol>;

/** Keyed by prototype, because each copy of the framework has its own symbols. */
const known = new WeakMap<object, Names>();

function namesOf(session: FrameworkSession): Names {
  const prototype: object = Object.getPrototypeOf(session);
  const before = known.get(prototype);
  if (before) return before;
  const symbols = Object.getOwnPropertySymbols(session);
  const found = SYMBOLS.map((name) => [name, symbols.find(({ description }) => description === name)]);
  if (found.some(([, symbol]) => symbol === undefined)) throw new TypeError(UNKNOWN_VERSION);
  const names = Object.fromEntries(found) as Names;
  known.set(prototype, names);
  return names;
}

const UNKNOWN_VERSION =
  "this version of @fastify/session is not supported: use 11.1.3 or earlier, or a later release of @tenure/fastify-session";
