import { visitor } from "@tenure/cookie-client";
import { memoryStore, type SessionStore } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import express, { type NextFunction, type Request, type Response } from "express";
import session from "express-session";
import { describe, expect, test } from "vitest";
import { aliveIn, application, SECRET } from "./app.ts";
import { breakable } from "./breakable.ts";
import { called } from "./called.ts";
import { heard } from "./heard.ts";
import { serve } from "./serve.ts";
import { sessionsOn } from "./sessions-on.ts";

const LARGE = Buffer.alloc(20 * 1024 * 1024, "x");

async function start() {
  const backend = memoryStore();
  const { store, fail } = breakable(backend);
  const { app, routes, errors } = application(expressSessionStore(sessionsOn(store)));
  routes.get("/large", (_req, res) => res.end(LARGE));
  routes.get("/large-and-maxAge", (req, res) => {
    req.session.cookie.maxAge = 60_000;
    res.end(LARGE);
  });
  routes.get("/large-and-end", (req, res) => {
    req.session.cookie.maxAge = 0;
    res.end(LARGE);
  });
  const browser = visitor(await serve(app));
  await browser.post("/login?user=ada");
  // So that a touch is due.
  await new Promise((resolve) => setTimeout(resolve, 10));
  return { backend, browser, routes, errors, fail };
}

describe("a touch that fails", () => {
  test.for(["/large", "/large-and-maxAge"])("leaves a response of 20 MB whole: %s", async (path) => {
    const { browser, errors, fail } = await start();
    const events = heard("touch-failed");
    fail(["touch", "update"]);
    for (let i = 0; i < 3; i += 1) {
      const { status, text } = await browser.get(path);
      expect([status, text.length]).toEqual([200, LARGE.length]);
    }
    expect(errors).toEqual([]);
    // The touch of the load, and the save of the maxAge. A response that takes longer than `touchEvery` ends with another touch.
    expect(events.length).toBeGreaterThanOrEqual(path === "/large" ? 3 : 6);
  });

  test("cuts the response where its error goes to the framework, as other stores do", async () => {
    class Failing extends session.MemoryStore {
      override touch(_sid: string, _data: session.SessionData, callback?: (error?: unknown) => void): void {
        setImmediate(() => callback?.(new Error("down")));
      }
    }
    const { app, routes, errors } = application(new Failing());
    routes.get("/large", (_req, res) => res.end(LARGE));
    const browser = visitor(await serve(app));
    await browser.post("/login?user=ada");
    await expect(browser.get("/large")).rejects.toThrow(/cut|aborted|hang up|ECONNRESET/);
    expect(errors).toHaveLength(1);
  });

  test("is an event and no error for an object that the store never saw, unless it was to end the session", async () => {
    const { store, fail } = breakable(memoryStore());
    const sessions = sessionsOn(store);
    const { token } = await sessions.create({ userId: "ada" });
    const bridge = expressSessionStore(sessions);
    const events = heard("store-failure");
    const touch = (maxAge: number): Promise<unknown> =>
      called((done) => bridge.touch(token, { cookie: { originalMaxAge: maxAge } }, done));
    fail(["read"]);
    await touch(60_000);
    expect(events).toMatchObject([{ error: { operation: "read" } }]);
    await expect(touch(0)).rejects.toMatchObject({ name: "StoreError", operation: "read" });
  });

  test("is made up for by the next one in the same request", async () => {
    const { browser, routes, fail } = await start();
    routes.get("/twice", (req, res) => {
      req.session.cookie.maxAge = 60_000;
      fail(["touch", "update"]);
      req.sessionStore.touch!(req.sessionID, req.session, () => {
        fail(undefined);
        res.end();
      });
    });
    routes.get("/cookie", (req, res) => res.json(req.session.cookie.originalMaxAge));
    await browser.get("/twice");
    expect(Number((await browser.get("/cookie")).text)).toBeCloseTo(60_000, -4);
  });

  test("is an error where it was to end the session: cookie.maxAge = 0", async () => {
    const { browser, errors, fail } = await start();
    fail(["revoke"]);
    await browser.get("/large-and-end").catch(() => undefined);
    expect(errors).toHaveLength(1);
  });
});

describe("a read that fails", () => {
  test("is an error of the framework and never logged out, though the driver's code is ENOENT", async () => {
    const { backend, browser, errors, fail } = await start();
    fail(["read"]);
    const { status, text, setCookies } = await browser.get("/me");
    expect(status).toBe(500);
    expect(text).toMatch(/^StoreError: read: /);
    expect(setCookies).toEqual([]);
    expect(errors).toEqual([expect.not.objectContaining({ code: expect.anything() })]);
    expect(errors[0]).toMatchObject({ cause: { code: "ENOENT" } });
    fail(undefined);
    expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
    expect(await aliveIn(backend)).toEqual(["ada"]);
  });

  test("would be a silent logout with a store that passes the driver's error on", async () => {
    class Gone extends session.MemoryStore {
      override get(_sid: string, callback: (error: unknown) => void): void {
        setImmediate(() => callback(Object.assign(new Error("connect"), { code: "ENOENT" })));
      }
    }
    const { app } = application(new Gone());
    const browser = visitor(await serve(app));
    await browser.post("/login?user=ada");
    expect(await browser.get("/me")).toMatchObject({ status: 200, text: "{}" });
  });

  test("does not hang a reload", async () => {
    const { browser, fail } = await start();
    const slow = browser.post("/slow?gate=reload&do=reload");
    await browser.get("/gate/reached?name=reload");
    fail(["read"]);
    await browser.post("/gate/open?name=reload");
    expect(await slow).toMatchObject({ status: 500 });
  });
});

