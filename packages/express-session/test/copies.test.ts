import { randomBytes } from "node:crypto";
import { type Visitor, visitor } from "@tenure/cookie-client";
import { memoryStore, newToken as ownToken, Sessions, type SessionStore } from "@tenure/core";
import { type ExpressSessionStore, expressSessionStore } from "@tenure/express-session";
import { watched } from "@tenure/watched-store";
import session from "express-session";
import { describe, expect, test } from "vitest";
import { aliveIn, application } from "./app.ts";
import { breakable } from "./breakable.ts";
import { called } from "./called.ts";
import { clock as newClock } from "./clock.ts";
import { forgetfulStore } from "./forgetful-store.ts";
import { race } from "./race.ts";
import { serve } from "./serve.ts";
import { sessionsOn } from "./sessions-on.ts";
import { signedIn } from "./signed-in.ts";

const change = { name: "saves a change", steps: "set:a,save,set:b" };

describe.for(["as a copy", "as the very object"])(
  "behind a cache that returns what it was given, %s",
  (manner) => {
    /** It asks the store only once for each session, and so goes on returning what was revoked. */
    function cached(store: ExpressSessionStore): session.Store {
      const cache = new Map<string, session.SessionData>();
      const get = store.get.bind(store);
      store.get = (sid, callback) => {
        const known = cache.get(sid);
        if (known)
          return process.nextTick(callback, null, manner === "as a copy" ? structuredClone(known) : known);
        get(sid, (error, data) => {
          if (data) cache.set(sid, manner === "as a copy" ? structuredClone(data) : data);
          callback(error, data);
        });
      };
      return store;
    }

    test.for([
      { name: "a logout", end: (browser: Visitor) => browser.post("/logout") },
      { name: "the idle timeout", end: null },
    ])(
      "a request after $name stores nothing, also where the backend keeps no tombstones",
      async ({ end }) => {
        const clock = newClock();
        const store = forgetfulStore(clock);
        const origin = await serve(application(cached(expressSessionStore(sessionsOn(store)))).app);
        const other = await serve(application(expressSessionStore(sessionsOn(store))).app);
        const outcome = await race({ origin }, change, async (browser) => {
          if (end) await end(browser.twin(other));
          else clock.advance(30 * 60_000);
        });
        expect(outcome.status).toBe(200);
        expect(await aliveIn(store)).toEqual([]);
      },
    );

    test("changes of others are kept: the cached data is what was seen, not what is stored", async () => {
      const store = memoryStore();
      const caching = await serve(application(cached(expressSessionStore(sessionsOn(store)))).app);
      const direct = await serve(application(expressSessionStore(sessionsOn(store))).app);
      const browser = visitor(caching);
      await browser.post("/login?user=ada");
      await browser.get("/me");
      await browser.twin(direct).post("/slow?do=set:theirs");
      await browser.post("/slow?do=set:mine");
      const { text } = await browser.twin(direct).get("/me");
      expect(JSON.parse(text)).toEqual({
        userId: "ada",
        theirs: "theirs of someone",
        mine: "mine of someone",
      });
    });
  },
);

describe("behind a cache that servers share", () => {
  /** A cache such as one in Redis, which returns sessions that this server never loaded, and goes on after their end. */
  function sharing(store: ExpressSessionStore, cache: Map<string, string>): session.Store {
    const get = store.get.bind(store);
    store.get = (sid, callback) => {
      const known = cache.get(sid);
      if (known !== undefined) return process.nextTick(callback, null, JSON.parse(known));
      get(sid, (error, data) => {
        if (data) cache.set(sid, JSON.stringify(data));
        callback(error, data);
      });
    };
    return store;
  }

  async function start(store: SessionStore) {
    const cache = new Map<string, string>();
    const serveOne = (): Promise<string> =>
      serve(application(sharing(expressSessionStore(sessionsOn(store)), cache)).app);
    const first = visitor(await serveOne());
    await first.post("/login?user=ada");
    await first.get("/me");
    return { first, serveOne, cache };
  }

  test.for(["set:a", "set:a,save,set:b", "maxAge:60000", "", "rotate,set:a"])(
    "a request (%s) stores nothing once the session expired, though the backend keeps no tombstones",
    async (steps) => {
      const clock = newClock();
      const store = forgetfulStore(clock);
      const { first, serveOne } = await start(store);
      const second = first.twin(await serveOne());
      clock.advance(30 * 60_000);
      expect((await second.post(`/slow?do=${steps}`)).status).toBe(200);
      expect(await aliveIn(store)).toEqual([]);
    },
  );

  test("a request that changes a key keeps what was saved since the cache took its copy", async () => {
    const { first, serveOne, cache } = await start(memoryStore());
    await first.post("/slow?do=set:theirs");
    const second = first.twin(await serveOne());
    await second.post("/slow?do=set:mine");
    cache.clear();
    expect(JSON.parse((await first.get("/me")).text)).toEqual({
      userId: "ada",
      theirs: "theirs of someone",
      mine: "mine of someone",
    });
  });
});

