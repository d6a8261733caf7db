import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Sessions } from "@tenure/core";
import { type ExpressSessionStore, expressSessionStore } from "@tenure/express-session";
import express, { type Request } from "express";
import session from "express-session";
import oldSession from "express-session-1.17";
import express4 from "express4";
import { type SessionInHand, stepsOf } from "./application.ts";
import { type Framework, SECRET } from "./framework.ts";

export const expressSession: Framework = framework("express-session", express, session);
export const oldExpressSession: Framework = framework(
  "express-session 1.17, Express 4",
  express4,
  oldSession,
);

/** On express-session's own store, to show that the scenarios can fail. */
export const expressSessionAlone: Framework = framework(
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
      const rotation: Rotation =
        "rotate" in store ? { rotate: (req) => (store as ExpressSessionStore).rotate(req) } : {};
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
        application.run(inHand(req, rotation), stepsOf(req.body)).then((answer) => res.json(answer), next);
      });
      const server = app.listen(0, "127.0.0.1");
      await once(server, "listening");
      return {
        origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        async close() {
          server.closeAllConnections();
          server.close();
          await once(server, "close");
        },
      };
    },
  };
}

/** express-session has none of its own. */
type Rotation = Partial<Pick<ExpressSessionStore, "rotate">>;

function inHand(req: Request, { rotate }: Rotation): SessionInHand {
  const data = (): Record<string, unknown> => req.session as unknown as Record<string, unknown>;
  return {
    get token() {
      return req.sessionID;
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
    async rotate() {
      if (!rotate) await called((done) => req.session.regenerate(done));
      else if (!(await rotate(req))) throw new Error("the session died during the request");
    },
    destroy: () => called((done) => req.session.destroy(done)),
  };
}

function called(method: (done: (error?: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    method((error) => (error ? reject(error) : resolve()));
  });
}
