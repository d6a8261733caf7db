import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import express, { type Request } from "express";
import session from "express-session";
import passport from "passport";
import { expect, test } from "vitest";
import { aliveIn, SECRET } from "./app.ts";
import { fromCallback } from "./from-callback.ts";
import { gate } from "./gate.ts";
import { serve } from "./serve.ts";

interface Account {
  readonly id: number;
  readonly name: string;
}

async function start(serialize: (user: Account) => unknown = ({ id }) => id) {
  const store = memoryStore();
  const sessions = new Sessions({ store });
  const slow = gate();
  const login = new passport.Passport();
  login.serializeUser((user, done) => done(null, serialize(user as Account)));
  login.deserializeUser((id, done) => done(null, { id, name: `number ${String(id)}` }));
  const app = express();
  const bridge = expressSessionStore(sessions);
  app.use(session({ secret: SECRET, resave: false, saveUninitialized: false, store: bridge }));
  app.use(login.initialize());
  app.use(login.session());
  app.get("/me", (req, res) => res.json(req.user ?? null));
  app.post("/login/:id", async (req, res) => {
    if (req.query["slow"] !== undefined) await slow.wait();
    const keepSessionInfo = req.query["keep"] !== undefined;
    await fromCallback((done) =>
      req.logIn({ id: Number(req.params.id), name: "" }, { session: true, keepSessionInfo }, done),
    );
    res.end("in");
  });
  app.post("/logout", async (req, res) => {
    await fromCallback((done) => req.logOut({ keepSessionInfo: req.query["keep"] !== undefined }, done));
    res.end("out");
  });
  app.post("/cart/:item", (req, res) => {
    req.session["cart"] = req.params.item;
    res.end();
  });
  app.get("/cart", (req, res) => res.json(req.session["cart"] ?? null));
  app.post("/everywhere", async (req, res) => {
    res.json(await sessions.revokeAllForUser((req.user as Account).id));
  });
  app.post("/slow", async (req: Request, res) => {
    await slow.wait();
    req.session["late"] = true;
    res.end("done");
  });
  const origin = await serve(app);
  return { store, sessions, slow, browser: visitor(origin), other: visitor(origin) };
}

test("passport: a login binds the session to its user, even to id 0, and a logout unbinds it", async () => {
  const { store, browser } = await start();
  await browser.post("/login/0");
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ id: 0, name: "number 0" });
  expect(await aliveIn(store)).toEqual(["0"]);
  await browser.post("/login/7");
  expect(await aliveIn(store)).toEqual(["7"]);
  const thief = browser.twin();
  expect((await browser.post("/logout")).text).toBe("out");
  expect((await thief.get("/me")).text).toBe("null");
  expect((await browser.get("/me")).text).toBe("null");
  expect(await aliveIn(store)).not.toContain("7");
});

test("passport: revokeAllForUser ends every session of the user, even one that a slow request saves later", async () => {
  const { store, slow, browser, other } = await start();
  await browser.post("/login/7");
  await other.post("/login/7");
  const running = other.twin().post("/slow");
  await slow.reached;
  expect((await browser.post("/everywhere")).text).toBe("2");
  slow.open();
  expect((await running).status).toBe(200);
  expect((await browser.get("/me")).text).toBe("null");
  expect((await other.get("/me")).text).toBe("null");
  expect(await aliveIn(store)).toEqual([]);
});

test("passport: a user serialized as an object leaves the session anonymous", async () => {
  const { store, browser } = await start((user) => user);
  expect((await browser.post("/login/7")).status).toBe(200);
  expect(await aliveIn(store)).toEqual(["nobody"]);
});

test("passport: keepSessionInfo keeps the data at login and at logout, each time under a new token", async () => {
  const { store, browser } = await start();
  await browser.post("/cart/apples");
  const before = browser.twin();
  await browser.post("/login/7?keep");
  expect((await browser.get("/cart")).text).toBe('"apples"');
  expect(await aliveIn(store)).toEqual(["7"]);
  const during = browser.twin();
  await browser.post("/cart/pears");
  await browser.post("/logout?keep");
  expect((await browser.get("/cart")).text).toBe('"pears"');
  expect(await aliveIn(store)).toEqual(["nobody"]);
  for (const old of [before, during]) expect((await old.get("/cart")).text).toBe("null");
});

test("passport: a login with keepSessionInfo during a revokeAllForUser logs nobody in", async () => {
  const { store, slow, browser } = await start();
  await browser.post("/login/7");
  await browser.post("/cart/apples");
  const running = browser.twin().post("/login/7?keep&slow");
  await slow.reached;
  expect((await browser.post("/everywhere")).text).toBe("1");
  slow.open();
  expect((await running).status).toBe(200);
  expect(await aliveIn(store)).toEqual([]);
});
