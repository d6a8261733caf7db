import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { watched } from "@tenure/watched-store";
import { describe, expect, test } from "vitest";
import { aliveIn, application } from "./app.ts";
import { clock as newClock } from "./clock.ts";
import { gate } from "./gate.ts";
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
    if (rotated) req.session.userId = "ada";
    before["late"] = "no";
    res.json({ rotated, isSame: before === req.session });
  });
  const origin = await serve(app);
  const browser = visitor(origin);
  await browser.post("/slow?do=set:cart");
  return { clock, store, calls, sessions, browser, errors, routes, bridge };
}

test("a rotation gives a new cookie, keeps the data and the unsaved changes, and leaves the old token dead", async () => {
  const { store, browser, errors } = await start();
  const old = browser.twin();
  const { text, setCookies } = await browser.post("/rotate");
  expect(JSON.parse(text)).toEqual({ rotated: true, isSame: false });
  expect(setCookies).toHaveLength(1);
  expect(browser.cookies).not.toEqual(old.cookies);
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({
    cart: "cart of someone",
    unsaved: "yes",
    userId: "ada",
  });
  expect((await old.get("/me")).text).toBe("{}");
  expect(await aliveIn(store)).toEqual(["ada"]);
  expect(errors).toEqual([]);
});

test("a rotation keeps creation and end: repeated, it outlives no lifetime", async () => {
  const { clock, store, browser } = await start();
  for (let i = 0; i < 3; i += 1) {
    clock.advance(19 * 60_000);
    expect(JSON.parse((await browser.post("/rotate")).text)).toMatchObject({ rotated: true });
  }
  clock.advance(3 * 60_000);
  expect((await browser.get("/me")).text).toBe("{}");
  expect(await aliveIn(store)).toEqual([]);
});

test("the framework's own regenerate begins a new lifetime", async () => {
  const { clock, browser } = await start();
  for (let i = 0; i < 4; i += 1) {
    clock.advance(19 * 60_000);
    await browser.post("/login?user=ada");
  }
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
});

test("a rotation of a session that died meanwhile is false and gives no live login", async () => {
  const { store, browser, routes, bridge, sessions } = await start();
  await browser.post("/slow?do=login:ada");
  routes.post("/die-then-rotate", async (req, res) => {
    await sessions.revokeAllForUser("ada");
    const rotated = await bridge.rotate(req);
    req.session.userId = "ada";
    res.json(rotated);
  });
  expect(await browser.post("/die-then-rotate")).toMatchObject({ status: 200, text: "false" });
  expect((await browser.get("/me")).text).toBe("{}");
  expect(await aliveIn(store)).toEqual([]);
});

test("a regenerate that takes the user over from a session that died meanwhile gives no live login", async () => {
  const { store, browser, sessions } = await start();
  await browser.post("/slow?do=login:ada");
  const slow = await startSlow(browser, "regenerate,login:ada,save,set:a");
  await sessions.revokeAllForUser("ada");
  expect((await slow.finish()).status).toBe(200);
  expect((await browser.get("/me")).text).toBe("{}");
  expect(await aliveIn(store)).toEqual([]);
});

test("a regenerate of what a regenerate made of a session that died meanwhile gives no live login either", async () => {
  const { store, browser, sessions } = await start();
  await browser.post("/slow?do=login:ada");
  const slow = await startSlow(browser, "regenerate,regenerate,login:ada,save,set:a");
  await sessions.revokeAllForUser("ada");
  expect((await slow.finish()).status).toBe(200);
  expect(await aliveIn(store)).toEqual([]);
});

test("nor does a regenerate of which this process has forgotten by the time that it is saved", async () => {
  const { store, browser, sessions, bridge, routes } = await start();
  await browser.post("/slow?do=login:ada");
  routes.post("/forgotten", async (req, res) => {
    await sessions.revokeAllForUser("ada");
    await new Promise((resolve) => req.session.regenerate(resolve));
    // Many more than it remembers.
    for (let i = 0; i < 120_000; i += 1) bridge.destroy(String(i));
    req.session.userId = "ada";
    res.end();
  });
  expect((await browser.post("/forgotten")).status).toBe(200);
  expect(await aliveIn(store)).toEqual([]);
});

test("a logout while a rotation is under way ends what the rotation made", async () => {
  const backend = memoryStore();
  const answerOfRevoke = gate();
  let isFirst = true;
  const sessions = new Sessions({
    store: {
      ...backend,
      async revoke(id) {
        const wasAlive = await backend.revoke(id);
        if (isFirst) await answerOfRevoke.wait();
        return wasAlive;
      },
    },
  });
  const bridge = expressSessionStore(sessions);
  const { app, routes } = application(bridge);
  routes.post("/both", async (req, res) => {
    const rotating = bridge.rotate(req);
    await answerOfRevoke.reached;
    isFirst = false;
    await new Promise((resolve) => req.session.destroy(resolve));
    answerOfRevoke.open();
    res.json(await rotating);
  });
  const browser = visitor(await serve(app));
  await browser.post("/slow?do=login:ada");
  expect((await browser.post("/both")).text).toBe("false");
  expect(await aliveIn(backend)).toEqual([]);
});

