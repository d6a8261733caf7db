import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "@tenure/core";
import { hearWarnings } from "@tenure/store-wrappers/warnings";
import type { Context } from "koa";
import { describe, expect, test } from "vitest";
import { json, type Routes, serve } from "./site.ts";
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
  "/rotate": (ctx, _body, store) => store.rotate(ctx),
};

describe.each(versions)("with $name", (version) => {
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
      expect(await json(browser.get("/user"))).toBe("ada");
      await expect(site.sessions.listForUser("ada")).resolves.toHaveLength(1);
    },
  );

  test.each<[string, Routes[string], unknown]>([
    ["logOut", (ctx, _body, store) => store.logOut(ctx), undefined],
    ["logOutEverywhere", (ctx, _body, store) => store.logOutEverywhere(ctx), 1],
    ["ctx.session = null", (ctx) => void (ctx.session = null), undefined],
  ])("%s after the response has begun ends the session without an error", async (_what, call, result) => {
    let outcome: unknown = "none";
    const errors: unknown[] = [];
    await using site = await serve(version, {
      ...routes,
      "/late": async (ctx, body, store) => {
        ctx.respond = false;
        ctx.res.write("begun");
        outcome = await Promise.resolve(call(ctx, body, store)).catch(String);
        ctx.res.end();
      },
    });
    site.app.on("error", (error) => errors.push(error));
    const browser = site.browser();
    await browser.post("/login");
    await browser.post("/late");
    expect(outcome).toBe(result);
    expect(await json(browser.get("/user"))).toBeNull();
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    expect(errors).toEqual([]);
  });

  test.each<[string, Routes[string]]>([
    ["logIn", (ctx, _body, store) => store.logIn(ctx, "ada")],
    ["rotate", (ctx, _body, store) => store.rotate(ctx)],
  ])("a %s that is not awaited and ends after the response gives a warning", async (_what, call) => {
    using warnings = hearWarnings();
    const { promise, resolve } = Promise.withResolvers<unknown>();
    await using site = await serve(
      version,
      {
        ...routes,
        "/late": (ctx, body, store) => resolve(call(ctx, body, store)),
      },
      { beforeCall: (name) => (name === "update" ? sleep(20) : undefined) },
    );
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/late")).setCookies).toEqual([]);
    await promise;
    await sleep(0);
    expect(warnings.codes).toEqual(["TENURE_COOKIE_TOO_LATE"]);
  });

  test("with a WebSocket's context, logIn and rotate are errors before anything is written, and logOut logs out", async () => {
    await using site = await serve(version, {
      ...routes,
      "/socket": async (ctx, _body, store) => {
        // As koa-websocket does.
        const socket = ctx.app.createContext(ctx.req, undefined as never);
        const results: unknown[] = [];
        const runSession = ctx.app.middleware[1] as (
          context: Context,
          next: () => Promise<void>,
        ) => Promise<void>;
        const end = runSession(socket, async () => {
          results.push(store.userOf(socket));
          for (const call of ["logIn", "rotate"] as const) {
            // oxlint-disable-next-line no-await-in-loop -- one after another, as in a handler of messages
            results.push(await store[call](socket, "bob").catch(String));
          }
          await store.logOut(socket);
          results.push(socket.session);
        });
        // koa-session cannot clear the cookie.
        await end.catch(() => undefined);
        return results;
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const refused = expect.stringContaining("await logIn and rotate before you respond") as unknown;
    expect(await json(browser.get("/socket"))).toEqual(["ada", refused, refused, null]);
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test.each<[string, (ctx: Context) => Context]>([
    ["a proxy of ctx", (ctx) => new Proxy(ctx, {})],
    ["an object that inherits from ctx", (ctx) => Object.create(ctx) as Context],
  ])("the store's calls accept %s", async (_what, derived) => {
    await using site = await serve(version, {
      ...routes,
      "/login": async (ctx, _body, store) => {
        await store.logIn(derived(ctx), "ada");
        return [store.userOf(ctx), store.userOf(derived(ctx))];
      },
    });
    const browser = site.browser();
    for (let login = 0; login < 2; login += 1) {
      expect(await json(browser.post("/login"))).toEqual(["ada", "ada"]);
      expect(await json(browser.get("/user"))).toBe("ada");
    }
  });

  test("logIn gives the session a new key, which ctx.session names, and keeps the visitor's data and the request's changes", async () => {
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
    expect(await json(browser.post("/login"))).toEqual([null, true, "ada"]);
    expect(await json(browser.get("/"))).toEqual({ cart: 1, unsaved: 1, after: 1 });
    expect(await json(browser.get("/user"))).toBe("ada");
    expect(await json(old.get("/"))).toEqual({});
    await expect(Array.fromAsync(site.sessions.all())).resolves.toMatchObject([{ userId: "ada" }]);
  });

  test("logIn for a visitor without a session creates one and writes nothing else", async () => {
    await using site = await serve(version, routes, { plugin: { maxAge: 60_000 } });
    const browser = site.browser();
    await browser.post("/login");
    expect(site.calls.filter((call) => call !== "now")).toEqual(["create"]);
    expect(await json(browser.get("/user"))).toBe("ada");
  });

  test.each(["session", undefined, 60_000] as const)(
    "a login and a rotation each read once and update once, and keep a maxAge of %s",
    async (maxAge) => {
      await using site = await serve(version, routes, { plugin: maxAge === undefined ? {} : { maxAge } });
      const browser = site.browser();
      await browser.post("/set", { cart: 1 });
      for (const path of ["/login", "/rotate", "/rotate"]) {
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

  test("logIn in another user's session keeps none of that user's data except the keys named in keep", async () => {
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
    expect(await json(browser.post("/switch"))).toEqual({ cart: 1 });
    expect(await json(browser.get("/"))).toEqual({ cart: 1 });
    expect(await json(old.get("/"))).toEqual({});
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("a login that began before revokeAllForUser is refused, and the session ends", async () => {
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
      expect(await json(browser.post("/slow-login"))).toEqual(["logged-out-meanwhile", null]);
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
      expect(await json(browser.get("/user"))).toBeNull();
      expect(await json(browser.post("/login"))).toBeNull();
      await site.sessions.revokeAllForUser("ada");
    }
  });

  test("a login beyond the cap is refused, and the visitor keeps the anonymous session", async () => {
    await using site = await serve(version, routes, { sessions: { maxPerUser: 1, onCap: "refuse" } });
    await site.browser().post("/login");
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    expect(await json(browser.post("/login"))).toBe("too-many-sessions");
    expect(await json(browser.get("/"))).toEqual({ cart: 1 });
  });

  test("logIn accepts a BigInt as a user id, but a BigInt in the data is a 500, because koa-session encodes it as JSON", async () => {
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
    expect(await json(browser.post("/big"))).toBe("9007199254740993");
    expect((await browser.post("/big-data")).status).toBe(500);
    expect(await json(browser.get("/user"))).toBe("9007199254740993");
  });

  test("logIn with a value that cannot name a user is a 500, and nobody is logged in", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    for (const user of ["", { id: 7 }, 1.5, null]) {
      expect((await browser.post("/login", { user })).status).toBe(500);
    }
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test.each<[string, Routes[string]]>([
    ["logIn", (ctx, _body, store) => store.logIn(ctx, "ada")],
    ["rotate", (ctx, _body, store) => store.rotate(ctx)],
    ["regenerate", (ctx) => ctx.session.regenerate()],
  ])("an error after %s leaves the user logged in, and removes all other headers", async (_what, call) => {
    await using site = await serve(version, {
      ...routes,
      "/fail": async (ctx, body, store) => {
        await call(ctx, body, store);
        ctx.cookies.set("other", "1");
        ctx.set("x-other", "1");
        ctx.throw(418, "after it", { headers: { "x-of-error": "1" } });
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const before = browser.cookies.get("koa.sess");
    const { status, headers, setCookies } = await browser.post("/fail");
    expect([status, headers.get("x-other"), headers.get("x-of-error")]).toEqual([418, null, "1"]);
    expect(setCookies.map((cookie) => cookie.split("=")[0])).toEqual(["koa.sess", "koa.sess.sig"]);
    expect(browser.cookies.get("koa.sess")).not.toBe(before);
    expect((await browser.get("/user")).text).toBe('"ada"');
  });

  test("an error after logOut clears the cookie", async () => {
    await using site = await serve(version, {
      ...routes,
      "/fail": async (ctx, _body, store) => {
        await store.logOut(ctx);
        throw new Error("after it");
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/fail")).status).toBe(500);
    expect([...browser.cookies]).toEqual([]);
  });

  test("logOut ends the session and clears the cookie, and the same request can log in again", async () => {
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
    expect(await json(thief.get("/"))).toEqual({});
    await browser.post("/login");
    expect(await json(browser.post("/again"))).toEqual([null, null, {}, "bob"]);
    expect(await json(browser.get("/user"))).toBe("bob");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("logOutEverywhere ends all sessions of the user, or all others with keepThis", async () => {
    await using site = await serve(version, routes);
    const [here, there] = [site.browser(), site.browser()];
    for (const browser of [here, there]) await browser.post("/login");
    expect((await here.post("/everywhere", { keepThis: true })).text).toBe("1");
    expect(await json(there.get("/user"))).toBeNull();
    expect(await json(here.get("/user"))).toBe("ada");
    expect((await here.post("/everywhere")).text).toBe("1");
    expect(here.cookies.get("koa.sess")).toBeUndefined();
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test.each(["logOut", "logOutEverywhere"] as const)(
    "a login after a %s that is not awaited logs in, and one before it is refused",
    async (logout) => {
      await using site = await serve(version, {
        ...routes,
        "/again": async (ctx, _body, store) => {
          const ending = store[logout](ctx);
          const { refused } = await store.logIn(ctx, "ada");
          await ending;
          return [refused, store.userOf(ctx)];
        },
        "/before": async (ctx, { after }, store) => {
          if (after === "logOut") await store.logOut(ctx);
          const login = store.logIn(ctx, "ada");
          await store[logout](ctx);
          return [(await login).refused, store.userOf(ctx)];
        },
      });
      const browser = site.browser();
      await browser.post("/login");
      expect(await json(browser.post("/again"))).toEqual([null, "ada"]);
      expect((await browser.get("/user")).text).toBe('"ada"');
      await expect(site.sessions.listForUser("ada")).resolves.toHaveLength(1);
      for (const body of [{}, { after: "logOut" }]) {
        await browser.post("/login");
        expect(await json(browser.post("/before", body))).toEqual(["logged-out-meanwhile", null]);
      }
      expect((await browser.get("/user")).text).toBe("null");
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    },
  );

  test("the user can repeat a logOutEverywhere that failed, or that was refused for an unknown option", async () => {
    let isDown = false;
    await using site = await serve(version, routes, {
      beforeCall: (call) => {
        if (isDown && call === "revokeUser") throw new Error("down");
      },
    });
    const [browser, phone] = [site.browser(), site.browser()];
    await browser.post("/login");
    await browser.post("/set", { note: 1 });
    await phone.post("/login");
    expect((await browser.post("/everywhere", { keepthis: true })).status).toBe(500);
    isDown = true;
    expect((await browser.post("/everywhere")).status).toBe(500);
    isDown = false;
    expect(await json(browser.get("/user"))).toBe("ada");
    expect(await json(browser.get("/"))).toEqual({ note: 1 });
    expect(await json(browser.post("/everywhere"))).toBe(2);
    expect(await json(phone.get("/user"))).toBeNull();
  });

  test("logOutEverywhere with keepThis keeps a session that another request has just rotated, and its cookie", async () => {
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
    expect(await json(there.get("/user"))).toBeNull();
    await expect(site.sessions.listForUser("ada")).resolves.toHaveLength(1);
  });

  test("logOutEverywhere with keepThis, then rotate or regenerate, leaves only the present session, under a new key", async () => {
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
      expect(await json(here.get("/user"))).toBe("ada");
      for (const other of [old, there]) expect(await json(other.get("/user"))).toBeNull();
    }
  });

  test("ctx.session.regenerate() keeps a user whom logIn has logged in, and the changes before and after it", async () => {
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
    expect(await json(browser.get("/user"))).toBe("ada");
    expect(await json(browser.get("/"))).toEqual({ before: 1, after: 1 });
    expect(await json(old.get("/user"))).toBeNull();
  });

  test("a login by ctx.session.regenerate() and a change of the data restarts the lifetime", async () => {
    await using site = await serve(version, {
      ...routes,
      "/regenerate-and-log-in": async (ctx) => {
        await ctx.session.regenerate();
        ctx.session.userId = "ada";
      },
    });
    const browser = site.browser();
    await browser.post("/set", { cart: 1 });
    const [before] = await Array.fromAsync(site.sessions.all());
    await sleep(20);
    await browser.post("/regenerate-and-log-in");
    const [after] = await site.sessions.listForUser("ada");
    expect(after?.id).toBe(before?.id);
    expect((after?.endsAt ?? 0) - (before?.endsAt ?? 0)).toBeGreaterThanOrEqual(20);
  });

  test("rotate leaves one session even if the same request rotates again, saves, regenerates or logs in", async () => {
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
      expect(await json(browser.get("/user"))).toBe("ada");
      expect(await json(old.get("/user"))).toBeNull();
    }
    const { id, createdAt } = before ?? {};
    await expect(Array.fromAsync(site.sessions.all())).resolves.toMatchObject([{ id, createdAt }]);
  });

  test('rotate resolves to "new", "rotated" or "dead"', async () => {
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
    expect(await json(browser.post("/rotate"))).toBe("new");
    await browser.post("/login");
    expect(await json(browser.post("/rotate"))).toBe("rotated");
    const before = new Map(browser.cookies);
    expect(await json(browser.post("/ended"))).toBe("dead");
    expect(browser.cookies).toEqual(before);
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    await browser.post("/login");
    expect(await json(browser.post("/null"))).toBe("dead");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("a prefix that the application's genid adds stays on the key after logins and rotations", async () => {
    await using site = await serve(version, routes, {
      plugin: (store) => ({ store, genid: (ctx: object) => `shop:${store.genid(ctx)}`, signed: false }),
    });
    const browser = site.browser();
    for (const path of ["/login", "/rotate"]) {
      await browser.post(path);
      expect(decodeURIComponent(browser.cookies.get("koa.sess") ?? "")).toMatch(
        /^shop:[\w-]{22}\.[\w-]{43}$/,
      );
      expect(await json(browser.get("/user"))).toBe("ada");
    }
  });

  test("store.destroy ends a session by its id or by its key", async () => {
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

  test("store.set without a request changes a live session, and rejects for any other key", async () => {
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

  test("the bridge's calls without the middleware are an error that names the remedy", async () => {
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

  test("logOut before the middleware rejects with the same error, instead of doing nothing", async () => {
    const early: Routes = { "/early": (ctx, _body, store) => store.logOut(ctx).catch(String) };
    await using site = await serve(version, routes, { early });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/early")).text).toContain("koa-session has not run for this request");
  });

  test.each(["/login", "/rotate"])(
    "if the store fails during %s, the response is an error, and at most one login is left",
    async (path) => {
      let isDown = false;
      await using site = await serve(version, routes, {
        beforeCall(call) {
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

  test("ctx.session = null during a rotation or a login wins over it, and the session ends", async () => {
    for (const path of ["/rotate", "/login"]) {
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
          async beforeCall(call) {
            if (!isArmed || call !== "update") return;
            reached.resolve();
            await opened.promise;
          },
        },
      );
      const browser = site.browser();
      await browser.post("/login");
      const result = await json(browser.post("/both"));
      expect(result).toBe(path === "/rotate" ? "dead" : "logged-out-meanwhile");
      await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    }
  });
});