test("an error handler after a load that failed learns why the request has no session", async () => {
  const { store: backend, fail } = breakable(memoryStore());
  const store = expressSessionStore(sessionsOn(backend));
  const app = express();
  app.use(session({ secret: SECRET, resave: false, saveUninitialized: true, store }));
  app.get("/", (_req, res) => void res.end());
  let thrown: unknown;
  app.use(async (_error: unknown, req: Request, res: Response, _next: NextFunction) => {
    thrown = await store.logOut(req).catch((error: unknown) => error);
    res.end();
  });
  const browser = visitor(await serve(app));
  await browser.get("/");
  fail(["read"]);
  await browser.get("/");
  expect(String(thrown)).toContain("An error handler finds none if the store failed to load the session");
});

test("a save that fails is an error of the framework, and the same save may be tried again", async () => {
  const { browser, errors, fail } = await start();
  fail(["update"]);
  expect((await browser.post("/slow?do=set:a,save")).status).toBe(500);
  expect(errors[0]).toMatchObject({ name: "StoreError", operation: "update" });
  fail(undefined);
  expect((await browser.post("/slow?do=set:a,save")).status).toBe(200);
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada", a: "a of someone" });
});

test("a creation that fails is an error of the framework, and a second save in the same request may succeed", async () => {
  const { store, fail } = breakable(memoryStore());
  const { app, routes } = application(expressSessionStore(sessionsOn(store)));
  routes.get("/twice", (req, res) => {
    req.session["a"] = 1;
    fail(["create"]);
    req.session.save((error) => {
      fail(undefined);
      req.session["b"] = error ? "after an error" : "at once";
      res.end();
    });
  });
  const browser = visitor(await serve(app));
  expect((await browser.get("/twice")).status).toBe(200);
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ a: 1, b: "after an error" });
});

test("a creation that was stored though its reply was lost does not end the session", async () => {
  const backend = memoryStore();
  let lost = 0;
  const losing: SessionStore = {
    ...backend,
    create: async (given) => {
      const created = await backend.create(given);
      lost += 1;
      if (lost === 1) throw new Error("the connection was cut");
      return created;
    },
  };
  const { app, routes } = application(expressSessionStore(sessionsOn(losing)));
  routes.get("/twice", (req, res) => {
    req.session.userId = "ada";
    req.session.save(() => {
      req.session["b"] = 2;
      res.end();
    });
  });
  const browser = visitor(await serve(app));
  expect((await browser.get("/twice")).status).toBe(200);
  expect(lost).toBe(2);
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada", b: 2 });
});

test("a logout that fails is an error of the framework, and the session lives", async () => {
  const { browser, errors, fail } = await start();
  fail(["revoke"]);
  expect((await browser.post("/logout")).status).toBe(500);
  expect(errors[0]).toMatchObject({ name: "StoreError", operation: "revoke" });
  fail(undefined);
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
});

test("a regenerate that fails is an error of the framework, and a handler that goes on all the same stores nothing", async () => {
  const { backend, browser, routes, fail } = await start();
  routes.post("/careless", (req, res) => {
    fail(["update", "read"]);
    req.session.regenerate(() => {
      fail(undefined);
      const before = req.session.userId ?? "nobody";
      req.session.userId = "eve";
      res.json(before);
    });
  });
  const careless = browser.twin();
  expect(await careless.post("/careless")).toMatchObject({ text: '"nobody"', setCookies: [] });
  expect(await aliveIn(backend)).toEqual(["ada"]);
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
  fail(["update"]);
  expect((await browser.post("/login?user=eve")).status).toBe(500);
});

test("a failing backend takes no request its session: the store never says that it is disconnected", async () => {
  const { store, fail } = breakable(memoryStore());
  const bridge = expressSessionStore(sessionsOn(store));
  const said: unknown[] = [];
  bridge.on("disconnect", () => said.push("disconnect"));
  const { app, routes } = application(bridge);
  routes.get("/has-session", (req, res) => res.json(req.session !== undefined));
  const origin = await serve(app);
  const browser = visitor(origin);
  await browser.post("/login?user=ada");
  fail(["create", "read", "update", "touch", "revoke", "now"]);
  for (let i = 0; i < 3; i += 1) expect((await browser.get("/me")).status).toBe(500);
  expect((await visitor(origin).get("/has-session")).text).toBe("true");
  expect(said).toEqual([]);
});

test("no callback of a failing call is called twice, and none is needed", async () => {
  const { store, fail } = breakable(memoryStore());
  const bridge = expressSessionStore(sessionsOn(store));
  const token = "t".repeat(43);
  const data = { cookie: new session.Cookie() };
  fail(["create", "read", "update", "touch", "revoke", "now"]);
  let calls = 0;
  const count = (): void => void (calls += 1);
  bridge.get(token, count);
  bridge.set(token, data, count);
  bridge.touch(token, data, count);
  bridge.destroy(token, count);
  bridge.clear(count);
  bridge.set(token, data);
  bridge.touch(token, data);
  bridge.destroy(token);
  bridge.clear();
  await expect.poll(() => calls).toBe(5);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(calls).toBe(5);
});
