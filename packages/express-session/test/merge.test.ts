import { visitor } from "@tenure/cookie-client";
import { memoryStore } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { expect, test } from "vitest";
import { aliveIn, application } from "./app.ts";
import { heard } from "./heard.ts";
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

test("two requests that change different keys at once both keep their change", async () => {
  const { browser, seen } = await start();
  const running = await Promise.all([startSlow(browser.twin(), "set:a"), startSlow(browser.twin(), "set:b")]);
  await Promise.all(running.map(({ finish }) => finish()));
  expect(await seen()).toEqual({ userId: "ada", a: "a of someone", b: "b of someone" });
});

test("of two requests that change one key the later one wins", async () => {
  const { browser, seen } = await start();
  const early = await startSlow(browser.twin(), "set:a", "&as=early");
  const late = await startSlow(browser.twin(), "set:a", "&as=late");
  await early.finish();
  await late.finish();
  expect(await seen()).toEqual({ userId: "ada", a: "a of late" });
});

test("a second save in one request deletes nobody's key", async () => {
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

test("a request that deletes a key takes it from what another wrote meanwhile, and nothing else", async () => {
  const { browser, seen } = await start();
  await browser.post("/slow?do=set:a,set:b");
  const slow = await startSlow(browser.twin(), "delete:a");
  await browser.post("/slow?do=set:a,set:c", {});
  await slow.finish();
  expect(await seen()).toEqual({ userId: "ada", b: "b of someone", c: "c of someone" });
});

test("ten requests at once that each write a key of their own leave ten keys", async () => {
  const { browser, seen } = await start();
  const keys = Array.from({ length: 10 }, (_, i) => `key${i}`);
  const running = await Promise.all(keys.map((key) => startSlow(browser.twin(), `set:${key}`)));
  await Promise.all(running.map(({ finish }) => finish()));
  expect(Object.keys(await seen()).toSorted()).toEqual([...keys, "userId"].toSorted());
});

test("a request that began before a login and ends after it does not take the session from its user", async () => {
  const { store, browser } = await start();
  await browser.post("/slow?do=delete:userId");
  expect(await aliveIn(store)).toEqual(["nobody"]);
  const slow = await startSlow(browser.twin(), "set:a");
  await browser.post("/slow?do=login:eve");
  await slow.finish();
  expect(await aliveIn(store)).toEqual(["eve"]);
});

test("a save that comes too late is an event with the session's user, and without token and data", async () => {
  const { browser, store } = await start();
  const [session] = await store.listUser("ada");
  const slow = await startSlow(browser.twin(), "set:secret,save,set:other");
  const token = decodeURIComponent(browser.cookies.get("connect.sid")!).slice(2).split(".")[1]!;
  await browser.post("/logout");
  const dropped = heard("late-save-dropped");
  await slow.finish();
  // Once: after that the framework is given no id to save under.
  expect(dropped).toMatchObject([{ id: session!.id, userId: "ada" }]);
  expect(JSON.stringify(dropped)).not.toContain(token);
  expect(JSON.stringify(dropped)).not.toContain("secret");
});

test("saves that are not waited for are written in the order they were called", async () => {
  const store = expressSessionStore(sessionsOn(memoryStore()));
  const { app, routes } = application(store);
  routes.get("/hasty", (req, res) => {
    for (let i = 1; i <= 5; i += 1) {
      req.session["count"] = i;
      req.session.save();
    }
    req.session["count"] = 6;
    res.end();
  });
  const browser = visitor(await serve(app));
  await browser.get("/hasty");
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ count: 6 });
});

test("a save stores the session as it was when it was called", async () => {
  const store = expressSessionStore(sessionsOn(memoryStore()));
  const { app, routes } = application(store);
  routes.get("/hasty", (req, res, next) => {
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
  expect((await visitor(await serve(app)).get("/hasty")).text).toBe("1");
});

test("a change inside of a value is saved, and the next one in the same request too", async () => {
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

test("the reload of a session shows what others saved meanwhile, and drops what was not saved", async () => {
  const { browser, seen } = await start();
  const slow = await startSlow(browser.twin(), "set:dropped,reload,set:mine");
  await browser.post("/slow?do=set:theirs");
  expect((await slow.finish()).status).toBe(200);
  expect(await seen()).toEqual({ userId: "ada", theirs: "theirs of someone", mine: "mine of someone" });
});

test("the reload of a session that died meanwhile is an error of the framework, and stores nothing", async () => {
  const { store, browser } = await start();
  const slow = await startSlow(browser.twin(), "reload");
  await browser.twin().post("/logout");
  expect(await slow.finish()).toMatchObject({ status: 500, text: "Error: failed to load session" });
  expect(await aliveIn(store)).toEqual([]);
});