describe("behind a cache that holds a session from before its user was logged out", () => {
  test.for(["set:late", "rotate,set:late", "carry", "rotate,carry"])(
    "a request (%s) logs nobody in",
    async (steps) => {
      const sessions = sessionsOn(memoryStore());
      const store = expressSessionStore(sessions);
      const { token } = await sessions.create({ cart: 1 });
      store.get = (_, callback) =>
        process.nextTick(callback, null, { cookie: { originalMaxAge: null, path: "/" }, userId: "ada" });
      const browser = signedIn(visitor(await serve(application(store).app)), token);
      expect((await browser.post(`/slow?do=${steps}`)).status).toBe(200);
      expect(await sessions.listForUser("ada")).toEqual([]);
      expect(await sessions.get(token)).toMatchObject({ userId: null, data: { cart: 1 } });
    },
  );
});

const data = (fields: object): session.SessionData => ({ cookie: new session.Cookie(), ...fields });
const newToken = (): string => randomBytes(32).toString("base64url");

describe("what get returned, given to set or touch by hand", () => {
  async function start(touchEvery: "1ms" | "1m" = "1m") {
    const clock = newClock();
    const { store: backend, look: calls } = watched(memoryStore({ clock }));
    const sessions = new Sessions({ store: backend, idleTimeout: "30m", touchEvery });
    const store = expressSessionStore(sessions);
    const { token } = await sessions.create({ userId: 7, cookie: { originalMaxAge: null, path: "/" } });
    const get = async (): Promise<session.SessionData> =>
      (await called<session.SessionData | null>((done) => store.get(token, done)))!;
    const loaded = await get();
    calls();
    return { backend, calls, sessions, store, token, get, loaded, clock };
  }

  test("keeps what others changed meanwhile, time and again", async () => {
    const { store, token, get, loaded } = await start();
    for (const key of ["a", "b"]) {
      const theirs = await get();
      theirs[`their ${key}`] = 1;
      await called((done) => store.set(token, theirs, done));
      loaded[key] = 1;
      await called((done) => store.set(token, loaded, done));
    }
    const { cookie: _, ...stored } = await get();
    expect(stored).toEqual({ userId: 7, a: 1, b: 1, "their a": 1, "their b": 1 });
  });

  test("costs nothing where it changes nothing, and no read where it does", async () => {
    const { calls, store, token, loaded, get } = await start();
    await called((done) => store.set(token, loaded, done));
    await called((done) => store.touch(token, loaded, done));
    expect(calls()).toEqual([]);
    loaded.cookie.originalMaxAge = 60_000;
    await called((done) => store.touch(token, loaded, done));
    loaded["a"] = 1;
    await called((done) => store.set(token, loaded, done));
    expect(calls()).toEqual(["update", "update"]);
    expect(await get()).toMatchObject({ a: 1, cookie: { originalMaxAge: 60_000 } });
  });

  test("restarts the idle timeout", async () => {
    const { calls, store, token, loaded, clock } = await start("1ms");
    clock.advance(10_000);
    await new Promise((resolve) => setTimeout(resolve, 10));
    await called((done) => store.touch(token, loaded, done));
    expect(calls()).toEqual(["touch"]);
  });

  test("does nothing to a session that died, and creates none under another token", async () => {
    const { backend, sessions, store, token, loaded, get } = await start();
    const other = await get();
    await sessions.revokeAllForUser(7);
    loaded["a"] = 1;
    await called((done) => store.set(token, loaded, done));
    await called((done) => store.touch(token, loaded, done));
    await expect(called((done) => store.set(newToken(), other, done))).rejects.toThrow(/another token/);
    expect(await aliveIn(backend)).toEqual([]);
  });
});

