import type { ServerResponse } from "node:http";
import type { CookieSettings } from "@tenure/core/bridge";

/** The usual parts of Koa's context, which is passed to the option `isUse`. */
export interface RequestContext {
  readonly method: string;
  readonly path: string;
  get(header: string): string;
}

/** The part of Koa's context that the bridge uses. */
export interface FrameworkContext extends RequestContext {
  /** `null`: logged out. */
  session: FrameworkSession | null;
  /** This request's copy of the middleware's options. Absent: the middleware is not installed. */
  readonly sessionOptions?: FrameworkOptions;
  readonly app: { readonly keys?: unknown; readonly context: ApplicationContext };
  readonly cookies: { set(name: string, ...rest: unknown[]): unknown };
  /** Whether the request came over TLS, as far as Koa knows. */
  readonly secure: boolean;
  readonly request?: { readonly ctx?: object };
  /** `undefined`: the context of a WebSocket. */
  readonly res: ServerResponse | undefined;
}

/** The prototype of an application's contexts. */
export interface ApplicationContext {
  /** Responds to an error that the application has not caught. */
  onerror?(error: unknown): void;
}

/** The part of koa-session's options that the bridge uses. */
export interface FrameworkOptions extends CookieSettings {
  readonly key?: string;
  /** Milliseconds. `undefined` after the first save if it was `"session"`. */
  maxAge?: number | "session" | false | null | undefined;
  readonly rolling?: boolean;
  readonly secure?: boolean;
  /** Keeps the key elsewhere than in a cookie. */
  externalKey?: { set(ctx: unknown, key: string): void };
}

/** The part of `ctx.session` that the bridge uses. */
export interface FrameworkSession {
  /** The key at this object's creation. After a `regenerate` it is the old key. */
  readonly externalKey?: string;
  /** Destroys the session and saves its data under a new key. */
  regenerate(): Promise<void>;
  manuallyCommit(): Promise<void>;
  toJSON(): object;
}
