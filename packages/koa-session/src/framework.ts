/** What the bridge uses of Koa's context. */
export interface FrameworkContext {
  /** `null`: it was ended. Absent: the middleware does not come first. */
  readonly session?: FrameworkSession | null;
  /** The middleware's options, of this request. */
  readonly sessionOptions?: FrameworkOptions;
  readonly app?: { readonly keys?: unknown };
  /** Whether the request came over TLS. */
  readonly secure?: boolean;
}

/** What the bridge uses of koa-session's options. */
export interface FrameworkOptions {
  readonly key?: string;
  /** Milliseconds. After the first save of a session of `"session"` it is `undefined`. */
  maxAge?: number | "session" | false | null | undefined;
  readonly httpOnly?: boolean;
  readonly secure?: boolean;
  readonly sameSite?: boolean | string;
  readonly path?: string;
  readonly domain?: string;
  readonly externalKey?: unknown;
  genid?: ((ctx: object) => string) | undefined;
}

/** What the bridge uses of `ctx.session`. */
export interface FrameworkSession {
  /** Nothing was loaded, and nothing put in its place. */
  readonly isNew?: boolean;
  /** Of the session that it was made for: `regenerate` gives that another. */
  readonly externalKey?: string;
  /** Destroys the session and saves what it holds under a new key. */
  regenerate(): Promise<void>;
  toJSON(): object;
}

/** What koa-session hands over with a call. */
export interface FrameworkCall {
  readonly ctx?: FrameworkContext;
  /** Every response sets the cookie again. */
  readonly rolling?: boolean;
}
