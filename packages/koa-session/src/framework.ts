import type { CookieSettings } from "@tenure/core/bridge";

/** What the option `isUse` is given: Koa's context, of which these are the usual parts. */
export interface RequestContext {
  readonly method: string;
  readonly path: string;
  get(header: string): string;
}

/** What the bridge uses of Koa's context. */
export interface FrameworkContext extends RequestContext {
  /** `null`: logged out. */
  session: FrameworkSession | null;
  /** The middleware's options, a copy for this request. Absent: the middleware is not installed. */
  readonly sessionOptions?: FrameworkOptions;
  readonly app: { readonly keys?: unknown; readonly context: object };
  readonly cookies: { set(name: string, ...rest: unknown[]): unknown };
  /** Whether the request came over TLS, as far as Koa knows. */
  readonly secure: boolean;
}

/** What the bridge uses of koa-session's options. */
export interface FrameworkOptions extends CookieSettings {
  readonly key?: string;
  /** Milliseconds. `undefined` after the first save if it was `"session"`. */
  maxAge?: number | "session" | false | null | undefined;
  readonly rolling?: boolean;
  readonly secure?: boolean;
  /** Where the key is kept instead of a cookie. */
  externalKey?: { set(ctx: unknown, key: string): void };
}

/** What the bridge uses of `ctx.session`. */
export interface FrameworkSession {
  /** Of when this object was made: after a `regenerate` it is the old key. */
  readonly externalKey?: string;
  /** Destroys the session, and saves all that it holds under a new key. */
  regenerate(): Promise<void>;
  manuallyCommit(): Promise<void>;
  toJSON(): object;
}
