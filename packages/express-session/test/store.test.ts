import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore, type ListedSession } from "@tenure/express-session";
import express from "express";
import session from "express-session";
import { expect, test } from "vitest";
import { application } from "./app.ts";
import { breakable } from "./breakable.ts";
import { fromCallback } from "./from-callback.ts";
import { gate } from "./gate.ts";
import { serve } from "./serve.ts";

async function start(options: Parameters<typeof application>[1] = {}) {
  const sessions = new Sessions({ store: memoryStore() });
  const store = expressSessionStore(sessions);
  const { app, routes } = application(store, options);
  const browsers = await serve(app).then((origin) => [visitor(origin), visitor(origin), visitor(origin)]);
  for (const [i, browser] of browsers.entries()) await browser.post(`/login?user=user${i}`);
  return { sessions, store, routes, browsers };
}

test("the store is an instance of express-session's Store", async () => {
  const { store } = await start();
  expect(store).toBeInstanceOf(session.Store);
});

// A getter makes V8 treat the whole request more slowly.
test("a request with a live or a new session has a plain property sessionID", async () => {
  const { routes, browsers } = await start();
  routes.post("/property", (req, res) => {
    res.json(Object.getOwnPropertyDescriptor(req, "sessionID"));
  });
  browsers[1]!.cookies.clear();
  for (const browser of browsers.slice(0, 2)) {
    const { text } = await browser.post("/property");
    expect(JSON.parse(text)).toMatchObject({ value: expect.any(String), writable: true });
  }
});

test("a request that finds its session ended has no sessionID and does not change the browser's cookie", async () => {
  const { sessions, routes, browsers } = await start({ rolling: true });
  routes.post("/late", async (req, res) => {
    const { sessionID: before } = req;
    await sessions.revokeAllForUser("user0");
    Object.assign(req.session, { late: true });
    await fromCallback((done) => req.session.save(done));
    res.json([typeof before, typeof req.sessionID]);
  });
  expect((await browsers[0]!.get("/me")).setCookies).toHaveLength(1);
  const { text, setCookies } = await browsers[0]!.post("/late");
  expect(JSON.parse(text)).toEqual(["string", "undefined"]);
  expect(setCookies).toEqual([]);
});

// With a getter for each request, each request would have its own hidden class, which V8 retains, with
// everything that it refers to, for many more requests.
test("requests that store a new session share one getter of sessionID and one method destroy", async () => {
  const { routes, browsers } = await start();
  const [ids, methods] = [new Set<unknown>(), new Set<unknown>()];
  routes.post("/save", async (req, res) => {
    await fromCallback((done) => req.session.save(done));
    const id: object | undefined = Object.getOwnPropertyDescriptor(req, "sessionID");
    const method: object | undefined = Object.getOwnPropertyDescriptor(req.session, "destroy");
    ids.add({ get: undefined, ...id }.get);
    methods.add({ value: undefined, ...method }.value);
    res.end();
  });
  for (const browser of browsers) {
    browser.cookies.clear();
    await browser.post("/save");
  }
  for (const shared of [ids, methods]) expect([...shared]).toEqual([expect.any(Function)]);
});

test("a proxy of a request has the request's sessionID", async () => {
  const { routes, browsers } = await start();
  routes.post("/proxy", (req, res) => {
    res.json([req, new Proxy(req, {})].map(({ sessionID }) => sessionID));
  });
  const { text } = await browsers[0]!.post("/proxy");
  const [own, seen] = JSON.parse(text);
  expect(own).toEqual(expect.any(String));
  expect(seen).toBe(own);
});

test("a proxy of req.session is saved as the session itself: also for the first time, and merged", async () => {
  const { sessions, routes, browsers } = await start();
  const browser = browsers[0]!;
  routes.post("/change", async (req, res) => {
    req.session = new Proxy(req.session, {});
    req.session["mine"] = 1;
    if (req.session.userId === undefined) req.session.userId = "ada";
    else await browser.twin().post("/slow?do=set:theirs");
    res.end();
  });
  await browser.post("/change");
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({
    userId: "user0",
    mine: 1,
    theirs: "theirs of someone",
  });
  browser.cookies.clear();
  await browser.post("/change");
  expect(JSON.parse((await browser.get("/me")).text)).toEqual({ userId: "ada", mine: 1 });
  expect(await sessions.listForUser("ada")).toHaveLength(1);
});

test("all lists the data and ids of sessions, and no token", async () => {
  const { sessions, store, browsers } = await start();
  const found = await fromCallback<readonly ListedSession[]>((done) => store.all(done));
  expect(found?.map(({ userId }) => userId).toSorted()).toEqual(["user0", "user1", "user2"]);
  const ids = (await Promise.all([0, 1, 2].map((i) => sessions.listForUser(`user${i}`))))
    .flat()
    .map(({ id }) => id);
  const listed: string[] | undefined = found?.map(({ id }) => id);
  expect(listed?.toSorted()).toEqual(ids.toSorted());
  for (const { cookies } of browsers) {
    const token = decodeURIComponent([...cookies.values()][0]!)
      .slice(2)
      .split(".")[1]!;
    expect(JSON.stringify(found)).not.toContain(token);
  }
});

