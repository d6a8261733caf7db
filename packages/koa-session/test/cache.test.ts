import { memoryStore, Sessions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { json, type Routes, serve, type Site } from "./site.ts";
import { type Version, versions } from "./versions.ts";

const routes: Routes = {
  "/": (ctx) => ctx.session.toJSON(),
  "/set": (ctx, body) => {
    Object.assign(ctx.session, body);
  },
  "/remove-user": (ctx) => {
    delete ctx.session.userId;
    ctx.session.cart = 1;
  },
  "/regenerate": async (ctx) => {
    await ctx.session.regenerate();
    ctx.session.late = true;
  },
  "/null": (ctx) => {
    ctx.session = null;
  },
  "/rotate": (ctx, _body, store) => store.rotate(ctx),
  "/login": (ctx, _body, store) => store.logIn(ctx, "ada"),
  "/user": async (ctx, _body, store) => {
    const userOf = async (): Promise<unknown> => store.userOf(ctx);
    const before = await userOf().catch(String);
    await ctx.session.save();
    return [before, await userOf()];
  },
};

/** Serves an application whose cache in front of the store always returns `data`, even if the session has ended. */
async function serveCached(version: Version, data: object): Promise<Site & { readonly token: string }> {
  const site = await serve(version, routes, {
    plugin: (store) => ({
      store: { ...store, get: async () => ({ ...data }) },
      genid: store.genid,
      signed: false,
    }),
  });
  const { token } = await site.sessions.create(data as Record<string, unknown>);
  return { ...site, token };
}

describe.each(versions)("with $name and a cache in front of the store,", (version) => {
  test("a change to a live session is stored", async () => {
    await using site = await serveCached(version, { userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("koa.sess", site.token);
    await browser.post("/set", { cart: 1 });
    await expect(site.sessions.get(site.token)).resolves.toMatchObject({ data: { userId: "ada", cart: 1 } });
  });

  test("userOf throws a TypeError that names the cache until the request has saved", async () => {
    await using site = await serveCached(version, { userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("koa.sess", site.token);
    const error = expect.stringMatching(/^TypeError: a cache in front of this store/) as unknown;
    expect(await json(browser.get("/user"))).toEqual([error, "ada"]);
  });

  test.each(["/set", "/regenerate", "/rotate", "/login"])(
    "%s stores no data of a session that has ended, and only a login creates a session",
    async (path) => {
      for (const data of [{ userId: "ada" }, { user: { id: "ada" } }]) {
        await using site = await serveCached(version, data);
        await site.sessions.revoke(site.token);
        const browser = site.browser();
        browser.cookies.set("koa.sess", site.token);
        await browser.post(path, { late: 1 });
        const alive = await Array.fromAsync(site.sessions.all());
        expect(alive.map((session) => session.data)).toEqual(path === "/login" ? [{}] : []);
      }
    },
  );

  test("ctx.session = null ends the session", async () => {
    await using site = await serveCached(version, { userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("koa.sess", site.token);
    await browser.post("/null");
    await expect(site.sessions.get(site.token)).resolves.toBeNull();
  });

  test("a save that removes the user logs out", async () => {
    await using site = await serveCached(version, { userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("koa.sess", site.token);
    await browser.post("/remove-user");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    await expect(site.sessions.get(site.token)).resolves.toMatchObject({ userId: null, data: { cart: 1 } });
  });

  test.each(["/set", "/regenerate", "/rotate"])(
    "%s does not log in a user who was logged out after the cache was filled",
    async (path) => {
      await using site = await serveCached(version, { userId: "ada" });
      const session = await site.sessions.get(site.token);
      await site.sessions.save(session!, { cart: 1 });
      const browser = site.browser();
      browser.cookies.set("koa.sess", site.token);
      expect((await browser.post(path, { late: 1 })).status).toBe(200);
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
      await expect(Array.fromAsync(site.sessions.all())).resolves.toMatchObject([{ data: { cart: 1 } }]);
    },
  );

  test("rotate gives the session a new key, and the old key is dead", async () => {
    await using site = await serveCached(version, { userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("koa.sess", site.token);
    expect((await browser.post("/rotate")).text).toBe('"rotated"');
    expect(browser.cookies.get("koa.sess")).not.toBe(site.token);
    await expect(site.sessions.get(site.token)).resolves.toBeNull();
    await expect(site.sessions.get(browser.cookies.get("koa.sess"))).resolves.toMatchObject({
      data: { userId: "ada" },
    });
  });
});

test.each(versions)(
  "with $name, a save of a session that ended during the request writes nothing, even if the tombstone is gone",
  async (version) => {
    let now = Date.now();
    const store = memoryStore({ clock: () => now });
    const sessions = new Sessions({ store });
    const { token } = await sessions.create({ userId: "ada" });
    await using site = await serve(
      version,
      {
        "/": async (ctx) => {
          await sessions.revoke(token);
          now += 24 * 3600_000;
          ctx.session.draft = "late";
        },
      },
      { store, plugin: (made) => ({ store: made, genid: made.genid, signed: false }) },
    );
    const browser = site.browser();
    browser.cookies.set("koa.sess", token);
    expect((await browser.get("/")).status).toBe(200);
    await expect(Array.fromAsync(sessions.all())).resolves.toEqual([]);
  },
);
