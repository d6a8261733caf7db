import { setTimeout as sleep } from "node:timers/promises";
import type { Session, Sessions } from "@tenure/core";
import { expect, vi } from "vitest";
import type { Step } from "./application.ts";
import { TooSlow, withGrowingDeadline } from "./growing-deadline.ts";
import { type Browser, loggedInBrowser, login, type Scenario, type ScenarioContext } from "./run-scenario.ts";

/** Scenarios that hold with every bridge on every store, by title. */
export const scenarios: Readonly<Record<string, Scenario>> = {
  async "a user who logs in is logged in on the next request"({ serve, createSessions, userId }) {
    const { browser } = await serve(createSessions());
    const alice = browser();
    await expect(alice.userId()).resolves.toBeUndefined();
    await alice.send(...login(userId));
    await expect(alice.userId()).resolves.toBe(userId);
  },

  async "a login replaces the token, and the old token stops working, which prevents session fixation"({
    serve,
    createSessions,
    userId,
  }) {
    const { browser } = await serve(createSessions());
    const alice = browser();
    await alice.send({ set: { cart: 1 } });
    const attacker = alice.twin();
    await expect(attacker.send()).resolves.toMatchObject({ data: { cart: 1 } });
    await alice.send(...login(userId));
    expect(alice.cookies).not.toEqual(attacker.cookies);
    await expect(alice.userId()).resolves.toBe(userId);
    await expect(attacker.send()).resolves.toEqual({ status: 200, data: {} });
  },

  async "a request with a dead token gets a new session under a new token"({ serve, createSessions }) {
    const { browser } = await serve(createSessions());
    const visitor = browser();
    await visitor.send({ set: { cart: 1 } });
    const late = visitor.twin();
    const old = new Map(late.cookies);
    await visitor.send("destroy");
    await late.send({ set: { cart: 2 } });
    expect(late.cookies).not.toEqual(old);
    await expect(late.send()).resolves.toMatchObject({ data: { cart: 2 } });
  },

  async "after a logout, a copy of the cookie is logged out too"({ serve, createSessions, userId }) {
    const alice = await loggedInBrowser(await serve(createSessions()), userId);
    const thief = alice.twin();
    await alice.send("destroy");
    await expect(thief.userId()).resolves.toBeUndefined();
  },

  async "log out everywhere ends every session of the user and of no other user"({
    serve,
    createSessions,
    userId,
  }) {
    const site = await serve(createSessions());
    const [laptop, phone, bob] = [
      await loggedInBrowser(site, userId),
      await loggedInBrowser(site, userId),
      await loggedInBrowser(site, `${userId} the second`),
    ];
    await laptop.send("log out everywhere");
    await expect(laptop.userId()).resolves.toBeUndefined();
    await expect(phone.userId()).resolves.toBeUndefined();
    await expect(bob.userId()).resolves.toBe(`${userId} the second`);
  },

  async "log out everywhere else keeps the session that made the request"({ serve, createSessions, userId }) {
    const site = await serve(createSessions());
    const [laptop, phone] = [await loggedInBrowser(site, userId), await loggedInBrowser(site, userId)];
    await laptop.send("log out everywhere else");
    await expect(laptop.userId()).resolves.toBe(userId);
    await expect(phone.userId()).resolves.toBeUndefined();
  },

  async "race: a slow save after a logout does not bring the session back, and its response is 200"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const sessions = createSessions();
    const alice = await loggedInBrowser(await serve(sessions), userId);
    const slow = alice.twin();
    const response = slow.send({ wait: "slow" }, { set: { draft: "late" } }, "save", {
      set: { draft: "later" },
    });
    await gates.reached("slow");
    await alice.send("destroy");
    gates.open("slow");
    await expect(response).resolves.toMatchObject({ status: 200 });
    await expect(slow.userId()).resolves.toBeUndefined();
    await expect(sessions.listForUser(userId)).resolves.toEqual([]);
  },

  async "race: a slow save in another process, after log out everywhere, does not bring the session back, and its response is 200"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const [here, there] = [createSessions(), createSessions()];
    const alice = await loggedInBrowser(await serve(here), userId);
    const slow = (await serve(there)).browserOf(alice);
    const response = slow.send({ wait: "slow" }, { set: { draft: "late" } });
    await gates.reached("slow");
    await alice.send("log out everywhere");
    gates.open("slow");
    await expect(response).resolves.toMatchObject({ status: 200 });
    await expect(slow.userId()).resolves.toBeUndefined();
    await expect(there.listForUser(userId)).resolves.toEqual([]);
  },

  async "race: a slow save after a rotation does not make the old token work again"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const sessions = createSessions();
    const alice = await loggedInBrowser(await serve(sessions), userId);
    const slow = alice.twin();
    const response = slow.send({ wait: "slow" }, { set: { draft: "late" } });
    await gates.reached("slow");
    await alice.send(...login(userId));
    gates.open("slow");
    await expect(response).resolves.toMatchObject({ status: 200 });
    await expect(slow.userId()).resolves.toBeUndefined();
    await expect(sessions.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "race: rotating a session that another request has ended logs nobody in"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const sessions = createSessions();
    const site = await serve(sessions);
    const alice = await loggedInBrowser(site, userId);
    const slow = alice.twin();
    const response = slow.send({ wait: "slow" }, "rotate", { set: { userId } }, "save", {
      set: { draft: "late" },
    });
    await gates.reached("slow");
    await (await loggedInBrowser(site, userId)).send("log out everywhere");
    gates.open("slow");
    await response;
    await expect(slow.userId()).resolves.toBeUndefined();
    await expect(sessions.listForUser(userId)).resolves.toEqual([]);
  },

  async "race: if a visitor's login through the framework is sent twice at once, both responses log in, because the browser drops one of them"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const { browser } = await serve(createSessions());
    const visitor = browser();
    await visitor.send({ set: { cart: 1 } });
    const tabs = [visitor.twin(), visitor.twin()];
    const responses = tabs.map((tab, index) => tab.send({ wait: `tab ${index}` }, ...login(userId)));
    await Promise.all(tabs.map((_tab, index) => gates.reached(`tab ${index}`)));
    for (const index of tabs.keys()) gates.open(`tab ${index}`);
    await Promise.all(responses);
    await expect(visitor.send()).resolves.toEqual({ status: 200, data: {} });
    for (const tab of tabs) await expect(tab.userId()).resolves.toBe(userId);
  },

  async "race: a login through the framework, in a session that another request has ended, logs nobody in"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const sessions = createSessions();
    const alice = await loggedInBrowser(await serve(sessions), userId);
    const slow = alice.twin();
    const response = slow.send({ wait: "slow" }, ...login(userId), "save");
    await gates.reached("slow");
    await alice.send("log out everywhere");
    gates.open("slow");
    await response;
    await expect(slow.userId()).resolves.toBeUndefined();
    await expect(sessions.listForUser(userId)).resolves.toEqual([]);
  },

  async "the bridge's rotate keeps the session's data, creation and end, and the old token stops working"({
    serve,
    createSessions,
    userId,
  }) {
    const sessions = createSessions();
    const alice = await loggedInBrowser(await serve(sessions), userId);
    await alice.send({ set: { kept: 1 } });
    const old = alice.twin();
    const [before] = await sessions.listForUser(userId);
    const { status } = await alice.send({ set: { a: 1 } }, "rotate", { set: { b: 2 } });
    expect(status).toBe(200);
    await expect(alice.send()).resolves.toEqual({ status: 200, data: { userId, kept: 1, a: 1, b: 2 } });
    await expect(old.userId()).resolves.toBeUndefined();
    const { createdAt, endsAt } = before ?? {};
    await expect(sessions.listForUser(userId)).resolves.toMatchObject([{ createdAt, endsAt }]);
  },

  async "race: two concurrent rotations leave at most one session, and the old token stops working"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const sessions = createSessions();
    const alice = await loggedInBrowser(await serve(sessions), userId);
    const tabs = [alice.twin(), alice.twin()];
    const responses = tabs.map((tab, index) =>
      tab.send({ wait: `tab ${index}` }, "rotate", { set: { userId } }),
    );
    await Promise.all(tabs.map((_tab, index) => gates.reached(`tab ${index}`)));
    for (const index of tabs.keys()) gates.open(`tab ${index}`);
    await Promise.all(responses);
    await expect(alice.userId()).resolves.toBeUndefined();
    expect((await sessions.listForUser(userId)).length).toBeLessThanOrEqual(1);
  },

  async "merge: concurrent requests that change different keys all keep their changes"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const alice = await loggedInBrowser(await serve(createSessions()), userId);
    await alice.send({ set: { kept: 1, deleted: 1 } });
    const responses = [
      alice.twin().send({ wait: "merge" }, { set: { a: 1 } }, { delete: "deleted" }),
      alice.twin().send({ wait: "merge" }, { set: { b: 2 } }),
    ];
    await gates.reached("merge");
    await alice.send({ set: { c: 3 } });
    gates.open("merge");
    await Promise.all(responses);
    await expect(alice.send()).resolves.toEqual({ status: 200, data: { userId, kept: 1, a: 1, b: 2, c: 3 } });
  },

  async "merge: a second save in one request deletes no key that another request has set"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const alice = await loggedInBrowser(await serve(createSessions()), userId);
    const slow = alice.twin();
    const response = slow.send(
      { wait: "first" },
      { set: { a: 1 } },
      "save",
      { wait: "second" },
      { set: { b: 2 } },
    );
    await gates.reached("first");
    await alice.send({ set: { c: 3 } });
    gates.open("first");
    await gates.reached("second");
    await alice.send({ set: { d: 4 } });
    gates.open("second");
    await response;
    await expect(alice.send()).resolves.toEqual({ status: 200, data: { userId, a: 1, b: 2, c: 3, d: 4 } });
  },

  async "merge: if saves of one request overlap, the last one wins"({ serve, createSessions, userId }) {
    const alice = await loggedInBrowser(await serve(createSessions()), userId);
    await alice.send({ set: { a: 0 } });
    const overlapping: Step[] = [1, 2, 3].flatMap((a) => [{ set: { a } }, "start to save" as const]);
    await expect(alice.send(...overlapping)).resolves.toMatchObject({ status: 200 });
    await expect(alice.send()).resolves.toEqual({ status: 200, data: { userId, a: 3 } });
  },

  async "race: a request that began before a login does not change the session of the logged-in user"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const sessions = createSessions();
    const { browser } = await serve(sessions);
    const alice = browser();
    await alice.send({ set: { cart: 1 } });
    const response = alice.twin().send({ wait: "slow" }, { set: { cart: 2 } });
    await gates.reached("slow");
    await alice.send({ set: { userId } });
    gates.open("slow");
    await response;
    await expect(alice.send()).resolves.toMatchObject({ data: { userId, cart: 1 } });
    await expect(sessions.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "page views within touchEvery only read from the store, without rolling"(context) {
    await expectNoWrites(context, false);
  },

  async "page views within touchEvery only read from the store, with rolling"(context) {
    await expectNoWrites(context, true);
  },

  async "page views restart the idle timeout and write no data, without rolling"(context) {
    await expectToOutliveIdleTimeout(context, false);
  },

  async "page views restart the idle timeout and write no data, with rolling"(context) {
    await expectToOutliveIdleTimeout(context, true);
  },

  async "a session that reaches its idle timeout during a request stays dead"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    await withGrowingDeadline(1000, async (idle) => {
      const sessions = createSessions({ idleTimeout: idle });
      const alice = await expectStillLoggedIn(await loggedInBrowser(await serve(sessions), userId), userId);
      const gate = `idle ${idle}`;
      const response = alice.send({ wait: gate }, { set: { draft: "late" } });
      await gates.reached(gate);
      await expectToExpire(sessions, userId);
      gates.open(gate);
      await expect(response).resolves.toMatchObject({ status: 200 });
      await expect(alice.userId()).resolves.toBeUndefined();
      await expect(sessions.listForUser(userId)).resolves.toEqual([]);
    });
  },

  async "the lifetime ends a session that is in use, even during a request"({
    serve,
    createSessions,
    userId,
    watch,
    gates,
  }) {
    await withGrowingDeadline(1500, async (lifetime) => {
      const startedAt = performance.now();
      // The idle timeout is as long as the lifetime, so that a use halfway through moves its end far beyond
      // the end of the lifetime.
      const sessions = createSessions({ lifetime, idleTimeout: lifetime, touchEvery: 1 });
      const alice = await loggedInBrowser(await serve(sessions, { rolling: true }), userId);
      const endsAt = performance.now() + lifetime;
      watch.look();
      await sleep(lifetime / 2);
      const usedAt = performance.now();
      await expectStillLoggedIn(alice, userId);
      const gate = `lifetime ${lifetime}`;
      const response = alice.send({ wait: gate }, { set: { draft: "late" } });
      await gates.reached(gate);
      if (performance.now() - startedAt > lifetime) throw new TooSlow();
      await sleep(endsAt - performance.now() + 10);
      gates.open(gate);
      await expect(response).resolves.toMatchObject({ status: 200 });
      const user = await alice.userId();
      const alive = await sessions.listForUser(userId);
      if (performance.now() - usedAt > lifetime) throw new TooSlow();
      expect(user).toBeUndefined();
      expect(alive).toEqual([]);
      expect(watch.look()).toContain("touch");
    });
  },

  async "a cookie's maxAge does not lengthen the idle timeout"({ serve, createSessions, userId }) {
    await withGrowingDeadline(500, async (idle) => {
      const sessions = createSessions({ idleTimeout: idle });
      const alice = await expectStillLoggedIn(
        await loggedInBrowser(await serve(sessions, { maxAge: 24 * 3600_000 }), userId),
        userId,
      );
      await expectToExpire(sessions, userId);
      await expect(alice.userId()).resolves.toBeUndefined();
    });
  },

  async "a cookie's maxAge shortens the idle timeout of its session"({ serve, createSessions, userId }) {
    const sessions = createSessions();
    const alice = await loggedInBrowser(await serve(sessions), userId);
    const sentAt = performance.now();
    await alice.send({ maxAge: 60_000 }, "save");
    // In express-session, maxAge is the time until cookie.expires, which decreases while the request runs.
    const took = Math.ceil(performance.now() - sentAt);
    const [session] = await sessions.listForUser(userId);
    expect(session?.idle).toBeGreaterThanOrEqual(60_000 - took);
    expect(session?.idle).toBeLessThanOrEqual(60_000);
    await expect(alice.userId()).resolves.toBe(userId);
  },

  async "cap: a login beyond maxPerUser ends the user's oldest session"({ serve, createSessions, userId }) {
    const site = await serve(createSessions({ maxPerUser: 2 }));
    const browsers = [];
    for (let count = 0; count < 3; count += 1) {
      browsers.push(await loggedInBrowser(site, userId));
      await sleep(2);
    }
    const users = await Promise.all(browsers.map((browser) => browser.userId()));
    expect(users).toEqual([undefined, userId, userId]);
  },

  async "cap: concurrent logins leave at least one session and at most maxPerUser"({
    serve,
    createSessions,
    userId,
  }) {
    const sessions = createSessions({ maxPerUser: 2 });
    const { browser } = await serve(sessions);
    const browsers = Array.from({ length: 6 }, () => browser());
    await Promise.all(browsers.map((one) => one.send(...login(userId))));
    const { length } = await sessions.listForUser(userId);
    expect(length).toBeLessThanOrEqual(2);
    expect(length).toBeGreaterThanOrEqual(1);
  },

  async "while the store is down, a request fails and keeps its cookie, which works again afterwards"({
    serve,
    createSessions,
    userId,
    watch,
  }) {
    const alice = await loggedInBrowser(await serve(createSessions(), { rolling: true }), userId);
    const cookies = new Map(alice.cookies);
    watch.fail("everything");
    const response = await alice.visitor.get("/");
    expect(response.status).toBe(500);
    expect(response.setCookies).toEqual([]);
    watch.fail("nothing");
    expect(alice.cookies).toEqual(cookies);
    await expect(alice.userId()).resolves.toBe(userId);
  },

  async "if the store goes down during a request, the request fails without hanging, and the session survives"({
    serve,
    createSessions,
    userId,
    watch,
    gates,
  }) {
    const alice = await loggedInBrowser(await serve(createSessions()), userId);
    const slow = alice.twin();
    const response = slow.send({ wait: "slow" }, { set: { draft: 1 } }, "save");
    await gates.reached("slow");
    watch.fail("everything");
    gates.open("slow");
    await expect(response).resolves.toMatchObject({ status: 500 });
    watch.fail("nothing");
    await expect(alice.userId()).resolves.toBe(userId);
  },

  async "a logout while the store is down fails, and can be repeated afterwards"({
    serve,
    createSessions,
    userId,
    watch,
    gates,
  }) {
    const alice = await loggedInBrowser(await serve(createSessions()), userId);
    const thief = alice.twin();
    for (const step of ["destroy", "log out everywhere"] as const) {
      const response = alice.send({ wait: step }, step);
      await gates.reached(step);
      watch.fail("everything");
      gates.open(step);
      await expect(response).resolves.toMatchObject({ status: 500 });
      watch.fail("nothing");
      await expect(alice.userId()).resolves.toBe(userId);
    }
    await alice.send("destroy");
    await expect(thief.userId()).resolves.toBeUndefined();
  },

  async "a failed touch does not change the response"({ serve, createSessions, userId, watch }) {
    const alice = await loggedInBrowser(await serve(createSessions({ touchEvery: 1 })), userId);
    await sleep(5);
    watch.fail("updates");
    await expect(alice.userId()).resolves.toBe(userId);
    await vi.waitFor(() => expect(watch.calls).toContain("touch"), 30_000);
    watch.fail("nothing");
    await expect(alice.userId()).resolves.toBe(userId);
  },

  async "hostile cookies log nobody in and cause no error"({ serve, createSessions, userId }) {
    const alice = await loggedInBrowser(await serve(createSessions()), userId);
    for (const [name, value] of alice.cookies) {
      for (const hostile of hostileValues(value)) {
        const stranger = alice.twin();
        stranger.cookies.set(name, hostile);
        const { status, text } = await stranger.visitor.get("/");
        expect({ hostile: hostile.slice(0, 80), status, text }).toMatchObject({ status: 200, text: "{}" });
      }
    }
    await expect(alice.userId()).resolves.toBe(userId);
  },

  async "hostile keys in stored data change no prototype, and are kept"({ serve, createSessions, userId }) {
    const sessions = createSessions();
    const alice = await loggedInBrowser(await serve(sessions), userId);
    const [listed] = await sessions.listForUser(userId);
    if (!listed?.data) throw new Error("the login is not listed");
    const stored = listed as Session;
    const hostile = JSON.parse(
      '{"__proto__":{"isAdmin":true},"constructor":1,"toString":"x","toJSON":"x","save":"x","length":7,"hasOwnProperty":"x"}',
    ) as Record<string, unknown>;
    await sessions.save(stored, { ...stored.data, ...hostile });
    const { status, data } = await alice.send({ set: { mine: 1 } });
    expect(status).toBe(200);
    expect(data?.["isAdmin"]).toBeUndefined();
    await expect(alice.userId()).resolves.toBe(userId);
    const [after] = await sessions.listForUser(userId);
    expect(Object.keys(after?.data ?? {})).toEqual(expect.arrayContaining([...Object.keys(hostile), "mine"]));
  },

  async "a value in the data that cannot name a user logs nobody in, and logs out the user who was logged in"({
    serve,
    createSessions,
    userId,
  }) {
    const sessions = createSessions();
    const site = await serve(sessions);
    for (const [nobody, name] of [
      [{ id: 7 }, "[object Object]"],
      ["", "-"],
      [false, "false"],
    ] as const) {
      const alice = await loggedInBrowser(site, userId);
      await expect(sessions.listForUser(userId)).resolves.toHaveLength(1);
      await alice.send({ set: { userId: nobody } }, "save");
      await expect(sessions.listForUser(userId)).resolves.toEqual([]);
      await expect(sessions.listForUser(name)).resolves.toEqual([]);
    }
  },
};