test.for([
  { secret: 7 },
  { secret: ["long enough", 7] },
  { secret: {} },
  { silence: "TENURE_COOKIE_NAME" },
  { silence: ["TENURE_COOKIE_NAMES"] },
  { isUse: true },
])("an option of the wrong type is a TypeError that says what it must be: %o", (options) => {
  const sessions = new Sessions({ store: memoryStore() });
  const make = (): unknown => expressSessionStore(sessions, options as never);
  expect(make).toThrow(TypeError);
  expect(make).toThrow(new RegExp(`^${Object.keys(options)[0]} must be `));
});

test.for([{ userId: () => "ada" }, { maxAgeMayLengthen: true }])(
  "an unknown option is an error that lists the known options: %o",
  (options) => {
    const make = (): unknown => expressSessionStore(new Sessions({ store: memoryStore() }), options as never);
    expect(make).toThrow(`Unknown option ${Object.keys(options)[0]}. Known options: isUse, secret, silence`);
  },
);

test("length counts the live sessions", async () => {
  const { store, browsers } = await start();
  expect(await fromCallback((done) => store.length(done))).toBe(3);
  await browsers[0]!.post("/logout");
  expect(await fromCallback((done) => store.length(done))).toBe(2);
});

test("clear ends every session", async () => {
  const { store, browsers } = await start();
  await fromCallback((done) => store.clear(done));
  expect(await fromCallback((done) => store.length(done))).toBe(0);
  for (const browser of browsers) expect((await browser.get("/me")).text).toBe("{}");
});

test("revokeAllForUser with exceptToken: req.sessionID ends all of the user's sessions but this one", async () => {
  const { sessions, store, routes, browsers } = await start();
  routes.post("/others", async (req, res) => {
    const count = await sessions.revokeAllForUser("ada", { exceptToken: req.sessionID });
    res.json(count);
  });
  for (const browser of browsers) await browser.post("/login?user=ada");
  expect((await browsers[1]!.post("/others")).text).toBe("2");
  expect(await Promise.all(browsers.map(async (browser) => (await browser.get("/me")).text))).toEqual([
    "{}",
    '{"userId":"ada"}',
    "{}",
  ]);
  expect(await fromCallback((done) => store.length(done))).toBe(1);
});

