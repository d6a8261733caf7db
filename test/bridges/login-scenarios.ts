import { expect } from "vitest";
import type { Step } from "./application.ts";
import { type Browser, loggedInBrowser, login, type Scenario } from "./run-scenario.ts";

/** Scenarios of logins through the bridge's own calls, and of logouts that overlap them. */
export const loginScenarios: Readonly<Record<string, Scenario>> = {
  async "logIn replaces the token and keeps the visitor's data, and the old token stops working, which prevents session fixation"({
    serve,
    createSessions,
    userId,
  }) {
    const sessions = createSessions();
    const visitor = (await serve(sessions)).browser();
    await visitor.send({ set: { cart: 1 } });
    const attacker = visitor.twin();
    await visitor.send({ set: { seen: 1 } }, { logIn: userId });
    expect(visitor.cookies).not.toEqual(attacker.cookies);
    await expect(visitor.send()).resolves.toEqual({ status: 200, data: { cart: 1, seen: 1 } });
    await expect(attacker.send()).resolves.toEqual({ status: 200, data: {} });
    await expect(sessions.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "logIn in another user's session keeps none of that user's data except the keys in keep"({
    serve,
    createSessions,
    userId,
  }) {
    const sessions = createSessions();
    const browser = (await serve(sessions)).browser();
    await browser.send({ logIn: `${userId} the first` }, { set: { mfa: true, cart: 1 } });
    await browser.send({ logIn: userId, keep: ["cart"] });
    await expect(browser.send()).resolves.toEqual({ status: 200, data: { cart: 1 } });
    await expect(sessions.listForUser(`${userId} the first`)).resolves.toEqual([]);
    await expect(sessions.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "after another user's login over it, a planted session logs that user out neither here nor everywhere"({
    serve,
    createSessions,
    userId,
  }) {
    const sessions = createSessions();
    const site = await serve(sessions);
    await loggedInBrowser(site, userId);
    for (const steps of [login(userId), [{ logIn: userId }]]) {
      for (const logout of ["destroy", "log out", "log out everywhere"] as const) {
        const attacker = await loggedInBrowser(site, `${userId} the attacker`);
        await attacker.twin().send(...steps);
        const before = await sessions.listForUser(userId);
        await attacker.send(logout);
        await expect(sessions.listForUser(userId)).resolves.toEqual(before);
      }
    }
  },

  async "after a request that replaces the token twice, the cookie from before it overwrites no cookie and can log out"({
    serve,
    createSessions,
    userId,
  }) {
    const sessions = createSessions();
    const site = await serve(sessions);
    // As with passport, whose login regenerates, and then logIn.
    const twice: readonly (readonly Step[])[] = [
      ["regenerate", { logIn: userId }],
      [{ logIn: userId }, "rotate"],
      ["rotate", "rotate"],
    ];
    for (const steps of twice) {
      const browser = await loggedInBrowser(site, userId);
      const slow = browser.twin();
      const before = new Map(slow.cookies);
      await browser.send(...steps);
      await slow.send({ set: { cart: 1 } });
      expect(slow.cookies).toEqual(before);
      await expect(sessions.listForUser(userId)).resolves.toHaveLength(1);
      await slow.send("log out");
      await expect(sessions.listForUser(userId)).resolves.toEqual([]);
    }
  },

  async "later saves do not undo the user that logIn has set"({ serve, createSessions, userId }) {
    const sessions = createSessions();
    const browser = (await serve(sessions)).browser();
    await browser.send({ logIn: userId });
    await browser.send({ set: { cart: 1 } });
    await browser.send({ delete: "cart" });
    await expect(sessions.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "race: a login that began before log out everywhere is refused, and a login that begins after it is not"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const sessions = createSessions();
    const site = await serve(sessions);
    for (const [at, steps] of [[{ logIn: userId }], login(userId)].entries()) {
      const browser = site.browser();
      await browser.send({ set: { cart: 1 } });
      const gate = `login ${at}`;
      const response = browser.send({ wait: gate }, ...steps, "save");
      await gates.reached(gate);
      await sessions.revokeAllForUser(userId);
      gates.open(gate);
      await response;
      await expect(sessions.listForUser(userId)).resolves.toEqual([]);
      await expect(browser.userId()).resolves.toBeUndefined();
    }
    await site.browser().send({ logIn: userId });
    await expect(sessions.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "race: log out everywhere between the framework's regenerate and the save also ends that session"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const sessions = createSessions();
    const alice = await loggedInBrowser(await serve(sessions), userId);
    const response = alice.send("regenerate", { wait: "gap" }, { set: { userId } }, "save");
    await gates.reached("gap");
    await sessions.revokeAllForUser(userId);
    gates.open("gap");
    await response;
    await expect(alice.userId()).resolves.toBeUndefined();
    await expect(sessions.listForUser(userId)).resolves.toEqual([]);
  },

  async "race: a session that ended during a request is not continued, even if Sessions does not know its user"({
    serve,
    createSessions,
    gates,
  }) {
    const sessions = createSessions();
    const site = await serve(sessions);
    for (const step of ["regenerate", "rotate"] as const) {
      const alice = site.browser();
      await alice.send({ set: { user: { id: "ada" } } });
      const leaving = alice.twin();
      const response = alice.send({ wait: step }, step, { set: { user: { id: "ada" } } }, "save");
      await gates.reached(step);
      await leaving.send("destroy");
      gates.open(step);
      await response;
      const { data } = await alice.send();
      expect(data).toEqual({});
    }
  },

  async "race: a logout that deletes the user, saves and regenerates wins over a concurrent request that regenerates and sets the user again"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    const sessions = createSessions();
    const alice = await loggedInBrowser(await serve(sessions), userId);
    const [leaving, renewing] = [alice.twin(), alice.twin()];
    const logout = leaving.send({ wait: "logout" }, { delete: "userId" }, "save", "regenerate");
    const renewal = renewing.send({ wait: "renewal" }, "regenerate", { set: { userId } }, "save");
    await Promise.all([gates.reached("logout"), gates.reached("renewal")]);
    gates.open("renewal");
    gates.open("logout");
    await Promise.all([logout, renewal]);
    for (const browser of [alice, leaving, renewing]) {
      await expect(browser.userId()).resolves.toBeUndefined();
    }
    await expect(sessions.listForUser(userId)).resolves.toEqual([]);
  },

  async "race: a logout ends the session that its request loaded, even if another request has rotated it"({
    serve,
    createSessions,
    userId,
    gates,
  }) {
    for (const step of ["destroy", "log out"] as const) {
      const sessions = createSessions();
      const alice = await loggedInBrowser(await serve(sessions), userId);
      const leaving = alice.twin();
      const response = leaving.send({ wait: step }, step);
      await gates.reached(step);
      await alice.send("rotate");
      gates.open(step);
      await response;
      await expect(alice.userId()).resolves.toBeUndefined();
    }
  },

  async "a logout with a token that a rotation has just replaced ends the session"({
    serve,
    createSessions,
    userId,
  }) {
    const sessions = createSessions();
    const alice = await loggedInBrowser(await serve(sessions), userId);
    const old = alice.twin();
    await alice.send("rotate");
    await old.send("log out");
    await expect(alice.userId()).resolves.toBeUndefined();
    await expect(sessions.listForUser(userId)).resolves.toEqual([]);
  },

  async "a response to a request with the cookie from before a login does not replace the login's cookie"({
    serve,
    createSessions,
    userId,
  }) {
    const sessions = createSessions();
    const alice = (await serve(sessions)).browser();
    await alice.send({ set: { csrf: 1 } });
    const poll = alice.twin();
    const before = new Map(poll.cookies);
    await alice.send({ logIn: userId });
    await poll.send({ set: { csrf: 2 } });
    expect(poll.cookies).toEqual(before);
    await expect(sessions.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "one failure of the store during logIn or rotate does not lose the login"({
    serve,
    createSessions,
    userId,
    watch,
  }) {
    const sessions = createSessions();
    const browser = (await serve(sessions)).browser();
    await browser.send({ set: { cart: 1 } });
    watch.failOnce("update");
    await browser.send({ logIn: userId });
    await expect(browser.send()).resolves.toMatchObject({ status: 200, data: { cart: 1 } });
    watch.failOnce("update");
    await browser.send("rotate");
    await expect(browser.send()).resolves.toMatchObject({ status: 200, data: { cart: 1 } });
    await expect(sessions.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "calls: a page view makes one read; a save, a logIn or a rotate adds one update, and a logout adds one revoke"({
    serve,
    createSessions,
    userId,
    watch,
  }) {
    const browser = (await serve(createSessions())).browser();
    await browser.send({ set: { cart: 1 } });
    await browser.userId();
    const callsOf = async (...steps: Parameters<Browser["send"]>): Promise<string[]> => {
      watch.look();
      await browser.send(...steps);
      return watch.look();
    };
    expect(await callsOf()).toEqual(["read"]);
    expect(await callsOf({ set: { cart: 2 } })).toEqual(["read", "update"]);
    expect(await callsOf({ logIn: userId })).toEqual(["read", "update"]);
    expect(await callsOf("rotate")).toEqual(["read", "update"]);
    expect(await callsOf("log out")).toEqual(["read", "revoke"]);
  },
};
