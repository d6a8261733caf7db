import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { visitor } from "@tenure/cookie-client";
import { memoryStore, newToken as tenureToken, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { watched } from "@tenure/store-wrappers/watched";
import session from "express-session";
import { describe, expect, test } from "vitest";
import { aliveIn, application } from "./app.ts";
import { breakable } from "./breakable.ts";
import { collectEvents } from "./collect-events.ts";
import { newClock } from "./clock.ts";
import { fromCallback } from "./from-callback.ts";
import { serve } from "./serve.ts";
import { sessionsOn } from "./sessions-on.ts";

const data = (fields: object): session.SessionData => ({ cookie: new session.Cookie(), ...fields });

/** A token that does not have the form of Tenure's. */
const frameworkToken = (): string => randomBytes(32).toString("base64url");

describe("when the application passes set or touch an object that get returned", () => {
  async function start(touchEvery: "1ms" | "1m" = "1m") {
    const clock = newClock();
    const { store: backend, look: calls } = watched(memoryStore({ clock }));
    const sessions = new Sessions({ store: backend, idleTimeout: "30m", touchEvery });
    const store = expressSessionStore(sessions);
    const { token } = await sessions.create({ userId: 7, cookie: { originalMaxAge: null, path: "/" } });
    const get = async (): Promise<session.SessionData> =>
      (await fromCallback<session.SessionData | null>((done) => store.get(token, done)))!;
    const loaded = await get();
    calls();
    return { backend, calls, sessions, store, token, get, loaded, clock };
  }

  test("every save keeps the keys that others have stored", async () => {
    const { store, token, get, loaded } = await start();
    for (const key of ["a", "b"]) {
      const theirs = await get();
      theirs[`their ${key}`] = 1;
      await fromCallback((done) => store.set(token, theirs, done));
      loaded[key] = 1;
      await fromCallback((done) => store.set(token, loaded, done));
    }
    const { cookie: _, ...stored } = await get();
    expect(stored).toEqual({ userId: 7, a: 1, b: 1, "their a": 1, "their b": 1 });
  });

  test("an unchanged object costs no call of the store, and a changed one costs one update and no read", async () => {
    const { calls, store, token, loaded, get } = await start();
    await fromCallback((done) => store.set(token, loaded, done));
    await fromCallback((done) => store.touch(token, loaded, done));
    expect(calls()).toEqual([]);
    loaded.cookie.originalMaxAge = 60_000;
    await fromCallback((done) => store.touch(token, loaded, done));
    loaded["a"] = 1;
    await fromCallback((done) => store.set(token, loaded, done));
    expect(calls()).toEqual(["update", "update"]);
    expect(await get()).toMatchObject({ a: 1, cookie: { originalMaxAge: 60_000 } });
  });

  test("touch restarts the idle timeout", async () => {
    const { calls, store, token, loaded, clock } = await start("1ms");
    clock.advance(10_000);
    await sleep(5);
    await fromCallback((done) => store.touch(token, loaded, done));
    // The request's own touch and this one, unless less than touchEvery is between them.
    expect(new Set(calls())).toEqual(new Set(["touch"]));
  });

  test("an ended session stays ended, and set under another token is an error and stores nothing", async () => {
    const { backend, sessions, store, token, loaded, get } = await start();
    const other = await get();
    await sessions.revokeAllForUser(7);
    loaded["a"] = 1;
    await fromCallback((done) => store.set(token, loaded, done));
    await fromCallback((done) => store.touch(token, loaded, done));
    await expect(fromCallback((done) => store.set(frameworkToken(), other, done))).rejects.toThrow(
      /another token/,
    );
    expect(await aliveIn(backend)).toEqual([]);
  });
});

describe("when the application passes set or touch a plain object", () => {
  test("set creates a session under a new token", async () => {
    const store = expressSessionStore(sessionsOn(memoryStore()));
    const token = frameworkToken();
    await fromCallback((done) => store.set(token, data({ userId: 7 }), done));
    expect(await fromCallback((done) => store.get(token, done))).toMatchObject({ userId: 7 });
  });

  test("set replaces the data of a live session", async () => {
    const store = expressSessionStore(sessionsOn(memoryStore()));
    const token = frameworkToken();
    await fromCallback((done) => store.set(token, data({ a: 1, b: 1 }), done));
    await fromCallback((done) => store.set(token, data({ a: 2 }), done));
    const stored = await fromCallback<session.SessionData | null>((done) => store.get(token, done));
    expect(Object.keys(stored!)).toEqual(["a", "cookie"]);
    expect(stored).toMatchObject({ a: 2 });
  });

  test("set under a destroyed key stores nothing and fails with an error that says to use another key", async () => {
    const backend = memoryStore();
    const store = expressSessionStore(sessionsOn(backend));
    const [stored, unknown] = [frameworkToken(), frameworkToken()];
    await fromCallback((done) => store.set(stored, data({ userId: 7 }), done));
    for (const key of [stored, unknown]) {
      await fromCallback((done) => store.destroy(key, done));
      await expect(fromCallback((done) => store.set(key, data({ userId: 7 }), done))).rejects.toThrow(
        /has ended, .*Use another key/,
      );
      expect(await fromCallback((done) => store.get(key, done))).toBeNull();
    }
    expect(await aliveIn(backend)).toEqual([]);
  });

  test("set under a token of Tenure's form publishes that it stores nothing, as when a wrapper copies new sessions", async () => {
    const events = collectEvents("late-save-dropped");
    const store = expressSessionStore(sessionsOn(memoryStore()));
    await fromCallback((done) => store.set(tenureToken(), data({ userId: 7 }), done));
    expect(events).toMatchObject([{ outcome: "refused", userId: null }]);
  });

  test("set creates no session under a token of Tenure's form, because only the store issues those", async () => {
    const backend = memoryStore();
    const store = expressSessionStore(sessionsOn(backend));
    await fromCallback((done) => store.set(tenureToken(), data({ userId: 7 }), done));
    expect(await aliveIn(backend)).toEqual([]);
  });

  test("set ends the session if the cookie's maxAge is 0", async () => {
    const store = expressSessionStore(sessionsOn(memoryStore()));
    const token = frameworkToken();
    await fromCallback((done) => store.set(token, data({ userId: 7 }), done));
    await fromCallback((done) => store.set(token, { cookie: { originalMaxAge: 0 } }, done));
    expect(await fromCallback((done) => store.get(token, done))).toBeNull();
  });

  test("set succeeds with the same object after its first call has failed", async () => {
    const { store: backend, fail } = breakable(memoryStore());
    const store = expressSessionStore(sessionsOn(backend));
    const [token, given] = [frameworkToken(), data({ userId: 7 })];
    fail(["create"]);
    await expect(fromCallback((done) => store.set(token, given, done))).rejects.toThrow(/^create: /);
    fail(undefined);
    await fromCallback((done) => store.set(token, given, done));
    expect(await fromCallback((done) => store.get(token, done))).toMatchObject({ userId: 7 });
  });

  test("set accepts a frozen object", async () => {
    const store = expressSessionStore(sessionsOn(memoryStore()));
    const token = frameworkToken();
    await fromCallback((done) => store.set(token, Object.freeze(data({ userId: 7 })), done));
    expect(await fromCallback((done) => store.get(token, done))).toMatchObject({ userId: 7 });
  });

  test("touch with a maxAge shortens the idle timeout", async () => {
    const sessions = sessionsOn(memoryStore());
    const store = expressSessionStore(sessions);
    const { token } = await sessions.create({ userId: 7 });
    await fromCallback((done) => store.touch(token, { cookie: { originalMaxAge: 60_000 } }, done));
    expect(await sessions.get(token)).toMatchObject({ idle: 60_000 });
  });

  test("touch restarts the idle timeout of a live session, and does not bring an expired one back", async () => {
    const clock = newClock();
    const store = expressSessionStore(sessionsOn(memoryStore({ clock })));
    const token = frameworkToken();
    await fromCallback((done) => store.set(token, data({ userId: 7 }), done));
    clock.advance(20 * 60_000);
    await fromCallback((done) => store.touch(token, data({ userId: 7 }), done));
    clock.advance(20 * 60_000);
    expect(await fromCallback((done) => store.get(token, done))).toMatchObject({ userId: 7 });
    clock.advance(30 * 60_000);
    await fromCallback((done) => store.touch(token, data({ userId: 7 }), done));
    expect(await fromCallback((done) => store.get(token, done))).toBeNull();
  });
});

test.for(["loaded", "new"])(
  "set refuses a %s req.session under another token, with an error that names logIn",
  async (which) => {
    const store = expressSessionStore(sessionsOn(memoryStore()));
    const { app, routes } = application(store);
    routes.get("/other-token", async (req, res) => {
      req.session.userId = "ada";
      await fromCallback((done) => store.set(frameworkToken(), req.session, done));
      res.end();
    });
    const browser = visitor(await serve(app));
    if (which === "loaded") await browser.post("/slow?do=set:a");
    expect(await browser.get("/other-token")).toMatchObject({
      status: 500,
      text: expect.stringContaining("store.logIn(req, user)") as string,
    });
  },
);
