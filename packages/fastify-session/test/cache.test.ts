import { describe, expect, test } from "vitest";
import type { FastifySessionStore } from "../src/index.ts";
import { dataOf, type Routes, serve, type Site } from "./site.ts";
import { versions } from "./versions.ts";

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

/** Caches in front of the store. Each gives the framework a copy of a session. */
const caches: Readonly<Record<string, (store: FastifySessionStore) => FastifySessionStore>> = {
  "does not call the store": (store) => ({ ...store, get: (_token, done) => done(null, { userId: "ada" }) }),
  "calls the store first": (store) => ({
    ...store,
    get: (token, done) => store.get(token, () => done(null, { userId: "ada" })),
  }),
};

async function browserWithSession(site: Site, data: Record<string, unknown>) {
  const { token, session } = await site.sessions.create(data);
  return { browser: site.browser(token), token, session };
}

describe.each(versions)("on $name", (version) => {
  describe.each(Object.keys(caches))("with a cache that %s", (cache) => {
    test("no request brings an ended session back", async () => {
      await using site = await serve(version, routes, { wrap: caches[cache]! });
      for (const path of ["/set", "/save", "/carry", "/rotate"]) {
        const { browser, token } = await browserWithSession(site, { userId: "ada" });
        await site.sessions.revoke(token);
        expect((await browser.get(path)).status).toBe(200);
        await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
      }
    });

    test("a save changes the live session, and deletes no key that the cache does not have", async () => {
      await using site = await serve(version, routes, { wrap: caches[cache]! });
      for (const path of ["/set", "/save"]) {
        const { browser, token } = await browserWithSession(site, { userId: "ada", other: 1 });
        await browser.get(path);
        await expect(site.sessions.get(token)).resolves.toMatchObject({
          data: { userId: "ada", other: 1, a: 1 },
        });
      }
    });

    test("no request logs in a user of the cached copy who has been logged out of the session since", async () => {
      await using site = await serve(version, routes, { wrap: caches[cache]! });
      for (const path of ["/set", "/save", "/carry", "/rotate"]) {
        const { browser, token } = await browserWithSession(site, { userId: "ada" });
        const session = await site.sessions.get(token);
        await site.sessions.save(session!, { cart: 1 });
        expect((await browser.get(path)).status).toBe(200);
        await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
        await expect(site.sessions.get(token)).resolves.toMatchObject({ data: { cart: 1 } });
      }
    });

    test("userOf throws a TypeError until the request has saved", async () => {
      await using site = await serve(version, routes, { wrap: caches[cache]! });
      const { browser } = await browserWithSession(site, { userId: "ada" });
      expect(JSON.parse((await browser.get("/user")).text)).toEqual(["TypeError", "ada"]);
    });

    test("a save that removes the user logs the user out", async () => {
      await using site = await serve(version, routes, { wrap: caches[cache]! });
      const { browser, token } = await browserWithSession(site, { userId: "ada" });
      await browser.get("/forget");
      await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
      await expect(site.sessions.get(token)).resolves.toMatchObject({ userId: null, data: { a: 1 } });
    });

    test.each(["/carry", "/logIn", "/rotate", "/destroy"])(
      "after %s, the old token opens nothing",
      async (path) => {
        await using site = await serve(version, routes, { wrap: caches[cache]! });
        const { browser, token, session } = await browserWithSession(site, { userId: "ada" });
        expect((await browser.get(path)).status).toBe(200);
        await expect(site.sessions.get(token)).resolves.toBeNull();
        const ids = (await site.sessions.listForUser("ada")).map(({ id }) => id);
        expect(ids).toEqual(path === "/destroy" ? [] : [session.id]);
      },
    );
  });

  test("a store in front of the bridge receives the calls of every Session", async () => {
    const calls: string[] = [];
    await using site = await serve(version, routes, {
      wrap: (store) => ({
        ...store,
        set(token, session, done) {
          calls.push("set");
          store.set(token, session, done);
        },
        destroy(token, done) {
          calls.push("destroy");
          store.destroy(token, done);
        },
      }),
    });
    const browser = site.browser();
    await browser.get("/save");
    calls.length = 0;
    await browser.get("/save");
    expect(calls).toContain("set");
    await browser.get("/destroy");
    expect(calls).toContain("destroy");
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });
});