describe("a plain object given to set by hand", () => {
  test("creates a session under a token that is new", async () => {
    const store = expressSessionStore(sessionsOn(memoryStore()));
    const token = newToken();
    await called((done) => store.set(token, data({ userId: 7 }), done));
    expect(await called((done) => store.get(token, done))).toMatchObject({ userId: 7 });
  });

  test("replaces the data of a session that is alive", async () => {
    const store = expressSessionStore(sessionsOn(memoryStore()));
    const token = newToken();
    await called((done) => store.set(token, data({ a: 1, b: 1 }), done));
    await called((done) => store.set(token, data({ a: 2 }), done));
    const stored = await called<session.SessionData | null>((done) => store.get(token, done));
    expect(Object.keys(stored!)).toEqual(["a", "cookie"]);
    expect(stored).toMatchObject({ a: 2 });
  });

  test("is an error under a key that was destroyed, with what to do, and stores nothing", async () => {
    const backend = memoryStore();
    const store = expressSessionStore(sessionsOn(backend));
    const [stored, unknown] = [newToken(), newToken()];
    await called((done) => store.set(stored, data({ userId: 7 }), done));
    for (const key of [stored, unknown]) {
      await called((done) => store.destroy(key, done));
      await expect(called((done) => store.set(key, data({ userId: 7 }), done))).rejects.toThrow(
        /has ended, .*Use another key/,
      );
      expect(await called((done) => store.get(key, done))).toBeNull();
    }
    expect(await aliveIn(backend)).toEqual([]);
  });

  test("creates nothing under a token of ours: only the store gives those out", async () => {
    const backend = memoryStore();
    const store = expressSessionStore(sessionsOn(backend));
    await called((done) => store.set(ownToken(), data({ userId: 7 }), done));
    expect(await aliveIn(backend)).toEqual([]);
  });

  test("ends the session if its cookie has expired", async () => {
    const store = expressSessionStore(sessionsOn(memoryStore()));
    const token = newToken();
    await called((done) => store.set(token, data({ userId: 7 }), done));
    await called((done) => store.set(token, { cookie: { originalMaxAge: 0 } }, done));
    expect(await called((done) => store.get(token, done))).toBeNull();
  });

  test.for(["loaded", "new"])("a %s session is refused under a key of another", async (which) => {
    const backend = memoryStore();
    const store = expressSessionStore(sessionsOn(backend));
    const { app, routes } = application(store);
    routes.get("/elsewhere", async (req, res) => {
      req.session.userId = "ada";
      await called((done) => store.set(newToken(), req.session, done));
      res.end();
    });
    const browser = visitor(await serve(app));
    if (which === "loaded") await browser.post("/slow?do=set:a");
    expect(await browser.get("/elsewhere")).toMatchObject({
      status: 500,
      text: expect.stringContaining("store.logIn(req, user)") as string,
    });
  });

  test("may be set again where its creation failed", async () => {
    const { store: backend, fail } = breakable(memoryStore());
    const store = expressSessionStore(sessionsOn(backend));
    const [token, given] = [newToken(), data({ userId: 7 })];
    fail(["create"]);
    await expect(called((done) => store.set(token, given, done))).rejects.toThrow(/^create: /);
    fail(undefined);
    await called((done) => store.set(token, given, done));
    expect(await called((done) => store.get(token, done))).toMatchObject({ userId: 7 });
  });

  test("may be frozen", async () => {
    const store = expressSessionStore(sessionsOn(memoryStore()));
    const token = newToken();
    await called((done) => store.set(token, Object.freeze(data({ userId: 7 })), done));
    expect(await called((done) => store.get(token, done))).toMatchObject({ userId: 7 });
  });

  test("a touch of it with a maxAge shortens the idle timeout", async () => {
    const sessions = sessionsOn(memoryStore());
    const store = expressSessionStore(sessions);
    const { token } = await sessions.create({ userId: 7 });
    await called((done) => store.touch(token, { cookie: { originalMaxAge: 60_000 } }, done));
    expect(await sessions.get(token)).toMatchObject({ idle: 60_000 });
  });

  test("a touch of it restarts the idle timeout, and does nothing to a dead one", async () => {
    const clock = newClock();
    const store = expressSessionStore(sessionsOn(memoryStore({ clock })));
    const token = newToken();
    await called((done) => store.set(token, data({ userId: 7 }), done));
    clock.advance(20 * 60_000);
    await called((done) => store.touch(token, data({ userId: 7 }), done));
    clock.advance(20 * 60_000);
    expect(await called((done) => store.get(token, done))).toMatchObject({ userId: 7 });
    clock.advance(30 * 60_000);
    await called((done) => store.touch(token, data({ userId: 7 }), done));
    expect(await called((done) => store.get(token, done))).toBeNull();
  });
});
