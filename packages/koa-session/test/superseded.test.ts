import type { Context } from "koa";
import { describe, expect, test } from "vitest";
import { type Routes, serve } from "./site.ts";
import { versions } from "./versions.ts";

const routes: Routes = {
  "/": (ctx) => ctx.session.toJSON(),
  "/user": (ctx, _body, store) => store.userOf(ctx),
  "/set": (ctx, body) => {
    Object.assign(ctx.session, body);
  },
  "/login": (ctx, _body, store) => store.logIn(ctx, "ada"),
  "/native-login": async (ctx) => {
    await ctx.session.regenerate();
    ctx.session.userId = "ada";
  },
  "/regenerate": (ctx) => ctx.session.regenerate(),
  "/sudo": (ctx, _body, store) => store.rotate(ctx),
  "/null": (ctx) => {
    ctx.session = null;
  },
  "/logout": (ctx, _body, store) => store.logOut(ctx),
};

describe.each(versions)(
  "on $name, a request with a cookie that another request has just replaced",
  (version) => {
    test.each(["/set", "/regenerate"])(
      "by %s sets and clears no cookie, and stores nothing",
      async (path) => {
        await using site = await serve(version, routes);
        const browser = site.browser();
        await browser.post("/set", { csrf: 1 });
        const late = browser.twin();
        await browser.post("/login");
        const { status, setCookies } = await late.post(path, { csrf: 2 });
        expect({ status, setCookies }).toEqual({ status: 200, setCookies: [] });
        await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
        expect(JSON.parse((await browser.get("/user")).text)).toBe("ada");
      },
    );

    test.each(["/login", "/native-login"])("by %s logs in: a button pressed twice", async (path) => {
      await using site = await serve(version, routes);
      const browser = site.browser();
      await browser.post("/set", { csrf: 1 });
      const late = browser.twin();
      await browser.post(path);
      await late.post(path);
      expect(JSON.parse((await late.get("/")).text)).toEqual(path === "/login" ? {} : { userId: "ada" });
      await expect(site.sessions.listForUser("ada")).resolves.toHaveLength(2);
    });

    test.each(["/null", "/logout"])("by %s logs its user out and clears the cookie", async (path) => {
      await using site = await serve(version, routes);
      const browser = site.browser();
      await browser.post("/login");
      const late = browser.twin();
      await browser.post("/sudo");
      await late.post(path);
      expect(late.cookies.get("koa.sess")).toBeUndefined();
      expect(JSON.parse((await browser.get("/user")).text)).toBeNull();
      await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    });

    test.each(["/null", "/logout"])(
      "by %s neither logs out nor clears the cookie of a login that replaced a visitor's: it may have been planted",
      async (path) => {
        await using site = await serve(version, routes);
        const browser = site.browser();
        await browser.post("/set", { csrf: 1 });
        const planted = browser.twin();
        await browser.post("/login");
        expect((await planted.post(path)).setCookies).toEqual([]);
        expect(JSON.parse((await browser.get("/user")).text)).toBe("ada");
      },
    );

    test("hands out no key by an externalKey, either", async () => {
      await using site = await serve(version, routes, {
        plugin: (store) => ({
          store,
          genid: store.genid,
          externalKey: {
            get: (ctx: Context) => ctx.get("x-session"),
            set: (ctx: Context, key: string) => ctx.set("x-session", key),
          },
        }),
      });
      const browser = site.browser();
      const before = {
        "x-session": (await browser.post("/set", { csrf: 1 })).headers.get("x-session") ?? "",
      };
      const after = {
        "x-session": (await browser.post("/login", {}, before)).headers.get("x-session") ?? "",
      };
      expect((await browser.post("/set", { csrf: 2 }, before)).headers.get("x-session")).toBeNull();
      expect(JSON.parse((await browser.get("/user", after)).text)).toBe("ada");
    });
  },
);
