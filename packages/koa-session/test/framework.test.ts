import { setTimeout as sleep } from "node:timers/promises";
import { type Session, StoreError } from "@tenure/core";
import type { Context } from "koa";
import { describe, expect, test } from "vitest";
import type { KoaSessionStore } from "../src/index.ts";
import { type Routes, serve } from "./site.ts";
import { versions } from "./versions.ts";

const routes: Routes = {
  "/": (ctx) => ctx.session.toJSON(),
  "/set": (ctx, body) => {
    Object.assign(ctx.session, body);
  },
  "/login": async (ctx) => {
    await ctx.session.regenerate();
    ctx.session.userId = "ada";
  },
  "/logout": (ctx) => {
    ctx.session = null;
  },
};

describe.each(versions)("on $name", (version) => {
  test("ctx.session = null ends the session and its cookie", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    await browser.post("/login");
    const thief = browser.twin();
    await browser.post("/logout");
    expect(browser.cookies.get("koa.sess")).toBeUndefined();
    expect(JSON.parse((await thief.get("/")).text)).toEqual({});
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("ctx.session = {…} replaces the data and keeps the key", async () => {
    await using site = await serve(version, {
      ...routes,
      "/replace": (ctx) => {
        ctx.session = { userId: "ada", fresh: true };
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const before = new Map(browser.cookies);
    await browser.post("/replace");
    expect(browser.cookies).toEqual(before);
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ userId: "ada", fresh: true });
  });

  test("ctx.session = {…} after null would keep the key: the session ends, and the response is an error that says what to do", async () => {
    await using site = await serve(version, {
      ...routes,
      "/replace": (ctx) => {
        ctx.session = null;
        ctx.session = { userId: "bob" };
      },
    });
    const errors: unknown[] = [];
    site.app.on("error", (error) => errors.push(error));
    const browser = site.browser();
    await browser.post("/login");
    const thief = browser.twin();
    expect((await browser.post("/replace")).status).toBe(500);
    expect(String(errors[0])).toMatch(
      /^TypeError: ctx\.session = \{…\} after ctx\.session = null .*regenerate/,
    );
    expect(JSON.parse((await thief.get("/")).text)).toEqual({});
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test.each([true, false])(
    "after null, ctx.session = {…} and regenerate are a new session under a new key, the null committed before: %s",
    async (isCommitted) => {
      await using site = await serve(version, {
        ...routes,
        "/again": async (ctx) => {
          const { session } = ctx;
          ctx.session = null;
          if (isCommitted) await session.manuallyCommit();
          ctx.session = {};
          await ctx.session.regenerate();
          ctx.session.flash = "bye";
        },
      });
      const browser = site.browser();
      await browser.post("/login");
      const old = browser.twin();
      const [before] = await site.sessions.listForUser("ada");
      await browser.post("/again");
      expect(JSON.parse((await browser.get("/")).text)).toEqual({ flash: "bye" });
      expect(JSON.parse((await old.get("/")).text)).toEqual({});
      const alive = await Array.fromAsync(site.sessions.all());
      expect(alive).toMatchObject([{ userId: null }]);
      expect(alive[0]?.id).not.toBe(before?.id);
    },
  );

  test("ctx.session = {…} does not bring back a session that ended during the request", async () => {
    await using site = await serve(version, {
      ...routes,
      "/replace": async (ctx) => {
        await site.sessions.revokeAllForUser("ada");
        ctx.session = { userId: "ada" };
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/replace")).status).toBe(200);
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("regenerate keeps the session and its data, leaves the old key dead, and ctx.session.externalKey is the old key until the next request", async () => {
    await using site = await serve(version, {
      ...routes,
      "/rotate": async (ctx) => {
        const before = ctx.session.externalKey;
        await ctx.session.regenerate();
        return { isStale: ctx.session.externalKey === before };
      },
      "/key": (ctx) => ctx.session.externalKey,
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    const old = browser.twin();
    expect(JSON.parse((await browser.post("/rotate")).text)).toEqual({ isStale: true });
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ cart: 1 });
    expect(JSON.parse((await old.get("/")).text)).toEqual({});
    const key = JSON.parse((await browser.get("/key")).text) as string;
    await expect(site.sessions.get(key)).resolves.toMatchObject({ data: { cart: 1 } });
  });

  test("regenerate twice in one request leaves one session", async () => {
    await using site = await serve(version, {
      ...routes,
      "/twice": async (ctx) => {
        await ctx.session.regenerate();
        await ctx.session.regenerate();
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    await browser.post("/twice");
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ userId: "ada" });
    await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
  });

  test.each<[string, (store: KoaSessionStore) => (ctx: object) => string]>([
    ["genid", (store) => store.genid],
    ["genid with a prefix", (store) => (ctx) => `shop:${store.genid(ctx)}`],
  ])(
    "with the bridge's %s, a login of a visitor who had no session leaves no tombstone, nor does a logout",
    async (_what, genid) => {
      await using site = await serve(version, routes, {
        plugin: (store) => ({ store, genid: genid(store) }),
      });
      await site.browser().post("/login");
      await site.browser().post("/logout");
      expect(site.calls).not.toContain("revoke");
    },
  );

  test("what a request stored it can end, also under a key that was made for it", async () => {
    await using site = await serve(version, {
      ...routes,
      "/stored-and-ended": async (ctx) => {
        ctx.session.cart = 1;
        await ctx.session.save();
        ctx.session = null;
      },
    });
    await site.browser().post("/stored-and-ended");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("a logout through a cache before the store ends the session", async () => {
    await using site = await serve(version, routes, {
      plugin: (store) => ({
        store: { ...store, get: async () => ({ userId: "ada" }) },
        genid: store.genid,
        signed: false,
      }),
    });
    const { token } = await site.sessions.create({ userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("koa.sess", token);
    await browser.post("/logout");
    await expect(site.sessions.get(token)).resolves.toBeNull();
  });

  test("saves that overlap in one request store the session once, as it was last", async () => {
    await using site = await serve(version, {
      ...routes,
      "/overlapping": async (ctx) => {
        ctx.session.userId = "ada";
        const saves = [1, 2, 3].map((step) => {
          ctx.session.step = step;
          ctx.session.maxAge = step * 60_000;
          return ctx.session.save() as Promise<void>;
        });
        await Promise.all(saves);
      },
    });
    await site.browser().post("/overlapping");
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([
      { idle: 180_000, data: { userId: "ada", step: 3, _maxAge: 180_000 } },
    ]);
    expect(site.calls.filter((call) => call === "create")).toHaveLength(1);
  });

  test("regenerate while the store fails is an error, no login and no cookie", async () => {
    let isDown = false;
    await using site = await serve(
      version,
      {
        ...routes,
        "/login-down": async (ctx) => {
          isDown = true;
          await ctx.session.regenerate();
          ctx.session.userId = "ada";
        },
      },
      { meet: failingWhen(() => isDown) },
    );
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    const cookies = new Map(browser.cookies);
    expect((await browser.post("/login-down")).status).toBe(500);
    isDown = false;
    expect(browser.cookies).toEqual(cookies);
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("a save that fails is an error before any cookie", async () => {
    let isDown = false;
    await using site = await serve(
      version,
      {
        ...routes,
        "/fails": (ctx) => {
          isDown = true;
          ctx.session.cart = 1;
        },
      },
      { meet: failingWhen(() => isDown) },
    );
    const { status, setCookies } = await site.browser().post("/fails");
    expect({ status, setCookies }).toEqual({ status: 500, setCookies: [] });
  });

  test("the response waits for the save, so that a redirect can't overtake it", async () => {
    let isStored = false;
    await using site = await serve(version, routes, {
      async meet(call) {
        if (call !== "create") return;
        await sleep(50);
        isStored = true;
      },
    });
    await site.browser().post("/set", { cart: 1 });
    expect(isStored).toBe(true);
  });

  test("a forced save stores what changed, though koa-session says that nothing did", async () => {
    const changed: unknown[] = [];
    await using site = await serve(
      version,
      {
        ...routes,
        "/forced": async (ctx) => {
          ctx.session.cart = 1;
          await ctx.session.save();
        },
      },
      { plugin: (store) => ({ store: telling(store, changed), genid: store.genid }) },
    );
    const browser = site.browser();
    await browser.post("/login");
    changed.length = 0;
    await browser.post("/forced");
    expect(changed[0]).toBe(false);
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ data: { cart: 1 } }]);
  });

  test("koa-session compares data with what it loaded, not with what it saved last", async () => {
    await using site = await serve(version, {
      ...routes,
      "/there-and-back": async (ctx) => {
        ctx.session.cart = 2;
        await ctx.session.save();
        ctx.session.cart = 1;
      },
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    await browser.post("/there-and-back");
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ cart: 2 });
  });

  test("autoCommit: false stores nothing until manuallyCommit, by which one also logs out", async () => {
    await using site = await serve(
      version,
      {
        ...routes,
        "/forgotten": (ctx) => {
          ctx.session.cart = 1;
        },
        "/committed": async (ctx) => {
          ctx.session.userId = "ada";
          await ctx.session.manuallyCommit();
        },
        "/logout": async (ctx) => {
          const { session } = ctx;
          ctx.session = null;
          await session.manuallyCommit();
        },
      },
      { plugin: { autoCommit: false } },
    );
    const browser = site.browser();
    await browser.post("/forgotten");
    expect(site.calls).toEqual([]);
    await browser.post("/committed");
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ userId: "ada" });
    await browser.post("/logout");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("a ContextStore that hands its calls on works", async () => {
    let store: KoaSessionStore | undefined;
    class StoreOfContext {
      readonly store: KoaSessionStore | undefined = store;
      get(...args: Parameters<KoaSessionStore["get"]>) {
        return this.store?.get(...args);
      }
      set(...args: Parameters<KoaSessionStore["set"]>) {
        return this.store?.set(...args);
      }
      destroy(...args: Parameters<KoaSessionStore["destroy"]>) {
        return this.store?.destroy(...args);
      }
    }
    await using site = await serve(version, routes, {
      plugin(made) {
        store = made;
        return { ContextStore: StoreOfContext, genid: made.genid };
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const thief = browser.twin();
    await browser.post("/set", { cart: 1 });
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ userId: "ada", cart: 1 });
    await browser.post("/logout");
    expect(JSON.parse((await thief.get("/")).text)).toEqual({});
  });

  test("an externalKey that a client makes up is never adopted", async () => {
    const keys: string[] = [];
    await using site = await serve(version, routes, {
      plugin: (store) => ({
        store,
        genid: store.genid,
        externalKey: {
          get: (ctx: Context) => ctx.get("x-session"),
          set: (ctx: Context, key: string) => {
            keys.push(key);
            ctx.set("x-session", key);
          },
        },
      }),
    });
    const browser = site.browser();
    const made = "made-up".repeat(10);
    const { headers } = await browser.post("/login", {}, { "x-session": made });
    const given = headers.get("x-session") ?? "";
    expect(given).not.toBe(made);
    expect(JSON.parse((await browser.get("/", { "x-session": given })).text)).toEqual({ userId: "ada" });
    expect(JSON.parse((await browser.get("/", { "x-session": made })).text)).toEqual({});
    expect(keys).not.toContain(made);
  });

  test("a dead session fires session:missed, not session:expired", async () => {
    await using site = await serve(version, routes, {
      sessions: { idleTimeout: 100 },
      plugin: (store) => ({ store, genid: store.genid, maxAge: 86_400_000 }),
    });
    const fired: string[] = [];
    for (const event of ["missed", "expired", "invalid"]) {
      site.app.on(`session:${event}`, () => fired.push(event));
    }
    const browser = site.browser();
    await browser.post("/login");
    await sleep(110);
    await browser.get("/");
    await sleep(0);
    expect(fired).toEqual(["missed"]);
  });

  test("_expire and _maxAge in the data keep nothing alive that the lifetime has ended", async () => {
    await using site = await serve(version, routes, {
      sessions: { idleTimeout: 300, lifetime: 300 },
      plugin: (store) => ({ store, genid: store.genid, maxAge: 86_400_000, rolling: true }),
    });
    const browser = site.browser();
    await browser.post("/login");
    for (let view = 0; view < 4; view += 1) {
      await sleep(90);
      await browser.get("/");
    }
    expect(JSON.parse((await browser.get("/")).text)).toEqual({});
  });

  test("keys that koa-session keeps to itself are not deleted by a save", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    await browser.post("/login");
    const [stored] = await site.sessions.listForUser("ada");
    await site.sessions.save(stored as Session, {
      ...stored?.data,
      _theirs: 1,
      isNew: 2,
      maxAge: 3,
      populated: 4,
    });
    await browser.post("/set", { mine: 1 });
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([
      { data: { userId: "ada", _theirs: 1, isNew: 2, maxAge: 3, populated: 4, mine: 1 } },
    ]);
  });
});

function telling(store: KoaSessionStore, changed: unknown[]): KoaSessionStore {
  return {
    ...store,
    set(key, session, maxAge, call) {
      changed.push((call as { changed?: unknown } | undefined)?.changed);
      return store.set(key, session, maxAge, call);
    },
  };
}

function failingWhen(isDown: () => boolean): () => void {
  return () => {
    if (isDown()) throw new StoreError("read", "the backend is down");
  };
}
