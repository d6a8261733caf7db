import { expect } from "vitest";
import { login, type Browser, type Stage } from "./stage.ts";

/** Scenarios of logins by a bridge's own calls, and of logouts that overlap them. */
export const loginScenarios: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  async "logIn gives a new token, keeps the visitor's data and leaves the old token dead: no fixation"(
    stage,
  ) {
    const { serve, sessions, userId } = stage;
    const all = sessions();
    const visitor = (await serve(all)).browser();
    await visitor.does({ set: { cart: 1 } });
    const attacker = visitor.twin();
    await visitor.does({ set: { seen: 1 } }, { logIn: userId });
    expect(visitor.cookies).not.toEqual(attacker.cookies);
    await expect(visitor.does()).resolves.toEqual({ status: 200, data: { cart: 1, seen: 1 } });
    await expect(attacker.does()).resolves.toEqual({ status: 200, data: {} });
    await expect(all.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "logIn over another user's session has none of that user's data but what is kept by name"(stage) {
    const { serve, sessions, userId } = stage;
    const all = sessions();
    const browser = (await serve(all)).browser();
    await browser.does({ logIn: `${userId} the first` }, { set: { mfa: true, cart: 1 } });
    await browser.does({ logIn: userId, keep: ["cart"] });
    await expect(browser.does()).resolves.toEqual({ status: 200, data: { cart: 1 } });
    await expect(all.listForUser(`${userId} the first`)).resolves.toEqual([]);
    await expect(all.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "a user that logIn set is not undone by later saves"({ serve, sessions, userId }) {
    const all = sessions();
    const browser = (await serve(all)).browser();
    await browser.does({ logIn: userId });
    await browser.does({ set: { cart: 1 } });
    await browser.does({ delete: "cart" });
    await expect(all.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "race: a login that began before log out everywhere is refused, and one that begins after is not"(
    stage,
  ) {
    const { serve, sessions, userId, gates } = stage;
    const all = sessions();
    const site = await serve(all);
    for (const [at, steps] of [[{ logIn: userId }], login(userId)].entries()) {
      const browser = site.browser();
      await browser.does({ set: { cart: 1 } });
      const gate = `login ${at}`;
      const answer = browser.does({ wait: gate }, ...steps, "save");
      await gates.reached(gate);
      await all.revokeAllForUser(userId);
      gates.open(gate);
      await answer;
      await expect(all.listForUser(userId)).resolves.toEqual([]);
      await expect(browser.userId()).resolves.toBeUndefined();
    }
    await site.browser().does({ logIn: userId });
    await expect(all.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "race: log out everywhere between a framework's regenerate and the save ends that session, too"(
    stage,
  ) {
    const { serve, sessions, userId, gates } = stage;
    const all = sessions();
    const alice = await loggedIn(await serve(all), userId);
    const answer = alice.does("regenerate", { wait: "gap" }, { set: { userId } }, "save");
    await gates.reached("gap");
    await all.revokeAllForUser(userId);
    gates.open("gap");
    await answer;
    await expect(alice.userId()).resolves.toBeUndefined();
    await expect(all.listForUser(userId)).resolves.toEqual([]);
  },

  async "race: what ended during a request is not continued, though nobody knows whose it was"(stage) {
    const { serve, sessions, gates } = stage;
    const all = sessions();
    const site = await serve(all);
    for (const step of ["regenerate", "rotate"] as const) {
      const alice = site.browser();
      await alice.does({ set: { user: { id: "ada" } } });
      const leaving = alice.twin();
      const answer = alice.does({ wait: step }, step, { set: { user: { id: "ada" } } }, "save");
      await gates.reached(step);
      await leaving.does("destroy");
      gates.open(step);
      await answer;
      const { data } = await alice.does();
      expect(data).toEqual({});
    }
  },

  async "race: a logout that deletes the user, saves and regenerates wins over a request that carries the user over"(
    stage,
  ) {
    const { serve, sessions, userId, gates } = stage;
    const all = sessions();
    const alice = await loggedIn(await serve(all), userId);
    const [leaving, renewing] = [alice.twin(), alice.twin()];
    const logout = leaving.does({ wait: "logout" }, { delete: "userId" }, "save", "regenerate");
    const renewal = renewing.does({ wait: "renewal" }, "regenerate", { set: { userId } }, "save");
    await Promise.all([gates.reached("logout"), gates.reached("renewal")]);
    gates.open("renewal");
    gates.open("logout");
    await Promise.all([logout, renewal]);
    for (const browser of [alice, leaving, renewing]) {
      await expect(browser.userId()).resolves.toBeUndefined();
    }
    await expect(all.listForUser(userId)).resolves.toEqual([]);
  },

  async "race: a logout ends the session that its request saw, though another request rotated it meanwhile"(
    stage,
  ) {
    const { serve, sessions, userId, gates } = stage;
    for (const step of ["destroy", "log out"] as const) {
      const all = sessions();
      const alice = await loggedIn(await serve(all), userId);
      const leaving = alice.twin();
      const answer = leaving.does({ wait: step }, step);
      await gates.reached(step);
      await alice.does("rotate");
      gates.open(step);
      await answer;
      await expect(alice.userId()).resolves.toBeUndefined();
    }
  },

  async "a logout with a token that a rotation has just replaced ends the session"({
    serve,
    sessions,
    userId,
  }) {
    const all = sessions();
    const alice = await loggedIn(await serve(all), userId);
    const old = alice.twin();
    await alice.does("rotate");
    await old.does("log out");
    await expect(alice.userId()).resolves.toBeUndefined();
    await expect(all.listForUser(userId)).resolves.toEqual([]);
  },

  async "a request with the cookie from before a login leaves the login's cookie alone"(stage) {
    const { serve, sessions, userId } = stage;
    const all = sessions();
    const alice = (await serve(all)).browser();
    await alice.does({ set: { csrf: 1 } });
    const poll = alice.twin();
    const before = new Map(poll.cookies);
    await alice.does({ logIn: userId });
    await poll.does({ set: { csrf: 2 } });
    expect(poll.cookies).toEqual(before);
    await expect(all.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "log out everywhere by the bridge ends every session of the user, and can keep this one"(stage) {
    const { serve, sessions, userId } = stage;
    const all = sessions();
    const site = await serve(all);
    const [here, there] = [site.browser(), site.browser()];
    for (const browser of [here, there]) await browser.does({ logIn: userId }, { set: { userId } });
    await here.does("log out everywhere else");
    await expect(here.userId()).resolves.toBe(userId);
    await expect(there.userId()).resolves.toBeUndefined();
    await here.does("log out everywhere");
    await expect(here.userId()).resolves.toBeUndefined();
    await expect(all.listForUser(userId)).resolves.toEqual([]);
  },

  async "one failure of the store loses no login by logIn and no rotation"({
    serve,
    sessions,
    userId,
    watch,
  }) {
    const all = sessions();
    const browser = (await serve(all)).browser();
    await browser.does({ set: { cart: 1 } });
    watch.failOnce("update");
    await browser.does({ logIn: userId });
    await expect(browser.does()).resolves.toMatchObject({ status: 200, data: { cart: 1 } });
    watch.failOnce("update");
    await browser.does("rotate");
    await expect(browser.does()).resolves.toMatchObject({ status: 200, data: { cart: 1 } });
    await expect(all.listForUser(userId)).resolves.toHaveLength(1);
  },

  async "calls: a page view reads, a save updates, a login updates once, a logout revokes"(stage) {
    const { serve, sessions, userId, watch } = stage;
    const browser = (await serve(sessions())).browser();
    await browser.does({ set: { cart: 1 } });
    await browser.userId();
    const callsOf = async (...steps: Parameters<Browser["does"]>): Promise<string[]> => {
      watch.look();
      await browser.does(...steps);
      return watch.look();
    };
    expect(await callsOf()).toEqual(["read"]);
    expect(await callsOf({ set: { cart: 2 } })).toEqual(["read", "update"]);
    expect(await callsOf({ logIn: userId })).toEqual(["read", "update"]);
    expect(await callsOf("rotate")).toEqual(["read", "update"]);
    expect(await callsOf("log out")).toEqual(["read", "revoke"]);
  },
};

async function loggedIn(site: { browser(): Browser }, userId: string): Promise<Browser> {
  const browser = site.browser();
  await browser.does(...login(userId));
  return browser;
}
