import { setTimeout } from "node:timers/promises";
import { memoryStore, type SessionStore, StoreError } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { type Routes, serve } from "./site.ts";
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
  "/passport-logout": async (ctx) => {
    delete ctx.session.userId;
    await ctx.session.save();
    await ctx.session.regenerate();
  },
  "/short-logout": async (ctx) => {
    delete ctx.session.userId;
    await ctx.session.regenerate();
  },
};

describe.each(versions)("on $name", (version) => {
  test.each(["update", "touch"])(
    "log out everywhere while a regenerate is at its %s ends the session that goes on",
    async (step) => {
      let isArmed = false;
      await using site = await serve(
        version,
        {
          ...routes,
          "/sudo": async (ctx) => {
            await ctx.session.regenerate();
            ctx.session.sudo = true;
            ctx.session.maxAge = 60_000;
          },
        },
        {
          async meet(call) {
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
      await setTimeout(10);
      isArmed = true;
      await browser.post("/sudo");
      expect(isArmed).toBe(false);
      expect(JSON.parse((await browser.get("/")).text)).toEqual({});
      await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    },
  );

  test.each(["/passport-logout", "/short-logout"])(
    "a logout by %s wins over requests that regenerate and carry the user over, in every order of their steps",
    async (logout) => {
      for (let round = 0; round < 30; round += 1) {
        await using site = await serve(version, routes, { store: slow(round) });
        const browser = site.browser();
        await browser.post("/login");
        const [leaving, renewing] = [browser.twin(), browser.twin()];
        await Promise.all([leaving.post(logout), renewing.post("/regenerate")]);
        for (const one of [browser, leaving, renewing]) {
          expect(JSON.parse((await one.get("/user")).text)).toBeNull();
        }
        await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
      }
    },
  );

  test("log out everywhere by a request whose session was ended meanwhile logs its user out all the same", async () => {
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

  test("an application that goes on after a regenerate has failed logs nobody in under the old key", async () => {
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
        meet() {
          if (isDown) throw new StoreError("update", "the backend is down");
        },
      },
    );
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    const planted = browser.twin();
    await browser.post("/careless-login");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    expect(JSON.parse((await planted.get("/user")).text)).toBeNull();
  });

  test.each(["/null", "/log-out", "/null-and-log-in"])(
    "a session that the option valid refuses is replaced, not taken over; a logout by %s ends it",
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
      expect(JSON.parse((await browser.get("/user")).text)).toBeNull();
      await browser.post("/set", { cart: 1 });
      await twin.twin().post("/log-in");
      await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ data: { userId: "ada" } }]);
      await expect(site.sessions.listForUser("bob")).resolves.toMatchObject([{ data: {} }]);
      await twin.post(logout);
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
      isValid = true;
      expect(JSON.parse((await browser.get("/")).text)).toEqual({ cart: 1 });
    },
  );
});

/** A memory store whose calls take some turns of the event loop, others in each round. */
function slow(round: number): SessionStore {
  let state = round;
  return new Proxy(memoryStore(), {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function" || name === "scan") return method;
      return async (...args: unknown[]) => {
        state = (state * 75 + 74) % 65_537;
        for (let turns = state % 7; turns > 0; turns -= 1) {
          await new Promise((resolve) => setImmediate(resolve));
        }
        return method.apply(target, args) as unknown;
      };
    },
  });
}
