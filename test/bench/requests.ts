import { createHmac, randomInt } from "node:crypto";
import type { Request } from "express";
import session, { type SessionData, type Store } from "express-session";
import { IDLE } from "./competitor.ts";
import { fromCallback } from "./from-callback.ts";
import { sessionData } from "./session-data.ts";

/**
 * The store calls that express-session makes in a request, with `resave: false` and
 * `saveUninitialized: false`.
 */
export interface Requests {
  /** A page that only reads the session: get and touch. */
  pageView(token: string): Promise<void>;
  /** A page that changes the session: get and set. */
  change(token: string): Promise<void>;
  /** A new session: set. Resolves to its token. */
  login(userId: string): Promise<string>;
  /** The end of a session: destroy. */
  logout(token: string): Promise<void>;
}

/** Makes the middleware's calls on a store, with the middleware's own `createSession` and `generate`. */
export function requestsOn(store: Store): Requests {
  // The middleware sets the store's `generate`.
  session({ store, secret: SECRET, resave: false, saveUninitialized: false, cookie: { maxAge: IDLE } });
  let hasSentCookie = false;

  function load(token: string): Promise<Request["session"]> {
    return new Promise((resolve, reject) => {
      store.get(token, (error, data) => {
        if (error) reject(error);
        else if (!data) reject(new Error("The benchmark lost a session."));
        else resolve(inflate(token, data));
      });
    });
  }

  function inflate(token: string, data: SessionData): Request["session"] {
    const req = requestOf(token);
    store.createSession(req, data);
    return req.session;
  }

  /**
   * Returns a request. A browser sends a signed cookie with every request. Here, only the first request has
   * one, because a store that checks the cookie checks it once.
   */
  function requestOf(token: string): Request {
    const headers = hasSentCookie || token === "" ? {} : { cookie: cookieOf(token) };
    hasSentCookie ||= token !== "";
    return new IncomingRequest(token, headers, store) as unknown as Request;
  }

  return {
    async pageView(token) {
      const loaded = await load(token);
      loaded.touch();
      await fromCallback((done) => (store.touch ? store.touch(token, loaded, done) : done()));
    },
    async change(token) {
      const loaded = await load(token);
      Object.assign(loaded, { views: randomInt(1_000_000) });
      await fromCallback((done) => store.set(token, loaded, done));
    },
    async login(userId) {
      const req = requestOf("");
      (store as GeneratingStore).generate(req);
      Object.assign(req.session, sessionData(userId));
      await fromCallback((done) => store.set(req.sessionID, req.session, done));
      return req.sessionID;
    },
    async logout(token) {
      await fromCallback((done) => store.destroy(token, done));
    },
  };
}

/**
 * A class, as Node's own requests have. V8 may allocate objects of a literal in the old generation, where
 * they keep their sessions alive for long.
 */
class IncomingRequest {
  readonly sessionID: string;
  readonly headers: object;
  readonly sessionStore: Store;

  constructor(sessionID: string, headers: object, sessionStore: Store) {
    this.sessionID = sessionID;
    this.headers = headers;
    this.sessionStore = sessionStore;
  }
}

type GeneratingStore = Store & { generate(req: Request): void };

export const SECRET = "a secret of the benchmark that is long enough";

export function cookieOf(token: string): string {
  const signature = createHmac("sha256", SECRET).update(token).digest("base64").replace(/=+$/, "");
  return `connect.sid=${encodeURIComponent(`s:${token}.${signature}`)}`;
}
