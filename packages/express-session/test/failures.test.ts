import { setTimeout as sleep } from "node:timers/promises";
import { visitor } from "@tenure/cookie-client";
import { memoryStore, type SessionStore } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import express, { type NextFunction, type Request, type Response } from "express";
import session from "express-session";
import { describe, expect, test } from "vitest";
import { aliveIn, application, SECRET } from "./app.ts";
import { breakable } from "./breakable.ts";
import { collectEvents } from "./collect-events.ts";
import { fromCallback } from "./from-callback.ts";
import { startSlow } from "./race.ts";
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
  routes.get("/large-and-maxAge-0", (req, res) => {
    req.session.cookie.maxAge = 0;
    res.end(LARGE);
  });
  const browser = visitor(await serve(app));
  await browser.post("/login?user=ada");
  // Longer than `touchEvery`.
  await sleep(5);
  return { backend, browser, routes, errors, fail };
}

describe("a failed touch", () => {
  test.for(["/large", "/large-and-maxAge"])("does not truncate a response of 20 MB: %s", async (path) => {
    const { browser, errors, fail } = await start();
    const events = collectEvents("touch-failed");
    fail(["touch", "update"]);
    for (let i = 0; i < 3; i += 1) {
      const { status, text } = await browser.get(path);
      expect([status, text.length]).toEqual([200, LARGE.length]);
    }
    expect(errors).toEqual([]);
    // The touch at load, and the save of the maxAge. A response that takes longer than `touchEvery` ends with
    // another touch.
    expect(events.length).toBeGreaterThanOrEqual(path === "/large" ? 3 : 6);
  });

  test("truncates the response if a store passes its error to the framework, as other stores do", async () => {
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

  test("of an object unknown to the store is an event, and is an error only if the touch would end the session", async () => {
    const { store, fail } = breakable(memoryStore());
    const sessions = sessionsOn(store);
    const { token } = await sessions.create({ userId: "ada" });
    const bridge = expressSessionStore(sessions);
    const events = collectEvents("store-failure");
    const touch = (maxAge: number): Promise<unknown> =>
      fromCallback((done) => bridge.touch(token, { cookie: { originalMaxAge: maxAge } }, done));
    fail(["read"]);
    await touch(60_000);
    expect(events).toMatchObject([{ error: { operation: "read" } }]);
    await expect(touch(0)).rejects.toMatchObject({ name: "StoreError", operation: "read" });
  });

  test("is repeated by the next touch in the same request", async () => {
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

  test("is an error if the touch would end the session (cookie.maxAge = 0)", async () => {
    const { browser, errors, fail } = await start();
    fail(["revoke"]);
    await browser.get("/large-and-maxAge-0").catch(() => undefined);
    expect(errors).toHaveLength(1);
  });
});

describe("a failed read", () => {
  test("is the framework's error and logs nobody out, even if the driver's error code is ENOENT", async () => {
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

  test("logs the user out silently if a store passes the driver's error on", async () => {
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

  test("makes a reload fail, not hang", async () => {
    const { browser, fail } = await start();
    const slow = await startSlow(browser, "reload");
    fail(["read"]);
    expect(await slow.finish()).toMatchObject({ status: 500 });
  });
});

test("in an error handler after a failed load, logOut rejects and says why the request has no session", async () => {
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

test("a failed save is the framework's error, and the same save succeeds in a later request", async () => {
  const { browser, errors, fail } = await start();
  fail(["update"]);
  expect((await browser.post("/slow?do=set:a,save")).status).toBe(500);
  expect(errors[0]).toMatchObject({ name: "StoreError", operation: "update" });
  fail(undefined);
  expect((await browser.post("/slow?do=set:a,save")).status).toBe(200);
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada", a: "a of someone" });
});

test("after a failed creation, a second save in the same request succeeds", async () => {
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

test("a session whose creation was stored, but whose reply was lost, continues", async () => {
  const backend = memoryStore();
  let creations = 0;
  const store: SessionStore = {
    ...backend,
    create: async (given) => {
      const created = await backend.create(given);
      creations += 1;
      if (creations === 1) throw new Error("the connection was cut");
      return created;
    },
  };
  const { app, routes } = application(expressSessionStore(sessionsOn(store)));
  routes.get("/twice", (req, res) => {
    req.session.userId = "ada";
    req.session.save(() => {
      req.session["b"] = 2;
      res.end();
    });
  });
  const browser = visitor(await serve(app));
  expect((await browser.get("/twice")).status).toBe(200);
  expect(creations).toBe(2);
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada", b: 2 });
});

test("a failed logout is the framework's error, and the session stays alive", async () => {
  const { browser, errors, fail } = await start();
  fail(["revoke"]);
  expect((await browser.post("/logout")).status).toBe(500);
  expect(errors[0]).toMatchObject({ name: "StoreError", operation: "revoke" });
  fail(undefined);
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
});

test("a failed regenerate is the framework's error, and a handler that ignores the error stores nothing", async () => {
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

test('requests keep their req.session while the backend fails, because the store never emits "disconnect"', async () => {
  const { store, fail } = breakable(memoryStore());
  const bridge = expressSessionStore(sessionsOn(store));
  let disconnects = 0;
  bridge.on("disconnect", () => (disconnects += 1));
  const { app, routes } = application(bridge);
  routes.get("/has-session", (req, res) => res.json(req.session !== undefined));
  const origin = await serve(app);
  const browser = visitor(origin);
  await browser.post("/login?user=ada");
  fail(["create", "read", "update", "touch", "revoke", "now"]);
  for (let i = 0; i < 3; i += 1) expect((await browser.get("/me")).status).toBe(500);
  expect((await visitor(origin).get("/has-session")).text).toBe("true");
  expect(disconnects).toBe(0);
});

test("a failing call calls its callback once, and the callback is optional", async () => {
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