test("of two rotations at once one wins, and one session is left", async () => {
  const { store, browser } = await start();
  const loaded = await Promise.all([1, 2, 3].map(() => startSlow(browser.twin(), "rotate,set:a")));
  const answers = await Promise.all(loaded.map(({ finish }) => finish()));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(answers.filter(({ setCookies }) => setCookies.length > 0)).toHaveLength(1);
  expect(await aliveIn(store)).toHaveLength(1);
});

test("a regenerate for the login of a visitor whose own session expired meanwhile logs in: it was nobody's", async () => {
  const { clock, browser, store } = await start();
  const slow = await startSlow(browser, "regenerate,login:ada");
  clock.advance(30 * 60_000);
  expect((await slow.finish()).status).toBe(200);
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada" });
  expect(await aliveIn(store)).toEqual(["ada"]);
});

describe("a login that is sent twice at once by somebody who is logged in", () => {
  async function loginTwice(by: "regenerate" | "rotate") {
    const { store, browser } = await start();
    await browser.post("/slow?do=login:ada");
    const first = await startSlow(browser.twin(), `${by},login:ada`);
    const second = await startSlow(browser.twin(), `${by},login:ada`);
    const [won, lost] = [await first.finish(), await second.finish()];
    expect([won.status, lost.status]).toEqual([200, 200]);
    expect(await aliveIn(store)).toEqual(["ada"]);
    return { won: won.setCookies, lost: lost.setCookies };
  }

  test("logs in once, and with rotate only the response that did so sets a cookie", async () => {
    const { won, lost } = await loginTwice("rotate");
    expect([won.length, lost.length]).toEqual([1, 0]);
  });

  test("with regenerate the other one's cookie, of a session that is never stored, may take its place", async () => {
    const { won, lost } = await loginTwice("regenerate");
    expect([won.length, lost.length]).toEqual([1, 1]);
  });
});

test("a request that began before a rotation keeps its answer and loses its save", async () => {
  const { store, browser } = await start();
  const slow = await startSlow(browser.twin(), "set:late,save");
  await browser.post("/rotate");
  expect((await slow.finish()).status).toBe(200);
  expect(JSON.parse((await browser.get("/me")).text)).not.toHaveProperty("late");
  expect(await aliveIn(store)).toEqual(["ada"]);
});

test("a change that another request saved before a rotation, unseen by the request that rotates, is kept", async () => {
  const { browser } = await start();
  const slow = await startSlow(browser.twin(), "set:mine,rotate,set:after");
  await browser.twin().post("/slow?do=set:theirs");
  const rotating = browser.twin();
  for (const line of (await slow.finish()).setCookies) {
    const [name = "", value = ""] = line.split(";")[0]!.split("=");
    rotating.cookies.set(name, value);
  }
  expect(JSON.parse((await rotating.get("/me")).text)).toEqual({
    cart: "cart of someone",
    theirs: "theirs of someone",
    mine: "mine of someone",
    after: "after of someone",
  });
});

describe("a session that is not stored yet", () => {
  test("needs no rotation: nobody can know its token, and no tombstone is written", async () => {
    const { browser, calls, store } = await start();
    const newcomer = browser.twin();
    newcomer.cookies.clear();
    calls();
    expect(JSON.parse((await newcomer.post("/rotate")).text)).toEqual({ rotated: true, isSame: true });
    expect(calls()).toEqual(["create"]);
    expect(JSON.parse((await newcomer.get("/me")).text)).toMatchObject({ userId: "ada" });
    expect(await aliveIn(store)).toEqual(["ada", "nobody"]);
  });

  test("is rotated once it was saved, within one request too", async () => {
    const { browser, routes, bridge, store } = await start();
    routes.post("/save-then-rotate", async (req, res) => {
      req.session["a"] = 1;
      await new Promise((resolve) => req.session.save(resolve));
      const before = req.sessionID;
      res.json([await bridge.rotate(req), before === req.sessionID]);
    });
    const newcomer = browser.twin();
    newcomer.cookies.clear();
    expect((await newcomer.post("/save-then-rotate")).text).toBe("[true,false]");
    expect(await aliveIn(store)).toEqual(["nobody", "nobody"]);
  });
});

test("a request without a session can't be rotated, and says why", async () => {
  const { routes, bridge, browser } = await start();
  routes.post("/none", async (req, res) => {
    await new Promise((resolve) => req.session.destroy(resolve));
    await bridge.rotate(req).catch((error: unknown) => res.end(String(error)));
  });
  expect((await browser.post("/none")).text).toMatch(/^TypeError: there is no req\.session/);
});
