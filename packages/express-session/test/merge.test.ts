import { visitor } from "@tenure/cookie-client";
import { memoryStore } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { expect, test } from "vitest";
import { aliveIn, application } from "./app.ts";
import { collectEvents } from "./collect-events.ts";
import { startSlow } from "./race.ts";
import { serve } from "./serve.ts";
import { sessionsOn } from "./sessions-on.ts";

async function start() {
  const store = memoryStore();
  const origin = await serve(application(expressSessionStore(sessionsOn(store))).app);
  const browser = visitor(origin);
  await browser.post("/login?user=ada");
  return { store, browser, seen: async () => JSON.parse((await browser.get("/me")).text) as object };
}

test("if two concurrent requests change different keys, both changes are kept", async () => {
  const { browser, seen } = await start();
  const running = await Promise.all([startSlow(browser.twin(), "set:a"), startSlow(browser.twin(), "set:b")]);
  await Promise.all(running.map(({ finish }) => finish()));
  expect(await seen()).toEqual({ userId: "ada", a: "a of someone", b: "b of someone" });
});

test("if two requests change the same key, the later save wins", async () => {
  const { browser, seen } = await start();
  const early = await startSlow(browser.twin(), "set:a", "&as=early");
  const late = await startSlow(browser.twin(), "set:a", "&as=late");
  await early.finish();
  await late.finish();
  expect(await seen()).toEqual({ userId: "ada", a: "a of late" });
});

test("a second save in one request deletes no key of another request", async () => {
  const { browser, seen } = await start();
  const slow = await startSlow(browser.twin(), "set:a,save,set:b,save,set:c");
  await browser.post("/slow?do=set:theirs");
  await slow.finish();
  expect(await seen()).toEqual({
    userId: "ada",
    theirs: "theirs of someone",
    a: "a of someone",
    b: "b of someone",
    c: "c of someone",
  });
});

test("a request that deletes a key deletes only that key, even if another request has written it since", async () => {
  const { browser, seen } = await start();
  await browser.post("/slow?do=set:a,set:b");
  const slow = await startSlow(browser.twin(), "delete:a");
  await browser.post("/slow?do=set:a,set:c");
  await slow.finish();
  expect(await seen()).toEqual({ userId: "ada", b: "b of someone", c: "c of someone" });
});

test("ten concurrent requests that each write a different key store all ten keys", async () => {
  const { browser, seen } = await start();
  const keys = Array.from({ length: 10 }, (_, i) => `key${i}`);
  const running = await Promise.all(keys.map((key) => startSlow(browser.twin(), `set:${key}`)));
  await Promise.all(running.map(({ finish }) => finish()));
  expect(Object.keys(await seen()).toSorted()).toEqual([...keys, "userId"].toSorted());
});

test("a request that begins before a login and ends after it does not log the user out", async () => {
  const { store, browser } = await start();
  await browser.post("/slow?do=delete:userId");
  expect(await aliveIn(store)).toEqual(["nobody"]);
  const slow = await startSlow(browser.twin(), "set:a");
  await browser.post("/slow?do=login:eve");
  await slow.finish();
  expect(await aliveIn(store)).toEqual(["eve"]);
});

test("a save after a logout publishes one event with the session's id and user, without token or data", async () => {
  const { browser, store } = await start();
  const [session] = await store.listUser("ada");
  const slow = await startSlow(browser.twin(), "set:secret,save,set:other");
  const token = decodeURIComponent(browser.cookies.get("connect.sid")!).slice(2).split(".")[1]!;
  await browser.post("/logout");
  const dropped = collectEvents("late-save-dropped");
  await slow.finish();
  // Only the explicit save's: `req.sessionID` is undefined afterwards, so the framework does not save.
  expect(dropped).toMatchObject([{ id: session!.id, userId: "ada" }]);
  expect(JSON.stringify(dropped)).not.toContain(token);
  expect(JSON.stringify(dropped)).not.toContain("secret");
});

test("saves that are not awaited are written in the order of their calls", async () => {
  const store = expressSessionStore(sessionsOn(memoryStore()));
  const { app, routes } = application(store);
  routes.get("/save", (req, res) => {
    for (let i = 1; i <= 5; i += 1) {
      req.session["count"] = i;
      req.session.save();
    }
    req.session["count"] = 6;
    res.end();
  });
  const browser = visitor(await serve(app));
  await browser.get("/save");
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ count: 6 });
});

test("a save stores the session as it was when save was called", async () => {
  const store = expressSessionStore(sessionsOn(memoryStore()));
  const { app, routes } = application(store);
  routes.get("/save", (req, res, next) => {
    req.session["count"] = 1;
    req.session.save((error) => {
      if (error) return next(error);
      store.get(req.sessionID, (_, stored) => {
        req.session["count"] = 1;
        res.json(stored?.["count"]);
      });
    });
    req.session["count"] = 2;
  });
  expect((await visitor(await serve(app)).get("/save")).text).toBe("1");
});

test("two changes inside a value in one request are both saved", async () => {
  const { app, routes } = application(expressSessionStore(sessionsOn(memoryStore())));
  routes.get("/push", (req, res, next) => {
    const cart = (req.session["cart"] ??= { items: [] }) as { items: number[] };
    cart.items.push(cart.items.length);
    req.session.save((error) => {
      cart.items.push(cart.items.length);
      if (error) next(error);
      else res.end();
    });
  });
  const browser = visitor(await serve(app));
  for (let i = 0; i < 3; i += 1) await browser.get("/push");
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ cart: { items: [0, 1, 2, 3, 4, 5] } });
});

test("reload shows what other requests have saved and drops unsaved changes", async () => {
  const { browser, seen } = await start();
  const slow = await startSlow(browser.twin(), "set:dropped,reload,set:mine");
  await browser.post("/slow?do=set:theirs");
  expect((await slow.finish()).status).toBe(200);
  expect(await seen()).toEqual({ userId: "ada", theirs: "theirs of someone", mine: "mine of someone" });
});

test("reload of a session that another request has ended is the framework's error, and stores nothing", async () => {
  const { store, browser } = await start();
  const slow = await startSlow(browser.twin(), "reload");
  await browser.twin().post("/logout");
  expect(await slow.finish()).toMatchObject({ status: 500, text: "Error: failed to load session" });
  expect(await aliveIn(store)).toEqual([]);
});
