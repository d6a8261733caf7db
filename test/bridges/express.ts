import { createServer } from "node:http";
import type { Sessions } from "@tenure/core";
import { type ExpressSessionStore, expressSessionStore } from "@tenure/express-session";
import express, { type Request } from "express";
import session from "express-session";
import oldSession from "express-session-1.17";
import express4 from "express4";
import { type SessionAdapter, stepsOf } from "./application.ts";
import { type Framework, SECRET } from "./framework.ts";
import { listen } from "./listen.ts";

export const expressSession: Framework = framework("express-session", express, session);
export const oldExpressSession: Framework = framework(
  "express-session 1.17, Express 4",
  express4,
  oldSession,
);

/** express-session with its own store, on which scenarios must fail. */
export const expressSessionWithoutTenure: Framework = framework(
  "express-session's own store",
  express,
  session,
  () => new session.MemoryStore(),
);

function framework(
  name: string,
  makeApp: typeof express,
  makeSession: typeof session,
  makeStore: (sessions: Sessions) => session.Store = expressSessionStore,
): Framework {
  return {
    name,
    async serve(sessions, application, { rolling = false, maxAge } = {}) {
      const app = makeApp();
      const store = makeStore(sessions);
      const bridge = "logIn" in store ? (store as ExpressSessionStore) : undefined;
      app.use(express.json());
      app.use(
        makeSession({
          store,
          secret: SECRET,
          resave: false,
          saveUninitialized: false,
          rolling,
          cookie: maxAge === undefined ? {} : { maxAge },
        }),
      );
      app.use((req, res, next) => {
        application
          .run(sessionAdapter(req, bridge), stepsOf(req.body))
          .then((shown) => res.json(shown), next);
      });
      return { ...(await listen(createServer(app))), store };
    },
  };
}

/** @param bridge absent: without Tenure, the framework's own calls replace those of the bridge */
function sessionAdapter(req: Request, bridge: ExpressSessionStore | undefined): SessionAdapter {
  const data = (): Record<string, unknown> => req.session as unknown as Record<string, unknown>;
  return {
    get token() {
      return req.sessionID;
    },
    get user() {
      return bridge ? bridge.userOf(req) : ((data()["userId"] ?? null) as string | null);
    },
    entries() {
      const { cookie: _, ...entries } = data();
      return entries;
    },
    set(key, value) {
      data()[key] = value;
    },
    delete(key) {
      delete data()[key];
    },
    setMaxAge(maxAge) {
      req.session.cookie.maxAge = maxAge;
    },
    save: () => called((done) => req.session.save(done)),
    regenerate: () => called((done) => req.session.regenerate(done)),
    reload: () => called((done) => req.session.reload(done)),
    destroy: () => called((done) => req.session.destroy(done)),
    async rotate() {
      if (bridge) await bridge.rotate(req);
      else await called((done) => req.session.regenerate(done));
    },
    async logIn(userId, options) {
      if (bridge) return (await bridge.logIn(req, userId, options)).refused;
      await called((done) => req.session.regenerate(done));
      data()["userId"] = userId;
      return null;
    },
    logOut: () => (bridge ? bridge.logOut(req) : called((done) => req.session.destroy(done))),
    async logOutEverywhere(options) {
      if (bridge) return bridge.logOutEverywhere(req, options);
      await called((done) => req.session.destroy(done));
      return 0;
    },
  };
}

function called(method: (done: (error?: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    method((error) => (error ? reject(error) : resolve()));
  });
}