test("an error that a callback throws is one uncaught exception, and not an unhandled rejection", async () => {
  const { store } = await start();
  const thrown: unknown[] = [];
  const rejected: unknown[] = [];
  const original = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => thrown.push(error));
  const noteRejection = (error: unknown): void => void rejected.push(error);
  process.on("unhandledRejection", noteRejection);
  let calls = 0;
  store.get("t".repeat(43), () => {
    calls += 1;
    throw new Error("of the application");
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  process.removeAllListeners("uncaughtException");
  for (const listener of original) process.on("uncaughtException", listener);
  process.off("unhandledRejection", noteRejection);
  expect(thrown).toEqual([new Error("of the application")]);
  expect(rejected).toEqual([]);
  expect(calls).toBe(1);
});

test("a request that begins in the callback of an application's get is not mistaken for one with that token", async () => {
  const { store, sessions } = await start();
  const { token } = await sessions.create({ cart: 1 });
  await sessions.logIn(token, "ada");
  const { app } = application(store);
  const outer = express();
  outer.use((req, res) => store.get(token, () => void app(req, res)));
  const browser = visitor(await serve(outer));
  expect((await browser.post("/slow?do=set:a")).setCookies).toHaveLength(1);
  expect((await browser.get("/me")).text).toBe('{"a":"a of someone"}');
});

test("a destroyed session that is saved again is not stored, even if it was new", async () => {
  const { routes, browsers, store } = await start();
  routes.get("/destroy-and-save", async (req, res) => {
    const { session: destroyed } = req;
    destroyed.userId = "ada";
    await fromCallback((done) => destroyed.destroy(done));
    await fromCallback((done) => destroyed.save(done));
    res.end();
  });
  const newcomer = browsers[0]!.twin();
  newcomer.cookies.clear();
  expect((await newcomer.get("/destroy-and-save")).status).toBe(200);
  expect((await browsers[0]!.get("/destroy-and-save")).status).toBe(200);
  expect(await fromCallback((done) => store.length(done))).toBe(2);
});

test('with unset: "destroy", a session that the application drops ends, and with unset: "keep", it does not', async () => {
  for (const unset of ["destroy", "keep"] as const) {
    const sessions = new Sessions({ store: memoryStore() });
    const { app, routes } = application(expressSessionStore(sessions), { unset });
    routes.get("/drop", (req, res) => {
      Object.assign(req, { session: null });
      res.end();
    });
    const browser = visitor(await serve(app));
    await browser.post("/login?user=ada");
    expect((await browser.get("/drop")).status).toBe(200);
    expect(await sessions.listForUser("ada")).toHaveLength(unset === "destroy" ? 0 : 1);
  }
});

test.for(["destroy", "keep"] as const)(
  "with unset: %s, a login that fails does not change what becomes of a session that the application has dropped",
  async (unset) => {
    const { store: breaking, fail } = breakable(memoryStore());
    const sessions = new Sessions({ store: breaking, maxPerUser: 1, onCap: "refuse" });
    const store = expressSessionStore(sessions);
    const { app, routes } = application(store, { unset });
    await sessions.create({}, { userId: "eve" });
    routes.get("/drop", async (req, res) => {
      Object.assign(req, { session: null });
      const { failure } = req.query;
      if (failure === "outage") fail(["update", "create"]);
      const user = failure === "no user" ? "" : failure === "cap" ? "eve" : "ada";
      const options = failure === "timeout" ? { idle: "never" as "30m" } : {};
      const [login] = await Promise.allSettled([store.logIn(req, user, options)]);
      fail(undefined);
      res.json(login.status === "fulfilled" ? login.value.refused : "failed");
    });
    for (const failure of ["outage", "no user", "cap", "timeout"]) {
      const browser = visitor(await serve(app));
      await browser.post("/slow?do=logIn:ada,set:note");
      const { text } = await browser.get(`/drop?failure=${encodeURIComponent(failure)}`);
      expect(text).toBe(failure === "cap" ? '"too-many-sessions"' : '"failed"');
      const left = await sessions.listForUser("ada");
      expect(left.map(({ data }) => data?.["note"])).toEqual(unset === "keep" ? ["note of someone"] : []);
      await sessions.revokeAllForUser("ada");
    }
  },
);

test('with unset: "destroy", a new session that the application drops during its first save ends', async () => {
  const sessions = new Sessions({ store: memoryStore() });
  const { app, routes } = application(expressSessionStore(sessions), { unset: "destroy" });
  routes.get("/drop", async (req, res) => {
    Object.assign(req.session, { userId: "ada" });
    const saving = fromCallback((done) => req.session.save(done));
    Object.assign(req, { session: null });
    res.end();
    await saving;
  });
  await visitor(await serve(app)).get("/drop");
  expect(await sessions.listForUser("ada")).toEqual([]);
});

test.for(["an anonymous", "another user's"])(
  'with unset: "destroy", a login that is under way when the application drops %s session leaves no session',
  async (whose) => {
    const memory = memoryStore();
    const held = gate();
    let holds = false;
    const wait = async () => (holds ? held.wait() : undefined);
    const sessions = new Sessions({
      store: {
        ...memory,
        create: async (made) => wait().then(() => memory.create(made)),
        update: async (id, changes) => wait().then(() => memory.update(id, changes)),
      },
    });
    const store = expressSessionStore(sessions);
    const { app, routes } = application(store, { unset: "destroy" });
    routes.get("/drop", async (req, res) => {
      holds = true;
      const login = store.logIn(req, "ada");
      await held.reached;
      Object.assign(req, { session: null });
      res.end();
      held.open();
      await login;
    });
    const browser = visitor(await serve(app));
    if (whose === "another user's") await browser.post("/login?user=bob");
    await browser.get("/drop");
    expect(await sessions.listForUser("ada")).toEqual([]);
  },
);

test("destroy ends a session by its token even if it cannot be read", async () => {
  const { store: breaking, fail } = breakable(memoryStore());
  const sessions = new Sessions({ store: breaking });
  const { token } = await sessions.create({}, { userId: "ada" });
  fail(["read"]);
  await fromCallback((done) => expressSessionStore(sessions).destroy(token!, done));
  fail(undefined);
  expect(await sessions.listForUser("ada")).toEqual([]);
});

test("a first argument that is not a Sessions is a TypeError", () => {
  for (const given of [{}, undefined] as unknown[]) {
    const make = (): unknown => expressSessionStore(given as Sessions);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(/new Sessions\(\{ store \}\)/);
  }
});

test("the userId option of Sessions determines the session's user", async () => {
  const sessions = new Sessions({
    store: memoryStore(),
    userId: (data: { account?: string }) => data.account,
  });
  const { app, routes } = application(expressSessionStore(sessions));
  routes.get("/in", (req, res) => {
    req.session["account"] = "ada";
    req.session.userId = "somebody else";
    res.end();
  });
  const browser = visitor(await serve(app));
  await browser.get("/in");
  expect(await sessions.listForUser("ada")).toHaveLength(1);
});

test("maxPerUser limits logins through the framework", async () => {
  const sessions = new Sessions({ store: memoryStore(), maxPerUser: 2 });
  const origin = await serve(application(expressSessionStore(sessions)).app);
  const browsers = Array.from({ length: 5 }, () => visitor(origin));
  await Promise.all(browsers.map((browser) => browser.post("/login?user=ada")));
  expect(await sessions.listForUser("ada")).toHaveLength(2);
});

test("after a login through regenerate, the previous token opens nothing (session fixation)", async () => {
  const { browsers } = await start();
  const attacker = browsers[0]!.twin();
  await browsers[0]!.post("/login?user=victim");
  expect((await attacker.get("/me")).text).toBe("{}");
  expect(JSON.parse((await browsers[0]!.get("/me")).text)).toEqual({ userId: "victim" });
});
