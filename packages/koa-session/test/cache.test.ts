import { memoryStore, Sessions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { type Routes, serve, type Site } from "./site.ts";
import { type Version, versions } from "./versions.ts";

const routes: Routes = {
  "/": (ctx) => ctx.session.toJSON(),
  "/set": (ctx, body) => {
    Object.assign(ctx.session, body);
  },
  "/forget": (ctx) => {
    delete ctx.session.userId;
    ctx.session.cart = 1;
  },
  "/regenerate": async (ctx) => {
    await ctx.session.regenerate();
    ctx.session.late = true;
  },
  "/sudo": (ctx, _body, store) => store.rotate(ctx),
  "/login": (ctx, _body, store) => store.logIn(ctx, "ada"),
};

/** A cache in front of the store holds a session's data, whatever becomes of the session. */
async function cached(version: Version, data: object): Promise<Site & { readonly token: string }> {
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

describe.each(versions)("on $name, of a session that a cache in front of the store has loaded", (version) => {
  test("a change is stored while it is alive", async () => {
    await using site = await cached(version, { userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("koa.sess", site.token);
    await browser.post("/set", { cart: 1 });
    await expect(site.sessions.get(site.token)).resolves.toMatchObject({ data: { userId: "ada", cart: 1 } });
  });

  test.each(["/set", "/regenerate", "/sudo", "/login"])(
    "nothing is stored again by %s once it has ended, a login aside, and no data go on",
    async (path) => {
      for (const data of [{ userId: "ada" }, { user: { id: "ada" } }]) {
        await using site = await cached(version, data);
        await site.sessions.revoke(site.token);
        const browser = site.browser();
        browser.cookies.set("koa.sess", site.token);
        await browser.post(path, { late: 1 });
        const alive = await Array.fromAsync(site.sessions.all());
        expect(alive.map((session) => session.data)).toEqual(path === "/login" ? [{}] : []);
      }
    },
  );

  test("a save that takes the user away logs out", async () => {
    await using site = await cached(version, { userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("koa.sess", site.token);
    await browser.post("/forget");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    await expect(site.sessions.get(site.token)).resolves.toMatchObject({ userId: null, data: { cart: 1 } });
  });

  test.each(["/set", "/regenerate", "/sudo"])(
    "%s logs nobody in who has been logged out since, in a session that goes on",
    async (path) => {
      await using site = await cached(version, { userId: "ada" });
      const session = await site.sessions.get(site.token);
      await site.sessions.save(session!, { cart: 1 });
      const browser = site.browser();
      browser.cookies.set("koa.sess", site.token);
      expect((await browser.post(path, { late: 1 })).status).toBe(200);
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
      await expect(Array.fromAsync(site.sessions.all())).resolves.toMatchObject([{ data: { cart: 1 } }]);
    },
  );

  test("rotate gives a new key and leaves the old one dead", async () => {
    await using site = await cached(version, { userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("koa.sess", site.token);
    expect((await browser.post("/sudo")).text).toBe('"rotated"');
    expect(browser.cookies.get("koa.sess")).not.toBe(site.token);
    await expect(site.sessions.get(site.token)).resolves.toBeNull();
    await expect(site.sessions.get(browser.cookies.get("koa.sess"))).resolves.toMatchObject({
      data: { userId: "ada" },
    });
  });
});

test("a late save writes nothing where the tombstone has been forgotten, by what the request loaded alone", async () => {
  for (const version of versions) {
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
  }
});
