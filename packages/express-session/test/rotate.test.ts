import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { watched } from "@tenure/store-wrappers/watched";
import { describe, expect, test } from "vitest";
import { aliveIn, application } from "./app.ts";
import { newClock } from "./clock.ts";
import { fromCallback } from "./from-callback.ts";
import { startSlow } from "./race.ts";
import { serve } from "./serve.ts";

async function start() {
  const clock = newClock();
  const { store, look: calls } = watched(memoryStore({ clock }));
  const sessions = new Sessions({ store, idleTimeout: "30m", lifetime: "1h" });
  const bridge = expressSessionStore(sessions);
  const { app, routes, errors } = application(bridge);
  routes.post("/rotate", async (req, res) => {
    const before = req.session;
    before["unsaved"] = "yes";
    const rotated = await bridge.rotate(req);
    before["late"] = "no";
    res.json({ rotated, isSame: before === req.session });
  });
  const origin = await serve(app);
  const browser = visitor(origin);
  await browser.post("/slow?do=set:cart");
  return { clock, store, calls, sessions, browser, errors, routes, bridge };
}

test("a rotation sets a new cookie, keeps the data and the unsaved changes, and the old token opens nothing", async () => {
  const { store, browser, errors } = await start();
  const old = browser.twin();
  const { text, setCookies } = await browser.post("/rotate");
  expect(JSON.parse(text)).toEqual({ rotated: "rotated", isSame: false });
  expect(setCookies).toHaveLength(1);
  expect(browser.cookies).not.toEqual(old.cookies);
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ cart: "cart of someone", unsaved: "yes" });
  expect((await old.get("/me")).text).toBe("{}");
  expect(await aliveIn(store)).toEqual(["nobody"]);
  expect(errors).toEqual([]);
});

test("a rotation costs the request's read and one update, and a save of changes costs another update", async () => {
  const { browser, calls } = await start();
  calls();
  await browser.post("/slow?do=rotate");
  expect(calls()).toEqual(["read", "update"]);
  await browser.post("/rotate");
  expect(calls()).toEqual(["read", "update", "update"]);
});

test("rotations do not extend the session beyond its lifetime", async () => {
  const { clock, store, browser } = await start();
  for (let i = 0; i < 3; i += 1) {
    clock.advance(19 * 60_000);
    expect(JSON.parse((await browser.post("/rotate")).text)).toMatchObject({ rotated: "rotated" });
  }
  clock.advance(3 * 60_000);
  expect((await browser.get("/me")).text).toBe("{}");
  expect(await aliveIn(store)).toEqual([]);
});

test("a regenerate restarts the lifetime only if its save changes the session's user", async () => {
  const { clock, browser } = await start();
  for (let i = 0; i < 3; i += 1) {
    clock.advance(19 * 60_000);
    await browser.post("/slow?do=regenerate,set:a");
  }
  await browser.post("/login?user=ada");
  clock.advance(29 * 60_000);
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
  clock.advance(29 * 60_000);
  await browser.post("/slow?do=regenerate,login:ada");
  clock.advance(3 * 60_000);
  expect((await browser.get("/me")).text).toBe("{}");
});

test('rotate of an ended session resolves to "dead", logs nobody in and sets no cookie', async () => {
  const { store, browser, routes, bridge, sessions } = await start();
  await browser.post("/slow?do=login:ada");
  routes.post("/end-then-rotate", async (req, res) => {
    await sessions.revokeAllForUser("ada");
    const rotated = await bridge.rotate(req);
    req.session.userId = "ada";
    res.json(rotated);
  });
  expect(await browser.post("/end-then-rotate")).toMatchObject({
    status: 200,
    text: '"dead"',
    setCookies: [],
  });
  expect((await browser.get("/me")).text).toBe("{}");
  expect(await aliveIn(store)).toEqual([]);
});

test.for([
  "regenerate,login:ada,save,set:a",
  "regenerate,regenerate,login:ada,save,set:a",
  "carry",
  "rotate,carry",
])(
  "a request that takes the steps %s after its session has ended logs nobody in and sets no cookie",
  async (steps) => {
    const { store, browser, sessions } = await start();
    await browser.post("/slow?do=login:ada");
    const slow = await startSlow(browser.twin(), steps);
    await sessions.revokeAllForUser("ada");
    expect(await slow.finish()).toMatchObject({ status: 200, setCookies: [] });
    expect((await browser.get("/me")).text).toBe("{}");
    expect(await aliveIn(store)).toEqual([]);
  },
);

test("a login through regenerate of a session that expires during the request logs nobody in, and succeeds when repeated", async () => {
  const { clock, browser, store } = await start();
  const slow = await startSlow(browser, "regenerate,login:ada");
  clock.advance(30 * 60_000);
  expect((await slow.finish()).status).toBe(200);
  expect(await aliveIn(store)).toEqual([]);
  await browser.post("/login?user=ada");
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
});

