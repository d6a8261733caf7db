import { newToken, StoreError } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { type Routes, serve } from "./site.ts";
import { versions } from "./versions.ts";

const routes: Routes = {
  "/": (ctx) => ctx.session.toJSON(),
  "/set": (ctx, body) => {
    Object.assign(ctx.session, body);
  },
  "/login": async (ctx, _body, store) => {
    if (!(await store.rotate(ctx))) return false;
    ctx.session.userId = "ada";
    return true;
  },
  "/sudo": (ctx, _body, store) => store.rotate(ctx),
};

describe.each(versions)("on $name", (version) => {
  test("rotate gives a new key, leaves the old one dead, and keeps data, cookie, creation and end", async () => {
    await using site = await serve(version, {
      ...routes,
      "/sudo": async (ctx, _body, store) => {
        ctx.session.unsaved = 1;
        const { session } = ctx;
        const answer = await store.rotate(ctx);
        ctx.session.after = 1;
        return [answer, ctx.session === session, ctx.session.externalKey];
      },
      "/remember": (ctx) => {
        ctx.session.maxAge = 60_000;
      },
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    await browser.post("/login");
    await browser.get("/remember");
    const [before] = await site.sessions.listForUser("ada");
    const old = browser.twin();
    const { text, setCookies } = await browser.post("/sudo");
    const [answer, isSame, key] = JSON.parse(text) as [boolean, boolean, string];
    expect({ answer, isSame }).toEqual({ answer: true, isSame: false });
    expect(setCookies.find((line) => line.startsWith("koa.sess="))).toMatch(/expires/i);
    expect(JSON.parse((await old.get("/")).text)).toEqual({});
    const data = { userId: "ada", cart: 1, unsaved: 1, after: 1 };
    expect(JSON.parse((await browser.get("/")).text)).toEqual(data);
    const { createdAt, endsAt, idle } = before ?? {};
    await expect(Array.fromAsync(site.sessions.all())).resolves.toMatchObject([
      { userId: "ada", createdAt, endsAt, idle, data },
    ]);
    await expect(site.sessions.get(key)).resolves.toMatchObject({ userId: "ada" });
  });

  test.each(["session", undefined] as const)(
    "rotate keeps a cookie of maxAge %s as it is",
    async (maxAge) => {
      await using site = await serve(version, routes, { plugin: { ...(maxAge && { maxAge }) } });
      const browser = site.browser();
      for (const path of ["/login", "/sudo", "/sudo"]) {
        const { setCookies } = await browser.post(path);
        expect(setCookies.at(-1)).not.toMatch(/expires=/i);
      }
      const [stored] = await site.sessions.listForUser("ada");
      expect(stored?.data).toEqual({ userId: "ada", ...(maxAge && { _session: true }) });
      expect(stored?.idle).toBe(site.sessions.policy.idleTimeout);
    },
  );

  test("rotate of a session that nobody was told of keeps it: a login leaves one session and no tombstone", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    expect((await browser.post("/login")).text).toBe("true");
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ userId: "ada" });
    expect(site.calls).toEqual(["now", "create", "read"]);
  });

  test("rotate twice in one request, and save and regenerate after it, leave one session", async () => {
    await using site = await serve(version, {
      ...routes,
      "/twice": async (ctx, _body, store) => [await store.rotate(ctx), await store.rotate(ctx)],
      "/save": async (ctx, _body, store) => {
        await store.rotate(ctx);
        await ctx.session.save();
        ctx.session.late = 1;
        await ctx.session.save();
      },
      "/regenerate": async (ctx, _body, store) => {
        await store.rotate(ctx);
        await ctx.session.regenerate();
      },
      "/regenerate-before": async (ctx, _body, store) => {
        await ctx.session.regenerate();
        await store.rotate(ctx);
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    for (const path of ["/twice", "/save", "/regenerate", "/regenerate-before"]) {
      const old = browser.twin();
      expect((await browser.post(path)).status).toBe(200);
      expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
      expect(JSON.parse((await old.get("/")).text)).toEqual({});
      await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
    }
  });

  test("log out all others after a rotation in the same request keeps the session that goes on", async () => {
    await using site = await serve(version, {
      ...routes,
      "/others": async (ctx, _body, store) => {
        await store.rotate(ctx);
        return site.sessions.revokeAllForUser("ada", { exceptToken: ctx.session.externalKey as string });
      },
    });
    const [phone, browser] = [site.browser(), site.browser()];
    await phone.post("/login");
    await browser.post("/login");
    expect((await browser.post("/others")).text).toBe("1");
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ userId: "ada" });
    expect(JSON.parse((await phone.get("/")).text)).toEqual({});
  });

  test("rotate of somebody's session that died during the request answers false and gives no login", async () => {
    await using site = await serve(version, {
      ...routes,
      "/sudo": async (ctx, _body, store) => {
        await site.sessions.revokeAllForUser("ada");
        const answer = await store.rotate(ctx);
        ctx.session.late = 1;
        await ctx.session.save();
        return answer;
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/sudo")).text).toBe("false");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("rotate of a session that died when it was nobody's goes on in a new one", async () => {
    await using site = await serve(version, {
      ...routes,
      "/slow-login": async (ctx, _body, store) => {
        await site.sessions.revoke(ctx.session.externalKey as string);
        const answer = await store.rotate(ctx);
        ctx.session.userId = "ada";
        return answer;
      },
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    expect((await browser.post("/slow-login")).text).toBe("true");
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ userId: "ada", cart: 1 });
  });

  test.each([true, false])(
    "rotate of what a cache before the store has answered leaves the old key dead, the bridge knowing it: %s",
    async (isKnown) => {
      await using site = await serve(version, routes, {
        plugin(store) {
          const get: typeof store.get = async (key, maxAge) => {
            if (isKnown) await store.get(key, maxAge);
            return { cart: 1 };
          };
          return { store: { ...store, get }, genid: store.genid, signed: false };
        },
      });
      const { token } = await site.sessions.create({ cart: 1 });
      const stored = await site.sessions.get(token);
      const browser = site.browser();
      browser.cookies.set("koa.sess", token);
      expect((await browser.post("/login")).text).toBe("true");
      expect(browser.cookies.get("koa.sess")).not.toBe(token);
      await expect(site.sessions.get(token)).resolves.toBeNull();
      const { endsAt } = stored ?? {};
      await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ data: { cart: 1 }, endsAt }]);
    },
  );

  test("rotate of a dead session that a cache goes on answering, and this process knows, answers false", async () => {
    await using site = await serve(version, routes, {
      plugin(store) {
        const get: typeof store.get = async (key, maxAge) => {
          await store.get(key, maxAge);
          await site.sessions.revokeAllForUser("ada");
          return { userId: "ada" };
        };
        return { store: { ...store, get }, genid: store.genid, signed: false };
      },
    });
    const { token } = await site.sessions.create({ userId: "ada" }, { userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("koa.sess", token);
    expect((await browser.post("/sudo")).text).toBe("false");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test.each([true, false])(
    "a visitor whose session was put in place logs in, with the bridge's genid: %s",
    async (hasGenid) => {
      await using site = await serve(
        version,
        {
          ...routes,
          "/login": async (ctx, _body, store) => {
            ctx.session = { cart: 1 };
            const answer = await store.rotate(ctx);
            ctx.session.userId = "ada";
            return answer;
          },
        },
        {
          plugin: (store) => ({ store, genid: hasGenid ? store.genid : () => newToken() }),
        },
      );
      const browser = site.browser();
      expect((await browser.post("/login")).text).toBe("true");
      expect(JSON.parse((await browser.get("/")).text)).toEqual({ userId: "ada", cart: 1 });
    },
  );

  test.each(["create", "update", "revoke"])(
    "race: log out everywhere while rotate is at its %s ends the session that goes on",
    async (step) => {
      let isArmed = false;
      await using site = await serve(version, routes, {
        async meet(call) {
          if (!isArmed || call !== step) return;
          isArmed = false;
          await site.sessions.revokeAllForUser("ada");
        },
      });
      const browser = site.browser();
      await browser.post("/login");
      isArmed = true;
      await browser.post("/sudo");
      expect(isArmed).toBe(false);
      expect(JSON.parse((await browser.get("/")).text)).toEqual({});
      await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    },
  );

  test.each(["create", "update", "revoke"])(
    "rotate whose %s fails is an error and leaves no two logins",
    async (step) => {
      let isDown = false;
      await using site = await serve(version, routes, {
        meet(call) {
          if (isDown && call === step) throw new StoreError("update", "the backend is down");
        },
      });
      const browser = site.browser();
      await browser.post("/login");
      isDown = true;
      expect((await browser.post("/sudo")).status).toBe(500);
      isDown = false;
      expect((await site.sessions.listForUser("ada")).length).toBeLessThanOrEqual(1);
    },
  );

  test("where what the request changed can't be saved, rotate is an error and nobody is logged in", async () => {
    await using site = await serve(version, {
      ...routes,
      "/sudo": (ctx, _body, store) => {
        ctx.session.amount = 1n;
        return store.rotate(ctx).finally(() => {
          delete ctx.session.amount;
        });
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/sudo")).status).toBe(500);
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("rotate without a session is a TypeError", async () => {
    await using site = await serve(version, {
      ...routes,
      "/late": (ctx, _body, store) => {
        ctx.session = null;
        return store.rotate(ctx).catch((error: unknown) => String(error));
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/late")).text).toMatch(/^"TypeError: there is no ctx\.session/);
  });

  test("the new key is the bridge's own, also with a genid that is not", async () => {
    await using site = await serve(version, routes, {
      plugin: (store) => ({ store, genid: (ctx: object) => `shop:${store.genid(ctx)}`, signed: false }),
    });
    const browser = site.browser();
    await browser.post("/login");
    const key = browser.cookies.get("koa.sess");
    await browser.post("/sudo");
    expect(browser.cookies.get("koa.sess")).toMatch(/^[\w-]{43}$/);
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ userId: "ada" });
    expect(key).toMatch(/^shop/);
  });

  test.each(["rotate", "regenerate"])(
    "%s after a logout in one request is a login under a new key",
    async (means) => {
      await using site = await serve(
        version,
        {
          ...routes,
          "/again": async (ctx, _body, store) => {
            const { session } = ctx;
            ctx.session = null;
            await session.manuallyCommit();
            ctx.session = {};
            const answer = means === "rotate" ? await store.rotate(ctx) : await ctx.session.regenerate();
            ctx.session.userId = "ada";
            await ctx.session.save();
            return answer ?? true;
          },
        },
        { plugin: { autoCommit: false } },
      );
      const browser = site.browser();
      await browser.post("/again");
      const old = browser.twin();
      expect((await browser.post("/again")).text).toBe("true");
      expect(JSON.parse((await browser.get("/")).text)).toEqual({ userId: "ada" });
      expect(JSON.parse((await old.get("/")).text)).toEqual({});
      await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
    },
  );

  test.each(["create", "revoke"])(
    "a session that is ended while rotate is at its %s stays ended",
    async (step) => {
      const reached = Promise.withResolvers<void>();
      const opened = Promise.withResolvers<void>();
      let isArmed = false;
      await using site = await serve(
        version,
        {
          ...routes,
          "/both": async (ctx, _body, store) => {
            isArmed = true;
            const rotating = store.rotate(ctx);
            await reached.promise;
            ctx.session = null;
            opened.resolve();
            return rotating;
          },
        },
        {
          async meet(call) {
            if (!isArmed || call !== step) return;
            reached.resolve();
            await opened.promise;
          },
        },
      );
      const browser = site.browser();
      await browser.post("/login");
      expect((await browser.post("/both")).text).toBe("false");
      await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    },
  );
});
