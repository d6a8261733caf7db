import { setTimeout as sleep } from "node:timers/promises";
import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions, type SessionsOptions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { watched } from "@tenure/store-wrappers/watched";
import type { SessionOptions } from "express-session";
import { describe, expect, test } from "vitest";
import { aliveIn, application } from "./app.ts";
import { browserWithToken } from "./browser-with-token.ts";
import { newClock } from "./clock.ts";
import { fromCallback } from "./from-callback.ts";
import { freezeTime } from "./frozen-time.ts";
import { serve } from "./serve.ts";

const MINUTE = 60_000;

async function start(options: Partial<SessionOptions> = {}, policy: Partial<SessionsOptions> = {}) {
  const clock = newClock();
  const { store, look: calls } = watched(memoryStore({ clock }));
  const sessions = new Sessions({ store, idleTimeout: "30m", lifetime: "12h", ...policy });
  const { app, routes } = application(
    expressSessionStore(sessions, { silence: ["TENURE_MAX_AGE_CAPPED"] }),
    options,
  );
  routes.get("/cookie", (req, res) => res.json(req.session.cookie));
  routes.get("/left", (req, res) => res.json(req.session.cookie.maxAge));
  routes.post("/cookie", (req, res) => {
    Object.assign(req.session.cookie, { path: "/", sameSite: "strict" });
    res.end();
  });
  const browser = visitor(await serve(app));
  await browser.post("/login?user=ada");
  const idle = async (): Promise<number | undefined> => (await sessions.listForUser("ada"))[0]?.idle;
  return { clock, store, calls, sessions, browser, idle, routes };
}

describe.for([false, true])("with resave %s", (resave) => {
  test("a change of only cookie.maxAge is saved and shortens the idle timeout", async () => {
    const { browser, clock, idle } = await start({ resave });
    await browser.post(`/slow?do=maxAge:${5 * MINUTE}`);
    expect(JSON.parse((await browser.get("/cookie")).text)).toMatchObject({
      originalMaxAge: expect.closeTo(5 * MINUTE, -4),
    });
    expect(await idle()).toBeCloseTo(5 * MINUTE, -4);
    clock.advance(5 * MINUTE);
    expect((await browser.get("/me")).text).toBe("{}");
  });

  test.for(["none", "null", "false"])(
    "removing the maxAge (%s) restores the policy's idle timeout",
    async (maxAge) => {
      const { browser, idle } = await start({ resave });
      await browser.post(`/slow?do=maxAge:${5 * MINUTE}`);
      expect(await idle()).toBeCloseTo(5 * MINUTE, -4);
      await browser.post(`/slow?do=maxAge:${maxAge}`);
      expect(await idle()).toBe(30 * MINUTE);
      expect(JSON.parse((await browser.get("/cookie")).text)).toMatchObject({ expires: null });
    },
  );

  test.for(["NaN", "Infinity", "-Infinity"])(
    "a maxAge of %s counts as none, so the policy's idle timeout applies",
    async (maxAge) => {
      const { browser, idle } = await start({ resave });
      await browser.post(`/slow?do=maxAge:${maxAge},set:a`);
      expect(await idle()).toBe(30 * MINUTE);
    },
  );

  test.for(["0", "-1", "-60000"])("a maxAge of %s ends the session immediately", async (maxAge) => {
    const { browser, store } = await start({ resave });
    expect((await browser.post(`/slow?do=maxAge:${maxAge}`)).status).toBe(200);
    expect(await aliveIn(store)).toEqual([]);
  });

  test("a maxAge longer than the policy's idle timeout does not lengthen the idle timeout", async () => {
    const { browser, clock, idle } = await start({ resave, cookie: { maxAge: 24 * 60 * MINUTE } });
    expect(await idle()).toBe(30 * MINUTE);
    await browser.post(`/slow?do=maxAge:${365 * 24 * 60 * MINUTE}`);
    expect(await idle()).toBe(30 * MINUTE);
    clock.advance(30 * MINUTE);
    expect((await browser.get("/me")).text).toBe("{}");
  });

  test("changes of other cookie settings are saved too", async () => {
    const { browser } = await start({ resave });
    await browser.post("/cookie");
    expect(JSON.parse((await browser.get("/cookie")).text)).toMatchObject({ sameSite: "strict" });
  });

  test("a drift of originalMaxAge by a few milliseconds is not saved, and drifts do not add up", async () => {
    // So that there is no other drift.
    freezeTime();
    const { browser, calls, routes } = await start({ resave, cookie: { maxAge: 20 * MINUTE } });
    routes.get("/drift", (req, res) => {
      req.session.cookie.originalMaxAge! -= 40;
      res.end();
    });
    calls();
    for (let i = 0; i < 5; i += 1) await browser.get("/drift");
    expect(calls()).toEqual(["read", "read", "read", "read", "read"]);
    await browser.get("/cookie");
    await browser.get("/drift");
    expect(JSON.parse((await browser.get("/cookie")).text)).toMatchObject({ originalMaxAge: 20 * MINUTE });
  });
});

test.for(["maxAge:300000,logIn:ada", "maxAge:300000,rotate", "rotate,maxAge:300000"])(
  "a request that takes the steps %s shortens the idle timeout",
  async (steps) => {
    const { browser, idle } = await start();
    await browser.post(`/slow?do=${steps}`);
    expect(await idle()).toBeCloseTo(5 * MINUTE, -4);
  },
);

