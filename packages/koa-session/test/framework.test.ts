import { setTimeout as sleep } from "node:timers/promises";
import { type Session, StoreError } from "@tenure/core";
import type { Context } from "koa";
import { describe, expect, test } from "vitest";
import { type KoaSessionStore, koaSessionStore } from "../src/index.ts";
import { json, type Routes, serve } from "./site.ts";
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

describe.each(versions)("with $name", (version) => {
  test("ctx.session = null ends the session and clears its cookie", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    await browser.post("/login");
    const thief = browser.twin();
    await browser.post("/logout");
    expect(browser.cookies.get("koa.sess")).toBeUndefined();
    expect(await json(thief.get("/"))).toEqual({});
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
    expect(await json(browser.get("/"))).toEqual({ userId: "ada", fresh: true });
  });

  test("ctx.session = {…} after ctx.session = null is an error that names the remedy, and the session ends", async () => {
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
    expect(await json(thief.get("/"))).toEqual({});
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test.each([true, false])(
    "ctx.session = {} and regenerate after ctx.session = null create a session with a new key (null committed first: %s)",
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
      expect(await json(browser.get("/"))).toEqual({ flash: "bye" });
      expect(await json(old.get("/"))).toEqual({});
      const alive = await Array.fromAsync(site.sessions.all());
      expect(alive).toMatchObject([{ userId: null }]);
      expect(alive[0]?.id).not.toBe(before?.id);
    },
  );

  test("ctx.session = {…} does not revive a session that ended during the request", async () => {
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

  test("regenerate keeps the data and gives the session a new key, which ctx.session.externalKey shows from the next request on, and the old key is dead", async () => {
    await using site = await serve(version, {
      ...routes,
      "/regenerate": async (ctx) => {
        const before = ctx.session.externalKey;
        await ctx.session.regenerate();
        return { isStale: ctx.session.externalKey === before };
      },
      "/key": (ctx) => ctx.session.externalKey,
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    const old = browser.twin();
    expect(await json(browser.post("/regenerate"))).toEqual({ isStale: true });
    expect(await json(browser.get("/"))).toEqual({ cart: 1 });
    expect(await json(old.get("/"))).toEqual({});
    const key = (await json(browser.get("/key"))) as string;
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
    expect(await json(browser.get("/"))).toEqual({ userId: "ada" });
    await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
  });

  test.each<[string, (store: KoaSessionStore) => (ctx: object) => string]>([
    ["store.genid", (store) => store.genid],
    ["a prefix before store.genid", (store) => (ctx) => `shop:${store.genid(ctx)}`],
  ])(
    "with %s, neither a login nor a logout of a visitor without a session leaves a tombstone",
    async (_what, genid) => {
      await using site = await serve(version, routes, {
        plugin: (store) => ({ store, genid: genid(store) }),
      });
      await site.browser().post("/login");
      await site.browser().post("/logout");
      expect(site.calls).toContain("create");
      expect(site.calls).not.toContain("revoke");
    },
  );

  test("a request can end the session that it has created", async () => {
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

  test("overlapping saves of one request create one session, with the last data", async () => {
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

  test("if the store fails during regenerate, the response is an error without a cookie, and nobody is logged in", async () => {
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
      { beforeCall: failingWhen(() => isDown) },
    );
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    const cookies = new Map(browser.cookies);
    expect((await browser.post("/login-down")).status).toBe(500);
    isDown = false;
    expect(browser.cookies).toEqual(cookies);
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("if a save fails, the response is an error without a cookie", async () => {
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
      { beforeCall: failingWhen(() => isDown) },
    );
    const { status, setCookies } = await site.browser().post("/fails");
    expect({ status, setCookies }).toEqual({ status: 500, setCookies: [] });
  });

  test("the response waits for the save, so that the request after a redirect cannot overtake it", async () => {
    let isStored = false;
    await using site = await serve(version, routes, {
      async beforeCall(call) {
        if (call !== "create") return;
        await sleep(50);
        isStored = true;
      },
    });
    await site.browser().post("/set", { cart: 1 });
    expect(isStored).toBe(true);
  });

  test.each([
    ["of a visitor without a session", false],
    ["of a user", true],
  ])(
    "a session %s that is saved before a route writes to ctx.res is stored without an error",
    async (_whose, isUser) => {
      await using site = await serve(version, {
        ...routes,
        "/raw": async (ctx) => {
          ctx.respond = false;
          ctx.session.cart = 1;
          await ctx.session.save();
          ctx.res.end("raw");
        },
      });
      const errors: unknown[] = [];
      site.app.on("error", (error) => errors.push(error));
      const browser = site.browser();
      if (isUser) await browser.post("/login");
      expect((await browser.post("/raw")).text).toBe("raw");
      expect(await json(browser.get("/"))).toMatchObject({ cart: 1 });
      expect(errors).toEqual([]);
    },
  );

  test("a new session that is first saved after the response has begun is an error", async () => {
    await using site = await serve(version, {
      ...routes,
      "/raw": (ctx) => {
        ctx.respond = false;
        ctx.res.end("raw");
        ctx.session.cart = 1;
      },
    });
    const errors: unknown[] = [];
    site.app.on("error", (error) => errors.push(error));
    await site.browser().post("/raw");
    await expect.poll(() => errors).toEqual([expect.objectContaining({ code: "ERR_HTTP_HEADERS_SENT" })]);
  });

  test("ctx.session.save() stores changes even though koa-session reports that there are none", async () => {
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
      { plugin: (store) => ({ store: recordChanged(store, changed), genid: store.genid }) },
    );
    const browser = site.browser();
    await browser.post("/login");
    changed.length = 0;
    await browser.post("/forced");
    expect(changed[0]).toBe(false);
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ data: { cart: 1 } }]);
  });

  test("koa-session does not save a change back to the value that it loaded", async () => {
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
    expect(await json(browser.get("/"))).toEqual({ cart: 2 });
  });

  test("with autoCommit: false, changes are stored and a logout takes effect only at manuallyCommit", async () => {
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
    expect(await json(browser.get("/"))).toEqual({ userId: "ada" });
    await browser.post("/logout");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("a ContextStore that passes its calls on to the store works", async () => {
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
    expect(await json(browser.get("/"))).toEqual({ userId: "ada", cart: 1 });
    await browser.post("/logout");
    expect(await json(thief.get("/"))).toEqual({});
  });

  test("a session whose key another store generated is a TypeError that names the remedy, and nothing is stored", async () => {
    const errors: unknown[] = [];
    const change: Routes[string] = async (ctx, _body, store) => {
      ctx.session.cart = 1;
      const made = [
        store.logIn(ctx, "ada"),
        store.logOut(ctx),
        store.rotate(ctx),
        (async () => store.userOf(ctx))(),
        ctx.session.save(),
      ];
      const settled = (await Promise.allSettled(made)) as PromiseRejectedResult[];
      errors.push(...settled.map(({ reason }): unknown => reason));
    };
    await using site = await serve(
      version,
      { "/": change },
      { plugin: (store, sessions) => ({ store, genid: koaSessionStore(sessions).genid }) },
    );
    const { status, setCookies } = await site.browser().get("/");
    expect({ status, setCookies }).toEqual({ status: 500, setCookies: [] });
    const message = expect.stringContaining("call koaSessionStore once") as unknown;
    expect(errors).toEqual(Array.from({ length: 5 }, () => expect.objectContaining({ message })));
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("a key that a client invents is never adopted through an externalKey", async () => {
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
    expect(await json(browser.get("/", { "x-session": given }))).toEqual({ userId: "ada" });
    expect(await json(browser.get("/", { "x-session": made }))).toEqual({});
    expect(keys).not.toContain(made);
  });

  test("a dead session emits session:missed, not session:expired", async () => {
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

  test("_expire and _maxAge in the data do not keep a session alive beyond its lifetime", async () => {
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
    expect(await json(browser.get("/"))).toEqual({});
  });

  test("a save does not delete stored keys that koa-session does not show", async () => {
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

function recordChanged(store: KoaSessionStore, changed: unknown[]): KoaSessionStore {
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