/** @throws TooSlow if the machine took so long that the session may have expired */
async function expectStillLoggedIn(browser: Browser, userId: string): Promise<Browser> {
  if ((await browser.userId()) !== userId) throw new TooSlow();
  return browser;
}

/** Waits, because a page view's touch runs in the background and may restart the idle timeout later. */
async function expectToExpire(sessions: Sessions, userId: string): Promise<void> {
  // Not `expect.poll`: in concurrent tests, vitest 5.1 attributes the poll to the test that began last, and
  // throws if that test has finished.
  await vi.waitFor(async () => expect(await sessions.listForUser(userId)).toEqual([]), 30_000);
}

async function expectNoWrites(
  { serve, createSessions, userId, watch }: ScenarioContext,
  rolling: boolean,
): Promise<void> {
  const alice = await loggedInBrowser(await serve(createSessions(), { rolling, maxAge: 3600_000 }), userId);
  await alice.userId();
  watch.look();
  for (let view = 0; view < 10; view += 1) await expect(alice.userId()).resolves.toBe(userId);
  expect(watch.look()).toEqual(Array<string>(10).fill("read"));
}

async function expectToOutliveIdleTimeout(context: ScenarioContext, rolling: boolean): Promise<void> {
  const { serve, createSessions, userId, watch } = context;
  await withGrowingDeadline(1000, async (idle) => {
    const site = await serve(createSessions({ idleTimeout: idle }), { rolling });
    let lastRequestAt = performance.now();
    const alice = await loggedInBrowser(site, userId);
    const until = performance.now() + 2 * idle;
    watch.look();
    while (lastRequestAt < until) {
      await sleep(idle / 8);
      const requestAt = performance.now();
      const isAlive = (await alice.userId()) === userId;
      // At the previous request, the session's last touch was at most a quarter of the idle timeout ago.
      if (!isAlive && performance.now() - lastRequestAt > idle / 2) throw new TooSlow();
      expect(isAlive).toBe(true);
      lastRequestAt = requestAt;
    }
    const calls = watch.look();
    expect(calls).toContain("touch");
    expect(calls).not.toContain("update");
  });
}

function hostileValues(good: string): string[] {
  const [first = "x", ...rest] = good;
  return [
    "",
    "x",
    ".",
    "..",
    "%",
    "%00",
    "%ED%A0%80",
    "__proto__",
    "s%3A__proto__.x",
    "[object Object]",
    `${first === "x" ? "y" : "x"}${rest.join("")}`,
    good.slice(0, -3),
    `${good}x`,
    good.repeat(2),
    "' or 1=1 --",
    '{"$ne":null}'.replaceAll('"', "%22"),
    "x".repeat(7000),
  ];
}
