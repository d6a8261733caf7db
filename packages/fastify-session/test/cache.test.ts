import { describe, expect, test } from "vitest";
import type { FastifySessionStore } from "../src/index.ts";
import { dataOf, type Routes, SECRET, serve, type Site, type SiteOptions } from "./site.ts";
import { type Version, versions } from "./versions.ts";

const routes: Routes = {
  "/": dataOf,
  "/set": (request) => {
    dataOf(request)["a"] = 1;
  },
  "/save": async (request) => {
    dataOf(request)["a"] = 1;
    await request.session.save();
  },
  "/user": async (request, store) => {
    const userOf = (): string | null => {
      try {
        return store.userOf(request);
      } catch (error) {
        return (error as Error).name;
      }
    };
    const before = userOf();
    await request.session.save();
    return [before, userOf()];
  },
  "/forget": (request) => {
    delete dataOf(request)["userId"];
    dataOf(request)["a"] = 1;
  },
  "/carry": async (request) => {
    const { userId } = dataOf(request);
    await request.session.regenerate();
    dataOf(request)["userId"] = userId;
  },
  "/logIn": (request, store) => store.logIn(request, "ada"),
  "/rotate": (request, store) => store.rotate(request),
  "/destroy": (request) => request.session.destroy(),
};

/** A store in front that gives the framework a copy of a session, whether or not it asks the store. */
const caches: Readonly<Record<string, (store: FastifySessionStore) => FastifySessionStore>> = {
  "answers by itself": (store) => ({ ...store, get: (_token, done) => done(null, { userId: "ada" }) }),
  "asks the store first": (store) => ({
    ...store,
    get: (token, done) => store.get(token, () => done(null, { userId: "ada" })),
  }),
};

async function serveBehind(cache: string, version: Version, options: SiteOptions = {}): Promise<Site> {
  return serve(version, routes, { wrap: caches[cache]!, ...options });
}

async function browserOf(site: Site, { cookie }: Version, data: Record<string, unknown>) {
  const { token, session } = await site.sessions.create(data);
  const browser = site.browser();
  browser.cookies.set("sessionId", encodeURIComponent(new cookie.Signer(SECRET).sign(token)));
  return { browser, token, session };
}

describe.each(versions)("on $name", (version) => {
  describe.each(Object.keys(caches))("with a cache that %s", (cache) => {
    test("nothing that a request does brings back a session that ended", async () => {
      await using site = await serveBehind(cache, version);
      for (const path of ["/set", "/save", "/carry", "/rotate"]) {
        const { browser, token } = await browserOf(site, version, { userId: "ada" });
        await site.sessions.revoke(token);
        expect((await browser.get(path)).status).toBe(200);
        await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
      }
    });

    test("a save changes the session that is alive, and deletes nothing that the cache did not have", async () => {
      await using site = await serveBehind(cache, version);
      for (const path of ["/set", "/save"]) {
        const { browser, token } = await browserOf(site, version, { userId: "ada", other: 1 });
        await browser.get(path);
        await expect(site.sessions.get(token)).resolves.toMatchObject({
          data: { userId: "ada", other: 1, a: 1 },
        });
      }
    });

    test("nothing logs in a user who has been logged out since, in a session that goes on", async () => {
      await using site = await serveBehind(cache, version);
      for (const path of ["/set", "/save", "/carry", "/rotate"]) {
        const { browser, token } = await browserOf(site, version, { userId: "ada" });
        const session = await site.sessions.get(token);
        await site.sessions.save(session!, { cart: 1 });
        expect((await browser.get(path)).status).toBe(200);
        await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
        await expect(site.sessions.get(token)).resolves.toMatchObject({ data: { cart: 1 } });
      }
    });

    test("userOf is a TypeError until the request has saved", async () => {
      await using site = await serveBehind(cache, version);
      const { browser } = await browserOf(site, version, { userId: "ada" });
      expect(JSON.parse((await browser.get("/user")).text)).toEqual(["TypeError", "ada"]);
    });

    test("a save that takes the user away logs out", async () => {
      await using site = await serveBehind(cache, version);
      const { browser, token } = await browserOf(site, version, { userId: "ada" });
      await browser.get("/forget");
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
      await expect(site.sessions.get(token)).resolves.toMatchObject({ userId: null, data: { a: 1 } });
    });

    test.each(["/carry", "/logIn", "/rotate", "/destroy"])("%s leaves the old token dead", async (path) => {
      await using site = await serveBehind(cache, version);
      const { browser, token, session } = await browserOf(site, version, { userId: "ada" });
      expect((await browser.get(path)).status).toBe(200);
      await expect(site.sessions.get(token)).resolves.toBeNull();
      const ids = (await site.sessions.listForUser("ada")).map(({ id }) => id);
      expect(ids).toEqual(path === "/destroy" ? [] : [session.id]);
    });
  });

  test("a store in front sees the calls of every Session", async () => {
    const seen: string[] = [];
    await using site = await serve(version, routes, {
      wrap: (store) => ({
        ...store,
        set(token, session, done) {
          seen.push("set");
          store.set(token, session, done);
        },
        destroy(token, done) {
          seen.push("destroy");
          store.destroy(token, done);
        },
      }),
    });
    const browser = site.browser();
    await browser.get("/save");
    seen.length = 0;
    await browser.get("/save");
    expect(seen).toContain("set");
    await browser.get("/destroy");
    expect(seen).toContain("destroy");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });
});
