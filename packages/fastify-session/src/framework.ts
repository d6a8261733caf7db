import type { MaxAge } from "@tenure/core/bridge";

/** What the bridge uses of @fastify/session's Session object. All else that is enumerable is the application's data. */
export interface FrameworkSession {
  readonly sessionId: string;
  readonly encryptedSessionId: string;
  /** Absent on an object that an application hands to `set` itself. */
  cookie?: FrameworkCookie;
  regenerate(): Promise<void>;
}

/** What the bridge uses of @fastify/session's cookie. */
export interface FrameworkCookie {
  /** What `maxAge` was last set to. `null`: none was. */
  originalMaxAge?: MaxAge;
  maxAge?: MaxAge;
  /** Moves with the clock, unless there is no `originalMaxAge`: then the application set it. */
  expires?: Date | null;
  readonly path?: string | null;
  readonly domain?: string | null;
  readonly httpOnly?: boolean;
  readonly secure?: boolean | null;
  readonly sameSite?: boolean | string | null;
  readonly partitioned?: boolean;
}

/** What the bridge uses of a request. */
export interface FrameworkRequest {
  readonly session?: Partial<FrameworkSession> | null;
  readonly cookies?: Readonly<Record<string, string | undefined>>;
}

/**
 * The request that a Session belongs to. The framework keeps it under a symbol of its own, called "request" in every version
 * from 10.0.0 to 11.1.3.
 */
export function requestOf(session: object): FrameworkRequest | undefined {
  const key = Object.getOwnPropertySymbols(session).find(({ description }) => description === "request");
  return key === undefined ? undefined : (session as Record<symbol, FrameworkRequest>)[key];
}
