import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { memoryStore, type SessionStore, StoreError } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { json, type Routes, serve } from "./site.ts";
import { versions } from "./versions.ts";

const routes: Routes = {
  "/": (ctx) => ctx.session.toJSON(),
  "/user": (ctx, _body, store) => store.userOf(ctx),
  "/set": (ctx, body) => {
    Object.assign(ctx.session, body);
  },
  "/login": async (ctx) => {
    await ctx.session.regenerate();
    ctx.session.userId = "ada";
  },
  "/regenerate": (ctx) => ctx.session.regenerate(),
  "/logout-like-passport": async (ctx) => {
    delete ctx.session.userId;
    await ctx.session.save();
    await ctx.session.regenerate();
  },
  "/logout-without-save": async (ctx) => {
    delete ctx.session.userId;
    await ctx.session.regenerate();
  },
};

describe.each(versions)("with $name", (version) => {
  test.each(["update", "touch"])(
    "revokeAllForUser during the %s of a regenerate ends the session",
    async (step) => {
      let isArmed = false;
      await using site = await serve(
        version,
        {
          ...routes,
          "/regenerate-and-save": async (ctx) => {
            await ctx.session.regenerate();
            ctx.session.elevated = true;
            ctx.session.maxAge = 60_000;
          },
        },
        {
          async beforeCall(call) {
            if (!isArmed || call !== step) return;
            isArmed = false;
            await site.sessions.revokeAllForUser("ada");
          },
          sessions: { touchEvery: 1 },
        },
      );
      const browser = site.browser();
      await browser.post("/login");
      // Until a touch is due again.
      await sleep(10);
      isArmed = true;
      await browser.post("/regenerate-and-save");
      expect(isArmed).toBe(false);
      expect(await json(browser.get("/"))).toEqual({});
      await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    },
  );

  test.each(["/logout-like-passport", "/logout-without-save"])(
    "a logout by %s wins over a concurrent regenerate that keeps the user, in any order of their steps",
    async (logout) => {
      for (let round = 0; round < 30; round += 1) {
        await using site = await serve(version, routes, { store: slowStore(round) });
        const browser = site.browser();
        await browser.post("/login");
        const [leaving, renewing] = [browser.twin(), browser.twin()];
        await Promise.all([leaving.post(logout), renewing.post("/regenerate")]);
        for (const one of [browser, leaving, renewing]) {
          expect(await json(one.get("/user"))).toBeNull();
        }
        await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
      }
    },
  );

  test("logOutEverywhere ends the user's other sessions even if the session of its request has just ended", async () => {
    await using site = await serve(version, {
      ...routes,
      "/everywhere": async (ctx, _body, store) => {
        const [session] = await site.sessions.listForUser("ada");
        await site.sessions.revokeById(session?.id ?? "");
        await store.rotate(ctx);
        return store.logOutEverywhere(ctx);
      },
    });
    const [here, there] = [site.browser(), site.browser()];
    for (const browser of [here, there]) await browser.post("/login");
    expect((await here.post("/everywhere")).text).toBe("1");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("if regenerate fails and the application continues, nobody is logged in under the old key", async () => {
    let isDown = false;
    await using site = await serve(
      version,
      {
        ...routes,
        "/careless-login": async (ctx) => {
          isDown = true;
          await ctx.session.regenerate().catch(() => undefined);
          isDown = false;
          ctx.session.userId = "ada";
        },
      },
      {
        beforeCall() {
          if (isDown) throw new StoreError("update", "the backend is down");
        },
      },
    );
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    const planted = browser.twin();
    await browser.post("/careless-login");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    expect(await json(planted.get("/user"))).toBeNull();
  });

  test.each([true, false])(
    "a login whose request began before revokeAllForUser is refused (session accepted by the option valid: %s)",
    async (isValid) => {
      let isSlow = false;
      const store = memoryStore();
      await using site = await serve(
        version,
        { ...routes, "/log-in": (ctx, _body, bridge) => bridge.logIn(ctx, "ada") },
        {
          plugin: { valid: () => isValid || !isSlow },
          store: {
            ...store,
            async read(id) {
              const record = await store.read(id);
              if (isSlow) await sleep(5).then(() => site.sessions.revokeAllForUser("ada"));
              return record;
            },
          },
        },
      );
      const browser = site.browser();
      await browser.post("/set", { cart: 1 });
      isSlow = true;
      expect(await json(browser.post("/log-in"))).toEqual({ refused: "logged-out-meanwhile" });
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    },
  );

  test.each(["/null", "/log-out", "/null-and-log-in"])(
    "a session that the option valid rejects is not used by a save or a login, but a logout by %s ends it",
    async (logout) => {
      let isValid = true;
      await using site = await serve(
        version,
        {
          ...routes,
          "/log-in": (ctx, _body, store) => store.logIn(ctx, "bob"),
          "/log-out": (ctx, _body, store) => store.logOut(ctx),
          "/null": (ctx) => {
            ctx.session = null;
          },
          "/null-and-log-in": (ctx, _body, store) => {
            ctx.session = null;
            return store.logIn(ctx, "bob");
          },
        },
        { plugin: { valid: () => isValid } },
      );
      const browser = site.browser();
      await browser.post("/login");
      const twin = browser.twin();
      isValid = false;
      expect(await json(browser.get("/user"))).toBeNull();
      await browser.post("/set", { cart: 1 });
      await twin.twin().post("/log-in");
      await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ data: { userId: "ada" } }]);
      await expect(site.sessions.listForUser("bob")).resolves.toMatchObject([{ data: {} }]);
      await twin.post(logout);
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
      isValid = true;
      expect(await json(browser.get("/"))).toEqual({ cart: 1 });
    },
  );
});

/** Returns a memory store whose calls take up to 6 turns of the event loop, differently in each round. */
function slowStore(round: number): SessionStore {
  let state = round;
  return new Proxy(memoryStore(), {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function" || name === "scan") return method;
      return async (...args: unknown[]) => {
        state = (state * 75 + 74) % 65_537;
        for (let turns = state % 7; turns > 0; turns -= 1) {
          await turn();
        }
        return method.apply(target, args) as unknown;
      };
    },
  });
}
