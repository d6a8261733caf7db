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
  "/login": (ctx, _body, store) => store.logIn(ctx, "ada"),
  "/native-login": async (ctx) => {
    await ctx.session.regenerate();
    ctx.session.userId = "ada";
  },
  "/regenerate": (ctx) => ctx.session.regenerate(),
  "/rotate": (ctx, _body, store) => store.rotate(ctx),
  "/null": (ctx) => {
    ctx.session = null;
  },
  "/logout": (ctx, _body, store) => store.logOut(ctx),
};

describe.each(versions)("with $name, a request whose key another request has just replaced", (version) => {
  test.each(["/set", "/regenerate"])(
    "stores nothing at %s, and neither sets nor clears the cookie",
    async (path) => {
      await using site = await serve(version, routes);
      const browser = site.browser();
      await browser.post("/set", { csrf: 1 });
      const late = browser.twin();
      await browser.post("/login");
      const { status, setCookies } = await late.post(path, { csrf: 2 });
      expect({ status, setCookies }).toEqual({ status: 200, setCookies: [] });
      await expect(Array.fromAsync(site.sessions.all())).resolves.toHaveLength(1);
      expect(await json(browser.get("/user"))).toBe("ada");
    },
  );

  test.each(["/login", "/native-login"])(
    "logs in at %s, as when a login button is pressed twice",
    async (path) => {
      await using site = await serve(version, routes);
      const browser = site.browser();
      await browser.post("/set", { csrf: 1 });
      const late = browser.twin();
      await browser.post(path);
      await late.post(path);
      expect(await json(late.get("/"))).toEqual(path === "/login" ? {} : { userId: "ada" });
      await expect(site.sessions.listForUser("ada")).resolves.toHaveLength(2);
    },
  );

  test.each(["/null", "/logout"])("logs its user out at %s and clears the cookie", async (path) => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    await browser.post("/login");
    const late = browser.twin();
    await browser.post("/rotate");
    await late.post(path);
    expect(late.cookies.get("koa.sess")).toBeUndefined();
    expect(await json(browser.get("/user"))).toBeNull();
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test.each(["/null", "/logout"])(
    "does not log out or clear the cookie at %s if the key was an anonymous visitor's, which may have been planted",
    async (path) => {
      await using site = await serve(version, routes);
      const browser = site.browser();
      await browser.post("/set", { csrf: 1 });
      const planted = browser.twin();
      await browser.post("/login");
      expect((await planted.post(path)).setCookies).toEqual([]);
      expect(await json(browser.get("/user"))).toBe("ada");
    },
  );

  test("does not get the new key through an externalKey", async () => {
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
    expect(await json(browser.get("/user", after))).toBe("ada");
  });
});