describe("a login over TLS makes the cookie secure, if the middleware makes new cookies secure, in a session", () => {
  const overTls = { "x-forwarded-proto": "https" };

  test("that began over plain HTTP", async () => {
    const { browser } = await start({ proxy: true, cookie: { secure: "auto" } });
    browser.cookies.clear();
    expect((await browser.post("/slow?do=set:cart")).setCookies).not.toContainEqual(
      expect.stringContaining("Secure"),
    );
    const login = await browser.post("/slow?do=logIn:ada", {}, overTls);
    expect(login.setCookies).toEqual([expect.stringContaining("; Secure")]);
    // The login has stored it.
    expect(JSON.parse((await browser.get("/cookie", overTls)).text)).toMatchObject({ secure: true });
  });

  test("that began before the middleware's setting was changed", async () => {
    const { sessions, browser } = await start({ cookie: { secure: false } });
    browser.cookies.clear();
    await browser.post("/slow?do=set:cart");
    const { app } = application(expressSessionStore(sessions), { proxy: true, cookie: { secure: true } });
    const after = browser.twin(await serve(app));
    const login = await after.post("/slow?do=logIn:ada", {}, overTls);
    expect(login.setCookies).toEqual([expect.stringContaining("; Secure")]);
  });

  test("and leaves a cookie secure that the application made so", async () => {
    const { browser, routes } = await start({ proxy: true, cookie: { secure: false } });
    routes.post("/secure", (req, res) => {
      req.session.cookie.secure = true;
      res.end();
    });
    await browser.post("/secure", {}, overTls);
    const login = await browser.post("/slow?do=logIn:ada", {}, overTls);
    expect(login.setCookies).toEqual([expect.stringContaining("; Secure")]);
  });
});

test("the middleware's cookie.maxAge shortens the idle timeout of a visitor who logs in with the first request", async () => {
  const { browser, calls, sessions } = await start({ cookie: { maxAge: 5 * MINUTE } });
  const newcomer = browser.twin();
  newcomer.cookies.clear();
  calls();
  await newcomer.post("/slow?do=logIn:bob");
  expect(calls()).toEqual(["create"]);
  expect(await sessions.listForUser("bob")).toMatchObject([{ idle: 5 * MINUTE }]);
});

test("a new session with a maxAge of 0 is never stored and leaves no tombstone", async () => {
  const { calls } = await start({ cookie: { maxAge: 0 } });
  expect(calls()).toEqual([]);
});

test("cookie.maxAge follows the end of the session, although touches do not store the cookie", async () => {
  const { browser, clock } = await start({ cookie: { maxAge: 30 * MINUTE } }, { touchEvery: "1ms" });
  const left = async (): Promise<number> => Number((await browser.get("/left")).text);
  expect(await left()).toBeCloseTo(30 * MINUTE, -5);
  clock.advance(20 * MINUTE);
  // Longer than `touchEvery`, by this process's clock.
  await sleep(5);
  // Only the store's clock has advanced. `maxAge` follows the end of the session by that clock.
  await browser.get("/me");
  expect(await left()).toBeCloseTo(50 * MINUTE, -5);
});

describe("a session created without a cookie", () => {
  const middleware = { cookie: { maxAge: 10 * MINUTE, sameSite: "lax" as const, secure: false } };

  test.for([false, true])(
    "loads with the middleware's default cookie and is written at most once, with resave %s",
    async (resave) => {
      const { sessions, browser, calls } = await start({ ...middleware, resave });
      const { token } = await sessions.create({ userId: "bob", from: "elsewhere" });
      const bob = browserWithToken(browser, token);
      calls();
      expect(JSON.parse((await bob.get("/cookie")).text)).toMatchObject({
        sameSite: "lax",
        originalMaxAge: expect.closeTo(10 * MINUTE, -4),
      });
      expect(JSON.parse((await bob.get("/me")).text)).toEqual({ userId: "bob", from: "elsewhere" });
      expect(calls()).toEqual(resave ? ["read", "update", "read"] : ["read", "read"]);
    },
  );

  test("keeps the idle timeout that it was created with", async () => {
    const { sessions, browser } = await start(middleware);
    const { token } = await sessions.create({ userId: "bob" }, { idle: "5m" });
    await browserWithToken(browser, token).post("/slow?do=set:a");
    expect((await sessions.listForUser("bob"))[0]?.idle).toBe(5 * MINUTE);
  });

  test("stays bound to its user if its data name no user", async () => {
    const { sessions, browser } = await start(middleware);
    const { token } = await sessions.create({}, { userId: "bob" });
    await browserWithToken(browser, token!).post("/slow?do=set:a");
    expect(await sessions.listForUser("bob")).toHaveLength(1);
  });

  test.for(
    ["text", 7, null, true, [], { maxAge: "x", expires: 7, path: 1, secure: {}, originalMaxAge: "no" }].map(
      (cookie) => ({ cookie, json: JSON.stringify(cookie) }),
    ),
  )("loads even if its data contain $json under the key cookie", async ({ cookie }) => {
    const { sessions, browser } = await start(middleware);
    const { token } = await sessions.create({ userId: "bob", cookie });
    expect(await browserWithToken(browser, token).get("/me")).toMatchObject({
      status: 200,
      text: '{"userId":"bob"}',
    });
  });

  test("loads through Store#load, which has no request, with the default cookie", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const store = expressSessionStore(sessions, { silence: ["TENURE_STORE_SHARED"] });
    const { token } = await sessions.create({ userId: "bob" });
    const before = await fromCallback<{ cookie: object }>((done) => store.load(token, done));
    expect(before?.cookie).toMatchObject({ path: "/", httpOnly: true });
    application(store, { ...middleware, proxy: true });
    const after = await fromCallback<{ cookie: object }>((done) => store.load(token, done));
    expect(after?.cookie).toMatchObject({ sameSite: "lax" });
  });
});
