import { setTimeout as sleep } from "node:timers/promises";
import type { Session } from "@tenure/core";
import { expect, vi } from "vitest";
import type { Step } from "./application.ts";
import { type Browser, login, type Stage } from "./stage.ts";

/** Scenarios that hold with every bridge on every store, by the sentence that they prove. */
export const scenarios: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  async "a login holds at the next request"({ serve, sessions, userId }) {
    const { browser } = await serve(sessions());
    const alice = browser();
    await expect(alice.userId()).resolves.toBeUndefined();
    await alice.does(...login(userId));
    await expect(alice.userId()).resolves.toBe(userId);
  },

  async "a login gives a new token and leaves the old one dead: no fixation"({ serve, sessions, userId }) {
    const { browser } = await serve(sessions());
    const alice = browser();
    await alice.does({ set: { cart: 1 } });
    const attacker = alice.twin();
    await expect(attacker.does()).resolves.toMatchObject({ data: { cart: 1 } });
    await alice.does(...login(userId));
    expect(alice.cookies).not.toEqual(attacker.cookies);
    await expect(alice.userId()).resolves.toBe(userId);
    await expect(attacker.does()).resolves.toEqual({ status: 200, data: {} });
  },

  async "a token that is dead is never used again for a new session"({ serve, sessions }) {
    const all = sessions();
    const { browser } = await serve(all);
    const visitor = browser();
    await visitor.does({ set: { cart: 1 } });
    const late = visitor.twin();
    const old = new Map(late.cookies);
    await visitor.does("destroy");
    await late.does({ set: { cart: 2 } });
    expect(late.cookies).not.toEqual(old);
    await expect(late.does()).resolves.toMatchObject({ data: { cart: 2 } });
  },

  async "a logout holds, also for a copy of the cookie"({ serve, sessions, userId }) {
    const alice = await loggedIn(await serve(sessions()), userId);
    const thief = alice.twin();
    await alice.does("destroy");
    await expect(thief.userId()).resolves.toBeUndefined();
  },

  async "log out everywhere ends every session of the user and nobody else's"({ serve, sessions, userId }) {
    const site = await serve(sessions());
    const [laptop, phone, bob] = [
      await loggedIn(site, userId),
      await loggedIn(site, userId),
      await loggedIn(site, `${userId} the second`),
    ];
    await laptop.does("log out everywhere");
    await expect(laptop.userId()).resolves.toBeUndefined();
    await expect(phone.userId()).resolves.toBeUndefined();
    await expect(bob.userId()).resolves.toBe(`${userId} the second`);
  },

  async "log out everywhere else keeps the session that asked"({ serve, sessions, userId }) {
    const site = await serve(sessions());
    const [laptop, phone] = [await loggedIn(site, userId), await loggedIn(site, userId)];
    await laptop.does("log out everywhere else");
    await expect(laptop.userId()).resolves.toBe(userId);
    await expect(phone.userId()).resolves.toBeUndefined();
  },

  async "race: a slow save after a logout brings nobody back and is answered 200"({
    serve,
    sessions,
    userId,
    gates,
  }) {
    const all = sessions();
    const alice = await loggedIn(await serve(all), userId);
    const slow = alice.twin();
    const answer = slow.does({ wait: "slow" }, { set: { draft: "late" } }, "save", {
      set: { draft: "later" },
    });
    await gates.reached("slow");
    await alice.does("destroy");
    gates.open("slow");
    await expect(answer).resolves.toMatchObject({ status: 200 });
    await expect(slow.userId()).resolves.toBeUndefined();
    await expect(all.listForUser(userId)).resolves.toEqual([]);
  },

  async "race: so it is across two processes, after log out everywhere"({ serve, sessions, userId, gates }) {
    const [here, there] = [sessions(), sessions()];
    const alice = await loggedIn(await serve(here), userId);
    const slow = (await serve(there)).browserOf(alice);
    const answer = slow.does({ wait: "slow" }, { set: { draft: "late" } });
    await gates.reached("slow");
    await alice.does("log out everywhere");
    gates.open("slow");
    await expect(answer).resolves.toMatchObject({ status: 200 });
    await expect(slow.userId()).resolves.toBeUndefined();
    await expect(there.listForUser(userId)).resolves.toEqual([]);
  },

  async "race: a slow save after a rotation brings the old token not back"({
    serve,
    sessions,
    userId,
    gates,
  }) {
    const all = sessions();
    const alice = await loggedIn(await serve(all), userId);
    const slow = alice.twin();
    const answer = slow.does({ wait: "slow" }, { set: { draft: "late" } });
    await gates.reached("slow");
    await alice.does(...login(userId));
    gates.open("slow");
    await expect(answer).resolves.toMatchObject({ status: 200 });
    await expect(slow.userId()).resolves.toBeUndefined();
    await expect(all.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "race: a rotation of a session that died meanwhile gives no live login"({
    serve,
    sessions,
    userId,
    gates,
  }) {
    const all = sessions();
    const site = await serve(all);
    const alice = await loggedIn(site, userId);
    const slow = alice.twin();
    const answer = slow.does({ wait: "slow" }, "rotate", { set: { userId } }, "save", {
      set: { draft: "late" },
    });
    await gates.reached("slow");
    await (await loggedIn(site, userId)).does("log out everywhere");
    gates.open("slow");
    await answer;
    await expect(slow.userId()).resolves.toBeUndefined();
    await expect(all.listForUser(userId)).resolves.toEqual([]);
  },

  async "race: of a visitor's login that is sent twice at once by the framework's own means, both hold: the browser drops one response"({
    serve,
    sessions,
    userId,
    gates,
  }) {
    const { browser } = await serve(sessions());
    const visitor = browser();
    await visitor.does({ set: { cart: 1 } });
    const tabs = [visitor.twin(), visitor.twin()];
    const answers = tabs.map((tab, index) => tab.does({ wait: `tab ${index}` }, ...login(userId)));
    await Promise.all(tabs.map((_tab, index) => gates.reached(`tab ${index}`)));
    for (const index of tabs.keys()) gates.open(`tab ${index}`);
    await Promise.all(answers);
    await expect(visitor.does()).resolves.toEqual({ status: 200, data: {} });
    for (const tab of tabs) await expect(tab.userId()).resolves.toBe(userId);
  },

  async "race: a login by the framework's own means over a session that died meanwhile logs nobody in"({
    serve,
    sessions,
    userId,
    gates,
  }) {
    const all = sessions();
    const alice = await loggedIn(await serve(all), userId);
    const slow = alice.twin();
    const answer = slow.does({ wait: "slow" }, ...login(userId), "save");
    await gates.reached("slow");
    await alice.does("log out everywhere");
    gates.open("slow");
    await answer;
    await expect(slow.userId()).resolves.toBeUndefined();
    await expect(all.listForUser(userId)).resolves.toEqual([]);
  },

  async "a rotation by the bridge's means keeps data, creation and end, and leaves the old token dead"({
    serve,
    sessions,
    userId,
  }) {
    const all = sessions();
    const alice = await loggedIn(await serve(all), userId);
    await alice.does({ set: { kept: 1 } });
    const old = alice.twin();
    const [before] = await all.listForUser(userId);
    const { status } = await alice.does({ set: { a: 1 } }, "rotate", { set: { b: 2 } });
    expect(status).toBe(200);
    await expect(alice.does()).resolves.toEqual({ status: 200, data: { userId, kept: 1, a: 1, b: 2 } });
    await expect(old.userId()).resolves.toBeUndefined();
    const { createdAt, endsAt } = before ?? {};
    await expect(all.listForUser(userId)).resolves.toMatchObject([{ createdAt, endsAt }]);
  },

  async "race: of two rotations of one session at most one goes on"({ serve, sessions, userId, gates }) {
    const all = sessions();
    const alice = await loggedIn(await serve(all), userId);
    const tabs = [alice.twin(), alice.twin()];
    const answers = tabs.map((tab, index) =>
      tab.does({ wait: `tab ${index}` }, "rotate", { set: { userId } }),
    );
    await Promise.all(tabs.map((_tab, index) => gates.reached(`tab ${index}`)));
    for (const index of tabs.keys()) gates.open(`tab ${index}`);
    await Promise.all(answers);
    await expect(alice.userId()).resolves.toBeUndefined();
    expect((await all.listForUser(userId)).length).toBeLessThanOrEqual(1);
  },

  async "merge: requests that change different keys at once both keep their change"({
    serve,
    sessions,
    userId,
    gates,
  }) {
    const alice = await loggedIn(await serve(sessions()), userId);
    await alice.does({ set: { kept: 1, deleted: 1 } });
    const answers = [
      alice.twin().does({ wait: "merge" }, { set: { a: 1 } }, { delete: "deleted" }),
      alice.twin().does({ wait: "merge" }, { set: { b: 2 } }),
    ];
    await gates.reached("merge");
    await alice.does({ set: { c: 3 } });
    gates.open("merge");
    await Promise.all(answers);
    await expect(alice.does()).resolves.toEqual({ status: 200, data: { userId, kept: 1, a: 1, b: 2, c: 3 } });
  },

  async "merge: a second save in one request deletes nobody's key"({ serve, sessions, userId, gates }) {
    const alice = await loggedIn(await serve(sessions()), userId);
    const slow = alice.twin();
    const answer = slow.does(
      { wait: "first" },
      { set: { a: 1 } },
      "save",
      { wait: "second" },
      { set: { b: 2 } },
    );
    await gates.reached("first");
    await alice.does({ set: { c: 3 } });
    gates.open("first");
    await gates.reached("second");
    await alice.does({ set: { d: 4 } });
    gates.open("second");
    await answer;
    await expect(alice.does()).resolves.toEqual({ status: 200, data: { userId, a: 1, b: 2, c: 3, d: 4 } });
  },

  async "merge: of saves that overlap in one request the last one wins"({ serve, sessions, userId }) {
    const alice = await loggedIn(await serve(sessions()), userId);
    await alice.does({ set: { a: 0 } });
    const overlapping: Step[] = [1, 2, 3].flatMap((a) => [{ set: { a } }, "start to save" as const]);
    await expect(alice.does(...overlapping)).resolves.toMatchObject({ status: 200 });
    await expect(alice.does()).resolves.toEqual({ status: 200, data: { userId, a: 3 } });
  },

  async "race: a request that began before a login changes nothing in the session of the user"({
    serve,
    sessions,
    userId,
    gates,
  }) {
    const all = sessions();
    const { browser } = await serve(all);
    const alice = browser();
    await alice.does({ set: { cart: 1 } });
    const answer = alice.twin().does({ wait: "slow" }, { set: { cart: 2 } });
    await gates.reached("slow");
    await alice.does({ set: { userId } });
    gates.open("slow");
    await answer;
    await expect(alice.does()).resolves.toMatchObject({ data: { userId, cart: 1 } });
    await expect(all.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "page views write no data, and nothing at all within touchEvery, without rolling"(stage) {
    await expectNoWrites(stage, false);
  },

  async "page views write no data, and nothing at all within touchEvery, with rolling"(stage) {
    await expectNoWrites(stage, true);
  },

  async "the idle timeout restarts with every page view, without rolling"(stage) {
    await expectToOutliveIdleTimeout(stage, false);
  },

  async "the idle timeout restarts with every page view, with rolling"(stage) {
    await expectToOutliveIdleTimeout(stage, true);
  },

  async "a session that idles out while a request runs stays dead"({ serve, sessions, userId, gates }) {
    await patiently(1000, async (idle) => {
      const all = sessions({ idleTimeout: idle });
      const alice = await startsInTime(await loggedIn(await serve(all), userId), userId);
      const gate = `idle ${idle}`;
      const answer = alice.does({ wait: gate }, { set: { draft: "late" } });
      await gates.reached(gate);
      // The touch of a page view runs in the background and may restart the idle timeout later. Not
      // `expect.poll`: in concurrent tests (vitest 5.1), it assumes the test that began last and throws if
      // that has finished.
      await vi.waitFor(async () => expect(await all.listForUser(userId)).toEqual([]), 30_000);
      gates.open(gate);
      await expect(answer).resolves.toMatchObject({ status: 200 });
      await expect(alice.userId()).resolves.toBeUndefined();
      await expect(all.listForUser(userId)).resolves.toEqual([]);
    });
  },

  async "the lifetime ends a session in use, also while a request runs"({
    serve,
    sessions,
    userId,
    watch,
    gates,
  }) {
    await patiently(1500, async (lifetime) => {
      const startedAt = performance.now();
      // If it is used late, its idle timeout ends long after its lifetime.
      const all = sessions({ lifetime, idleTimeout: lifetime, touchEvery: 1 });
      const alice = await loggedIn(await serve(all, { rolling: true }), userId);
      const endsAt = performance.now() + lifetime;
      watch.look();
      await sleep(lifetime / 2);
      const usedAt = performance.now();
      await startsInTime(alice, userId);
      const gate = `lifetime ${lifetime}`;
      const answer = alice.does({ wait: gate }, { set: { draft: "late" } });
      await gates.reached(gate);
      if (performance.now() - startedAt > lifetime) throw new TooSlow();
      await sleep(endsAt - performance.now() + 10);
      gates.open(gate);
      await expect(answer).resolves.toMatchObject({ status: 200 });
      const found = await alice.userId();
      const alive = await all.listForUser(userId);
      if (performance.now() - usedAt > lifetime) throw new TooSlow();
      expect(found).toBeUndefined();
      expect(alive).toEqual([]);
      expect(watch.look()).toContain("touch");
    });
  },

  async "a cookie's maxAge does not lengthen the idle timeout"({ serve, sessions, userId }) {
    await patiently(500, async (idle) => {
      const all = sessions({ idleTimeout: idle });
      const alice = await startsInTime(
        await loggedIn(await serve(all, { maxAge: 24 * 3600_000 }), userId),
        userId,
      );
      await sleep(idle + 10);
      await expect(alice.userId()).resolves.toBeUndefined();
    });
  },

  async "a cookie's maxAge shortens the idle timeout of its session"({ serve, sessions, userId }) {
    const all = sessions();
    const alice = await loggedIn(await serve(all), userId);
    await alice.does({ maxAge: 60_000 }, "save");
    // In express-session, maxAge is the time left until cookie.expires, which may have become a millisecond
    // less.
    const [session] = await all.listForUser(userId);
    expect(session?.idle).toBeGreaterThan(59_900);
    expect(session?.idle).toBeLessThanOrEqual(60_000);
    await expect(alice.userId()).resolves.toBe(userId);
  },

  async "cap: a login too many ends the oldest session"({ serve, sessions, userId }) {
    const site = await serve(sessions({ maxPerUser: 2 }));
    const browsers = [];
    for (let count = 0; count < 3; count += 1) {
      browsers.push(await loggedIn(site, userId));
      await sleep(2);
    }
    const found = await Promise.all(browsers.map((browser) => browser.userId()));
    expect(found).toEqual([undefined, userId, userId]);
  },

  async "cap: of logins at once never more than the cap are alive"({ serve, sessions, userId }) {
    const all = sessions({ maxPerUser: 2 });
    const { browser } = await serve(all);
    const browsers = Array.from({ length: 6 }, () => browser());
    await Promise.all(browsers.map((one) => one.does(...login(userId))));
    const { length } = await all.listForUser(userId);
    expect(length).toBeLessThanOrEqual(2);
    expect(length).toBeGreaterThanOrEqual(1);
  },

  async "a store that is down is an error, never a logout, and the same cookie works when it is back"({
    serve,
    sessions,
    userId,
    watch,
  }) {
    const alice = await loggedIn(await serve(sessions(), { rolling: true }), userId);
    const cookies = new Map(alice.cookies);
    watch.fail("everything");
    const answer = await alice.visitor.get("/");
    expect(answer.status).toBe(500);
    expect(answer.setCookies).toEqual([]);
    watch.fail("nothing");
    expect(alice.cookies).toEqual(cookies);
    await expect(alice.userId()).resolves.toBe(userId);
  },

  async "a store that goes down while a request runs hangs nothing and loses no session"({
    serve,
    sessions,
    userId,
    watch,
    gates,
  }) {
    const alice = await loggedIn(await serve(sessions()), userId);
    const slow = alice.twin();
    const answer = slow.does({ wait: "slow" }, { set: { draft: 1 } }, "save");
    await gates.reached("slow");
    watch.fail("everything");
    gates.open("slow");
    await expect(answer).resolves.toMatchObject({ status: 500 });
    watch.fail("nothing");
    await expect(alice.userId()).resolves.toBe(userId);
  },

  async "a logout while the store is down is an error, and can be made up for when it is back"({
    serve,
    sessions,
    userId,
    watch,
    gates,
  }) {
    const alice = await loggedIn(await serve(sessions()), userId);
    const thief = alice.twin();
    for (const step of ["destroy", "log out everywhere"] as const) {
      const answer = alice.does({ wait: step }, step);
      await gates.reached(step);
      watch.fail("everything");
      gates.open(step);
      await expect(answer).resolves.toMatchObject({ status: 500 });
      watch.fail("nothing");
      await expect(alice.userId()).resolves.toBe(userId);
    }
    await alice.does("destroy");
    await expect(thief.userId()).resolves.toBeUndefined();
  },

  async "a touch that fails harms no response"({ serve, sessions, userId, watch }) {
    const alice = await loggedIn(await serve(sessions({ touchEvery: 1 })), userId);
    await sleep(5);
    watch.fail("updates");
    await expect(alice.userId()).resolves.toBe(userId);
    watch.fail("nothing");
    await expect(alice.userId()).resolves.toBe(userId);
  },

  async "hostile cookies log nobody in and break nothing"({ serve, sessions, userId }) {
    const alice = await loggedIn(await serve(sessions()), userId);
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

  async "hostile keys in what is stored reach no prototype and are kept"({ serve, sessions, userId }) {
    const all = sessions();
    const alice = await loggedIn(await serve(all), userId);
    const [listed] = await all.listForUser(userId);
    if (!listed?.data) throw new Error("the login is not listed");
    const stored = listed as Session;
    const hostile = JSON.parse(
      '{"__proto__":{"isAdmin":true},"constructor":1,"toString":"x","toJSON":"x","save":"x","length":7,"hasOwnProperty":"x"}',
    ) as Record<string, unknown>;
    // Spreading into a literal would replace the prototype.
    await all.save(stored, Object.fromEntries([...Object.entries(stored.data), ...Object.entries(hostile)]));
    const { status, data } = await alice.does({ set: { mine: 1 } });
    expect({ status, isAdmin: (data as { isAdmin?: boolean } | null)?.isAdmin }).toEqual({ status: 200 });
    await expect(alice.userId()).resolves.toBe(userId);
    const [after] = await all.listForUser(userId);
    expect(Object.keys(after?.data ?? {})).toEqual(expect.arrayContaining([...Object.keys(hostile), "mine"]));
  },

  async "a user in the data that cannot be one logs nobody in, and logs out who was logged in"({
    serve,
    sessions,
    userId,
  }) {
    const all = sessions();
    const alice = await loggedIn(await serve(all), userId);
    for (const [nobody, name] of [
      [{ id: 7 }, "[object Object]"],
      ["", "-"],
      [false, "false"],
    ] as const) {
      await alice.does({ set: { userId: nobody } }, "save");
      await expect(all.listForUser(userId)).resolves.toEqual([]);
      await expect(all.listForUser(name)).resolves.toEqual([]);
    }
  },
};

async function loggedIn(site: { browser(): Browser }, userId: string): Promise<Browser> {
  const browser = site.browser();
  await browser.does(...login(userId));
  return browser;
}

/** @throws TooSlow if this machine took so long that the session may have expired */
async function startsInTime(browser: Browser, userId: string): Promise<Browser> {
  if ((await browser.userId()) !== userId) throw new TooSlow();
  return browser;
}

async function expectNoWrites({ serve, sessions, userId, watch }: Stage, rolling: boolean): Promise<void> {
  const alice = await loggedIn(await serve(sessions(), { rolling, maxAge: 3600_000 }), userId);
  await alice.userId();
  watch.look();
  for (let view = 0; view < 10; view += 1) await expect(alice.userId()).resolves.toBe(userId);
  expect(watch.look()).toEqual(Array<string>(10).fill("read"));
}

async function expectToOutliveIdleTimeout(stage: Stage, rolling: boolean): Promise<void> {
  const { serve, sessions, userId, watch } = stage;
  await patiently(1000, async (idle) => {
    const site = await serve(sessions({ idleTimeout: idle }), { rolling });
    let lastAskedAt = performance.now();
    const alice = await loggedIn(site, userId);
    const until = performance.now() + 2 * idle;
    watch.look();
    while (lastAskedAt < until) {
      await sleep(idle / 8);
      const askedAt = performance.now();
      const isAlive = (await alice.userId()) === userId;
      // At the previous request, the session's last touch was at most a quarter of the idle timeout ago.
      if (!isAlive && performance.now() - lastAskedAt > idle / 2) throw new TooSlow();
      expect(isAlive).toBe(true);
      lastAskedAt = askedAt;
    }
    const calls = watch.look();
    expect(calls).toContain("touch");
    expect(calls).not.toContain("update");
  });
}

/** The machine missed a deadline, so the scenario proves nothing. */
class TooSlow extends Error {}

/**
 * Runs `body` with a deadline of this many milliseconds, and repeats it with longer deadlines until the
 * machine is fast enough.
 */
async function patiently(deadline: number, body: (deadline: number) => Promise<void>): Promise<void> {
  try {
    await body(deadline);
  } catch (error) {
    if (!(error instanceof TooSlow) || deadline > 30_000) throw error;
    await patiently(deadline * 3, body);
  }
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
