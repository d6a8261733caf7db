import { StoreError } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { type Routes, serve } from "./site.ts";
import { versions } from "./versions.ts";

const routes: Routes = {
  "/": (ctx) => ctx.session.toJSON(),
  "/user": (ctx, _body, store) => store.userOf(ctx),
  "/set": (ctx, body) => {
    Object.assign(ctx.session, body);
  },
  "/login": async (ctx, { user = "ada", ...options }, store) => {
    const { refused } = await store.logIn(ctx, user as string, options);
    return refused;
  },
  "/logout": (ctx, _body, store) => store.logOut(ctx),
  "/everywhere": (ctx, body, store) => store.logOutEverywhere(ctx, body),
  "/sudo": (ctx, _body, store) => store.rotate(ctx),
};

describe.each(versions)("on $name", (version) => {
  test.each(["logIn", "rotate"] as const)(
    "%s after the response has begun is an error, before anything is written",
    async (call) => {
      await using site = await serve(version, {
        ...routes,
        "/late": async (ctx, _body, store) => {
          ctx.respond = false;
          ctx.res.write("begun: ");
          ctx.res.end(await store[call](ctx, "ada").catch(String));
        },
      });
      const browser = site.browser();
      await browser.post("/login");
      expect((await browser.post("/late")).text).toMatch(
        /^begun: TypeError: .* await logIn and rotate before/,
      );
      expect(JSON.parse((await browser.get("/user")).text)).toBe("ada");
      await expect(site.sessions.listForUser("ada")).resolves.toHaveLength(1);
    },
  );

  test("logIn gives a new key, keeps a visitor's data and what the request changed, and ctx.session names the new key", async () => {
    await using site = await serve(version, {
      ...routes,
      "/login": async (ctx, _body, store) => {
        ctx.session.unsaved = 1;
        const before = ctx.session.externalKey;
        const { refused } = await store.logIn(ctx, "ada");
        const { externalKey } = ctx.session;
        ctx.session.after = 1;
        return [refused, externalKey !== before, (await site.sessions.get(externalKey))?.userId];
      },
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    const old = browser.twin();
    expect(JSON.parse((await browser.post("/login")).text)).toEqual([null, true, "ada"]);
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ cart: 1, unsaved: 1, after: 1 });
    expect(JSON.parse((await browser.get("/user")).text)).toBe("ada");
    expect(JSON.parse((await old.get("/")).text)).toEqual({});
    await expect(Array.fromAsync(site.sessions.all())).resolves.toMatchObject([{ userId: "ada" }]);
  });

  test("logIn of a visitor without a session creates one and writes nothing else", async () => {
    await using site = await serve(version, routes, { plugin: { maxAge: 60_000 } });
    const browser = site.browser();
    await browser.post("/login");
    expect(site.calls.filter((call) => call !== "now")).toEqual(["create"]);
    expect(JSON.parse((await browser.get("/user")).text)).toBe("ada");
  });

  test.each(["session", undefined, 60_000] as const)(
    "a login and a rotation read once and update once, and keep a cookie of maxAge %s as it is",
    async (maxAge) => {
      await using site = await serve(version, routes, { plugin: maxAge === undefined ? {} : { maxAge } });
      const browser = site.browser();
      await browser.post("/set", { cart: 1 });
      for (const path of ["/login", "/sudo", "/sudo"]) {
        site.calls.length = 0;
        const { setCookies } = await browser.post(path);
        expect(site.calls.filter((call) => call !== "now")).toEqual(["read", "update"]);
        expect(setCookies.filter((line) => line.startsWith("koa.sess="))).toHaveLength(1);
        expect(/expires=/i.test(setCookies[0] ?? "")).toBe(maxAge === 60_000);
      }
      const [stored] = await site.sessions.listForUser("ada");
      expect(stored?.idle).toBe(maxAge === 60_000 ? maxAge : site.sessions.policy.idleTimeout);
      expect(stored?.data).toMatchObject({
        cart: 1,
        ...(maxAge === "session" && { _session: true }),
        ...(maxAge === 60_000 && { _maxAge: maxAge }),
      });
    },
  );

  test("logIn over another user's session shows none of that user's data but what is kept by name", async () => {
    await using site = await serve(version, {
      ...routes,
      "/switch": async (ctx, _body, store) => {
        await store.logIn(ctx, "bob", { keep: ["cart"] });
        return ctx.session.toJSON();
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    await browser.post("/set", { cart: 1, mfa: true });
    const old = browser.twin();
    expect(JSON.parse((await browser.post("/switch")).text)).toEqual({ cart: 1 });
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ cart: 1 });
    expect(JSON.parse((await old.get("/")).text)).toEqual({});
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("a login that began before log out everywhere is refused: nobody is logged in, and the session is over", async () => {
    await using site = await serve(version, {
      ...routes,
      "/slow-login": async (ctx, _body, store) => {
        await site.sessions.revokeAllForUser("ada");
        const { refused } = await store.logIn(ctx, "ada");
        ctx.session.late = 1;
        return [refused, store.userOf(ctx)];
      },
    });
    for (const isNew of [true, false]) {
      const browser = site.browser();
      if (!isNew) await browser.post("/set", { cart: 1 });
      expect(JSON.parse((await browser.post("/slow-login")).text)).toEqual(["logged-out-meanwhile", null]);
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
      expect(JSON.parse((await browser.get("/user")).text)).toBeNull();
      expect(JSON.parse((await browser.post("/login")).text)).toBeNull();
      await site.sessions.revokeAllForUser("ada");
    }
  });

  test("a login beyond the cap is refused, and the visitor's session goes on", async () => {
    await using site = await serve(version, routes, { sessions: { maxPerUser: 1, onCap: "refuse" } });
    await site.browser().post("/login");
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    expect(JSON.parse((await browser.post("/login")).text)).toBe("too-many-sessions");
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ cart: 1 });
  });

  test("a BigInt logs in as its digits; among the data, koa-session's own JSON refuses it", async () => {
    await using site = await serve(version, {
      ...routes,
      "/big": async (ctx, _body, store) => {
        await store.logIn(ctx, 9_007_199_254_740_993n);
        return store.userOf(ctx);
      },
      "/big-data": (ctx) => {
        ctx.session.amount = 1n;
      },
    });
    const browser = site.browser();
    expect(JSON.parse((await browser.post("/big")).text)).toBe("9007199254740993");
    expect((await browser.post("/big-data")).status).toBe(500);
    expect(JSON.parse((await browser.get("/user")).text)).toBe("9007199254740993");
  });

  test("a user that cannot be one is a TypeError, and nobody is logged in", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    for (const user of ["", { id: 7 }, 1.5, null]) {
      expect((await browser.post("/login", { user })).status).toBe(500);
    }
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("logOut ends the session, clears the cookie, and the same request can log in again", async () => {
    await using site = await serve(version, {
      ...routes,
      "/again": async (ctx, _body, store) => {
        await store.logOut(ctx);
        const between = [ctx.session, store.userOf(ctx)];
        await store.logIn(ctx, "bob");
        return [...between, ctx.session.toJSON(), store.userOf(ctx)];
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    await browser.post("/set", { cart: 1 });
    const thief = browser.twin();
    site.calls.length = 0;
    await browser.post("/logout");
    expect(site.calls).toEqual(["read", "revoke"]);
    expect(browser.cookies.get("koa.sess")).toBeUndefined();
    expect(JSON.parse((await thief.get("/")).text)).toEqual({});
    await browser.post("/login");
    expect(JSON.parse((await browser.post("/again")).text)).toEqual([null, null, {}, "bob"]);
    expect(JSON.parse((await browser.get("/user")).text)).toBe("bob");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("logOutEverywhere ends all sessions of the user, and with keepThis all others", async () => {
    await using site = await serve(version, routes);
    const [here, there] = [site.browser(), site.browser()];
    for (const browser of [here, there]) await browser.post("/login");
    expect((await here.post("/everywhere", { keepThis: true })).text).toBe("1");
    expect(JSON.parse((await there.get("/user")).text)).toBeNull();
    expect(JSON.parse((await here.get("/user")).text)).toBe("ada");
    expect((await here.post("/everywhere")).text).toBe("1");
    expect(here.cookies.get("koa.sess")).toBeUndefined();
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("logOutEverywhere with keepThis keeps a session that another request has rotated meanwhile, and its cookie", async () => {
    await using site = await serve(version, {
      ...routes,
      "/change": async (ctx, _body, store) => {
        await site.sessions.rotate(ctx.session.externalKey);
        return [await store.rotate(ctx), await store.logOutEverywhere(ctx, { keepThis: true })];
      },
    });
    const [here, there] = [site.browser(), site.browser()];
    for (const browser of [here, there]) await browser.post("/login");
    const { text, setCookies } = await here.post("/change");
    expect({ text, setCookies }).toEqual({ text: '["superseded",1]', setCookies: [] });
    expect(JSON.parse((await there.get("/user")).text)).toBeNull();
    await expect(site.sessions.listForUser("ada")).resolves.toHaveLength(1);
  });

  test("a change of password logs out all others and goes on under a new key, by rotate or by regenerate", async () => {
    await using site = await serve(version, {
      ...routes,
      "/change": async (ctx, _body, store) => {
        const count = await store.logOutEverywhere(ctx, { keepThis: true });
        await store.rotate(ctx);
        return count;
      },
      "/change-and-regenerate": async (ctx, _body, store) => {
        const count = await store.logOutEverywhere(ctx, { keepThis: true });
        await ctx.session.regenerate();
        return count;
      },
    });
    const [here, there] = [site.browser(), site.browser()];
    await here.post("/login");
    for (const path of ["/change", "/change-and-regenerate"]) {
      await there.post("/login");
      const old = here.twin();
      expect((await here.post(path)).text).toBe("1");
      expect(JSON.parse((await here.get("/user")).text)).toBe("ada");
      for (const other of [old, there]) expect(JSON.parse((await other.get("/user")).text)).toBeNull();
    }
  });

  test("a native regenerate keeps a user whom logIn set, and saves after it too", async () => {
    await using site = await serve(version, {
      ...routes,
      "/regenerate": async (ctx) => {
        ctx.session.before = 1;
        await ctx.session.regenerate();
        ctx.session.after = 1;
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const old = browser.twin();
    await browser.post("/regenerate");
    expect(JSON.parse((await browser.get("/user")).text)).toBe("ada");
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ before: 1, after: 1 });
    expect(JSON.parse((await old.get("/user")).text)).toBeNull();
  });

  test("a login by regenerate and data counts as a login: the lifetime restarts", async () => {
    await using site = await serve(version, {
      ...routes,
      "/native": async (ctx) => {
        await ctx.session.regenerate();
        ctx.session.userId = "ada";
      },
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    const [before] = await Array.fromAsync(site.sessions.all());
    await new Promise((resolve) => setTimeout(resolve, 20));
    await browser.post("/native");
    const [after] = await site.sessions.listForUser("ada");
    expect(after?.id).toBe(before?.id);
    expect((after?.endsAt ?? 0) - (before?.endsAt ?? 0)).toBeGreaterThanOrEqual(20);
  });

  test("rotate twice in one request, and beside saves, regenerate and logIn, leaves one session", async () => {
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
        expect(store.userOf(ctx)).toBe("ada");
        expect(await store.rotate(ctx)).toBe("rotated");
      },
      "/login-after": async (ctx, _body, store) => {
        await ctx.session.regenerate();
        expect(await store.logIn(ctx, "ada")).toEqual({ refused: null });
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const [before] = await site.sessions.listForUser("ada");
    for (const path of ["/twice", "/save", "/regenerate", "/regenerate-before", "/login-after"]) {
      const old = browser.twin();
      expect((await browser.post(path)).status).toBe(200);
      expect(JSON.parse((await browser.get("/user")).text)).toBe("ada");
      expect(JSON.parse((await old.get("/user")).text)).toBeNull();
    }
    const { id, createdAt } = before ?? {};
    await expect(Array.fromAsync(site.sessions.all())).resolves.toMatchObject([{ id, createdAt }]);
  });

  test("rotate resolves to what became of the session", async () => {
    await using site = await serve(version, {
      ...routes,
      "/ended": async (ctx, _body, store) => {
        await site.sessions.revokeAllForUser("ada");
        const result = await store.rotate(ctx);
        ctx.session.late = 1;
        return result;
      },
      "/null": (ctx, _body, store) => {
        ctx.session = null;
        return store.rotate(ctx);
      },
    });
    const browser = site.browser();
    expect(JSON.parse((await browser.post("/sudo")).text)).toBe("new");
    await browser.post("/login");
    expect(JSON.parse((await browser.post("/sudo")).text)).toBe("rotated");
    const before = new Map(browser.cookies);
    expect(JSON.parse((await browser.post("/ended")).text)).toBe("dead");
    expect(browser.cookies).toEqual(before);
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    await browser.post("/login");
    expect(JSON.parse((await browser.post("/null")).text)).toBe("dead");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("a prefix of the application's genid stays before the key, through logins and rotations", async () => {
    await using site = await serve(version, routes, {
      plugin: (store) => ({ store, genid: (ctx: object) => `shop:${store.genid(ctx)}`, signed: false }),
    });
    const browser = site.browser();
    for (const path of ["/login", "/sudo"]) {
      await browser.post(path);
      expect(decodeURIComponent(browser.cookies.get("koa.sess") ?? "")).toMatch(
        /^shop:[\w-]{22}\.[\w-]{43}$/,
      );
      expect(JSON.parse((await browser.get("/user")).text)).toBe("ada");
    }
  });

  test("store.destroy takes an id as lists show it, and a key", async () => {
    await using site = await serve(version, {
      ...routes,
      "/kick": async (_ctx, { session }, store) => store.destroy(session as string),
    });
    const admin = site.browser();
    for (const pick of ["id", "key"]) {
      const { token, session } = await site.sessions.create({ userId: "bob" });
      await admin.post("/kick", { session: pick === "id" ? session.id : token });
      await expect(site.sessions.get(token)).resolves.toBeNull();
    }
  });

  test("store.set without a request changes a live session, and is an error for any other key", async () => {
    let store: Parameters<Routes[string]>[2] | undefined;
    await using site = await serve(version, routes, {
      plugin(made) {
        store = made;
        return { store: made, genid: made.genid };
      },
    });
    const { token } = await site.sessions.create({ cart: 1 });
    await store?.set(token, { cart: 2 });
    await expect(store?.get(token)).resolves.toEqual({ cart: 2 });
    await store?.destroy(token);
    await expect(store?.set(token, { cart: 3 })).rejects.toThrow(TypeError);
    await expect(store?.set("made-up".repeat(10), { cart: 3 })).rejects.toThrow("sessions.create(data)");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("the bridge's calls without the middleware are a TypeError that says what to do", async () => {
    await using site = await serve(version, routes);
    const { store } = site;
    const advice = "koa-session has not run for this request";
    for (const ctx of [{}, undefined]) {
      expect(() => store.userOf(ctx as object)).toThrow(advice);
      await expect(store.logIn(ctx as object, "ada")).rejects.toThrow(advice);
      await expect(store.logOut(ctx as object)).rejects.toThrow(advice);
      await expect(store.rotate(ctx as object)).rejects.toThrow(advice);
      await expect(store.logOutEverywhere(ctx as object)).rejects.toThrow(advice);
    }
  });

  test("the bridge's calls before the middleware are a TypeError, too, and no logout that does nothing", async () => {
    const early: Routes = { "/early": (ctx, _body, store) => store.logOut(ctx).catch(String) };
    await using site = await serve(version, routes, { early });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/early")).text).toContain("koa-session has not run for this request");
  });

  test.each(["/login", "/sudo"])(
    "%s whose store fails is an error, and leaves at most one login",
    async (path) => {
      let isDown = false;
      await using site = await serve(version, routes, {
        meet(call) {
          if (isDown && call === "update") throw new StoreError("update", "the backend is down");
        },
      });
      const browser = site.browser();
      await browser.post("/login");
      isDown = true;
      expect((await browser.post(path)).status).toBe(500);
      isDown = false;
      expect((await site.sessions.listForUser("ada")).length).toBeLessThanOrEqual(1);
    },
  );

  test("a logout by ctx.session = null while a rotation or a login is under way wins", async () => {
    for (const path of ["/sudo", "/login"]) {
      const reached = Promise.withResolvers<void>();
      const opened = Promise.withResolvers<void>();
      let isArmed = false;
      await using site = await serve(
        version,
        {
          ...routes,
          "/both": async (ctx, body, store) => {
            isArmed = true;
            const first = routes[path]?.(ctx, body, store);
            await reached.promise;
            ctx.session = null;
            opened.resolve();
            return first;
          },
        },
        {
          async meet(call) {
            if (!isArmed || call !== "update") return;
            reached.resolve();
            await opened.promise;
          },
        },
      );
      const browser = site.browser();
      await browser.post("/login");
      const result = JSON.parse((await browser.post("/both")).text);
      expect(result).toBe(path === "/sudo" ? "dead" : "logged-out-meanwhile");
      await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    }
  });
});
