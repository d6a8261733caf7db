import { visitor, type Visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions, StoreError } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import {
  Beginnings,
  type LoginSeen,
  type Operations,
  randomHistories,
  type SessionSeen,
} from "@tenure/watched-store/random-history";
import express, { type Express, type Request, type Response } from "express";
import session from "express-session";
import { expect, test } from "vitest";
import { SECRET } from "./app.ts";
import { called } from "./called.ts";
import { serve } from "./serve.ts";

test(
  "in random histories nobody who was logged out is seen logged in without a later login, and a login after revoke-all succeeds",
  { timeout: 60 * 60_000 },
  async () => {
    const played = randomHistories({
      newStore: memoryStore,
      failure: (call) => new StoreError(call as "read", "down"),
      async open(store) {
        const sessions = new Sessions({ store, touchEvery: "1ms" });
        const origin = await serve(site(sessions));
        return {
          operations: operations(sessions),
          newBrowser: () => visitor(origin),
          close: () => undefined,
        };
      },
    });
    await expect(played).resolves.toBeUndefined();
  },
);

const beginnings = new Beginnings();

function operations(sessions: Sessions): Operations<Visitor> {
  const ask =
    <Seen>(way: string) =>
    async (browser: Visitor, user: string, begun: () => void): Promise<Seen | undefined> => {
      const { status, text } = await browser.post(`/${way}?user=${user}`, undefined, beginnings.sent(begun));
      return status === 200 ? (JSON.parse(text) as Seen) : undefined;
    };
  const login = ask<LoginSeen>;
  const seen = ask<SessionSeen>;
  return {
    logIn: {
      logIn: login("login"),
      "logIn, kept": login("login-kept"),
      regenerate: login("regenerate-login"),
    },
    logOut: { destroy: seen("destroy"), logOut: seen("logout"), passport: seen("passport-logout") },
    everywhere: {
      administrator: (_browser, user, begun) => {
        begun();
        return sessions.revokeAllForUser(user).then(
          () => ({ user }),
          () => undefined,
        );
      },
      logOutEverywhere: seen("everywhere"),
    },
    others: {
      save: seen("save"),
      rotate: seen("rotate"),
      "regenerate, carrying the user over": seen("carry"),
      "rotate, then save": seen("rotate-save"),
      reload: seen("reload"),
    },
    look: seen("look"),
  };
}

function site(sessions: Sessions): Express {
  const store = expressSessionStore(sessions, { silence: ["TENURE_STORE_SHARED"] });
  const app = express();
  app.use((req, _res, next) => {
    beginnings.arrived(req.headers);
    next();
  });
  app.use(session({ secret: SECRET, resave: false, saveUninitialized: false, store }));
  const seen = (req: Request): object => ({
    id: sessions.idOf(req.session?.id ?? ""),
    user: store.userOf(req),
  });
  const route = (name: string, handle: (req: Request, res: Response) => Promise<object>): void => {
    app.post(`/${name}`, async (req, res) => res.json(await handle(req, res)));
  };
  const save = (req: Request): Promise<unknown> => called((done) => req.session.save(done));
  const regenerate = (req: Request): Promise<unknown> => called((done) => req.session.regenerate(done));
  const logIn =
    (keep: readonly string[]) =>
    async (req: Request): Promise<object> => {
      req.session["visits"] = 1;
      const user = req.query["user"] as string;
      const { refused } = await store.logIn(req, user, { keep });
      const outcome = refused ?? (store.userOf(req) === user ? "logged-in" : "unknown");
      return { ...seen(req), outcome };
    };
  route("login", logIn([]));
  route("login-kept", logIn(["visits", "userId"]));
  route("regenerate-login", async (req) => {
    await regenerate(req);
    req.session.userId = req.query["user"];
    await save(req);
    return { ...seen(req), outcome: "unknown" };
  });
  route("destroy", async (req) => {
    const before = seen(req);
    await called((done) => req.session.destroy(done));
    return before;
  });
  route("logout", async (req) => {
    const before = seen(req);
    await store.logOut(req);
    return before;
  });
  route("passport-logout", async (req) => {
    const before = { ...seen(req), goesOn: true };
    if (req.session.userId === undefined) return { id: null, user: null };
    delete req.session.userId;
    await save(req);
    await regenerate(req);
    return before;
  });
  route("everywhere", async (req) => {
    const before = seen(req);
    await store.logOutEverywhere(req);
    return before;
  });
  route("save", async (req) => {
    req.session["visits"] = Number(req.session["visits"] ?? 0) + 1;
    return seen(req);
  });
  route("rotate", async (req) => ({ result: await store.rotate(req) }));
  route("rotate-save", async (req) => {
    await store.rotate(req);
    req.session["rotated"] = true;
    await save(req);
    return seen(req);
  });
  route("carry", async (req) => {
    const { cookie: _, ...data } = req.session;
    await regenerate(req);
    Object.assign(req.session, data);
    return seen(req);
  });
  route("reload", async (req) => {
    await called((done) => req.session.reload(done));
    req.session["reloaded"] = true;
    return seen(req);
  });
  route("look", async (req) => seen(req));
  app.use((error: unknown, _req: Request, res: Response, _next: unknown) => {
    if (res.headersSent) res.destroy();
    else res.status(500).end(String(error));
  });
  return app;
}