test("a logout during a rotation of the same request ends the session", async () => {
  const { store, browser, bridge, routes } = await start();
  await browser.post("/slow?do=login:ada");
  routes.post("/both", async (req, res) => {
    const rotating = bridge.rotate(req);
    await fromCallback((done) => req.session.destroy(done));
    res.json([await rotating, req.session ?? null]);
  });
  expect((await browser.post("/both")).text).toBe('["rotated",null]');
  expect(await aliveIn(store)).toEqual([]);
});

test("of concurrent rotations, one succeeds, the others set no cookie, and one session is left", async () => {
  const { store, browser } = await start();
  const loaded = await Promise.all([1, 2, 3].map(() => startSlow(browser.twin(), "rotate,set:a")));
  const responses = await Promise.all(loaded.map(({ finish }) => finish()));
  expect(responses.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(responses.filter(({ setCookies }) => setCookies.length > 0)).toHaveLength(1);
  expect(await aliveIn(store)).toHaveLength(1);
});

test("if a login through regenerate is sent twice, one request logs in, and only its response sets a cookie", async () => {
  const { store, browser } = await start();
  await browser.post("/slow?do=login:ada");
  const first = await startSlow(browser.twin(), "regenerate,login:ada");
  const second = await startSlow(browser.twin(), "regenerate,login:ada");
  const responses = [await first.finish(), await second.finish()];
  expect(responses.map(({ setCookies }) => setCookies.length)).toEqual([1, 0]);
  expect(await aliveIn(store)).toEqual(["ada"]);
});

describe.for(["rotate,reload,rotate", "logIn:ada,reload,rotate", "rotate,reload,regenerate,login:ada"])(
  "after a request that took the steps %s",
  (steps) => {
    async function afterSteps() {
      const { store, browser } = await start();
      await browser.post("/slow?do=regenerate,login:ada");
      const old = browser.twin();
      await browser.post(`/slow?do=${steps}`);
      expect(browser.cookies).not.toEqual(old.cookies);
      return { store, old };
    }

    test("a request with the cookie from before it stores nothing and sets no cookie", async () => {
      const { store, old } = await afterSteps();
      expect((await old.post("/slow?do=set:a")).setCookies).toEqual([]);
      expect(await aliveIn(store)).toEqual(["ada"]);
    });

    test("a logout with the cookie from before it ends the session", async () => {
      const { store, old } = await afterSteps();
      await old.post("/logout");
      expect(await aliveIn(store)).toEqual([]);
    });
  },
);

test("a login by the data after a regenerate, a save and a reload restarts the lifetime", async () => {
  const { clock, browser } = await start();
  clock.advance(29 * 60_000);
  await browser.get("/me");
  clock.advance(29 * 60_000);
  await browser.post("/slow?do=regenerate,save,reload,login:ada");
  clock.advance(29 * 60_000);
  expect((await browser.get("/me")).text).toBe('{"userId":"ada"}');
});

test("a request that began before a rotation gets its response, and its save is dropped", async () => {
  const { browser } = await start();
  const slow = await startSlow(browser.twin(), "set:late,save");
  await browser.post("/rotate");
  expect((await slow.finish()).status).toBe(200);
  expect(JSON.parse((await browser.get("/me")).text)).not.toHaveProperty("late");
});

test("a rotation keeps changes that another request has saved and that its own request has not seen", async () => {
  const { browser } = await start();
  const rotating = browser.twin();
  const slow = await startSlow(rotating, "set:mine,rotate,set:after");
  await browser.twin().post("/slow?do=set:theirs");
  await slow.finish();
  expect(JSON.parse((await rotating.get("/me")).text)).toEqual({
    cart: "cart of someone",
    theirs: "theirs of someone",
    mine: "mine of someone",
    after: "after of someone",
  });
});

describe("a session that is not stored yet", () => {
  test("is not rotated, because nobody can know its token", async () => {
    const { browser, calls } = await start();
    const newcomer = browser.twin();
    newcomer.cookies.clear();
    calls();
    expect(JSON.parse((await newcomer.post("/rotate")).text)).toEqual({ rotated: "new", isSame: true });
    expect(calls()).toEqual(["create"]);
  });

  test("is rotated after its first save, even in the same request", async () => {
    const { browser, routes, bridge } = await start();
    routes.post("/save-then-rotate", async (req, res) => {
      req.session["a"] = 1;
      await fromCallback((done) => req.session.save(done));
      const before = req.sessionID;
      res.json([await bridge.rotate(req), before === req.sessionID]);
    });
    const newcomer = browser.twin();
    newcomer.cookies.clear();
    expect((await newcomer.post("/save-then-rotate")).text).toBe('["rotated",false]');
    expect((await newcomer.get("/me")).text).toBe('{"a":1}');
  });
});
