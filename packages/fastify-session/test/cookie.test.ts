import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { dataOf, type Routes, serve } from "./site.ts";
import { versions } from "./versions.ts";

const routes: Routes = {
  "/": dataOf,
  "/set": (request) => {
    Object.assign(dataOf(request), request.body);
  },
  "/login": async (request) => {
    await request.session.regenerate();
    dataOf(request)["userId"] = "ada";
  },
  "/remember": (request) => {
    request.session.cookie.maxAge = 60_000;
  },
};

/** What applications write for no maxAge. Infinity, added to the present, is not a date. */
const NONE = [null, false, undefined, Number.NaN, Number.POSITIVE_INFINITY] as const;

describe.each(versions)("on $name", (version) => {
  test("a changed cookie.maxAge lasts", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.get("/")).setCookies[0]).not.toMatch(/expires/i);
    await browser.get("/remember");
    expect((await browser.get("/")).setCookies[0]).toMatch(/expires/i);
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle: 60_000 }]);
  });

  test("an expires among the plugin's options, which has passed since the server started, ends no session that has a maxAge", async () => {
    const cookie = { secure: false, maxAge: 60_000, expires: new Date(Date.now() - 1000) };
    await using site = await serve(version, routes, { plugin: { cookie } });
    const browser = site.browser();
    await browser.post("/login");
    for (let visits = 0; visits < 2; visits += 1) {
      expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
    }
  });

  describe.each(NONE)("cookie.maxAge = %s", (none) => {
    const forgetting: Routes = {
      ...routes,
      "/forget": (request) => {
        Object.assign(request.session.cookie, { maxAge: none });
      },
    };

    test.each([undefined, 60_000])(
      "goes back to the policy's idle timeout and a cookie until the browser closes, from the application's maxAge and the plugin's %s",
      async (maxAge) => {
        const plugin = { cookie: { secure: false, ...(maxAge === undefined ? {} : { maxAge }) } };
        await using site = await serve(version, forgetting, { plugin });
        const browser = site.browser();
        await browser.post("/login");
        await browser.get("/remember");
        for (const path of ["/forget", "/", "/"]) {
          const { status, setCookies } = await browser.get(path);
          expect(status).toBe(200);
          expect(setCookies).toHaveLength(1);
          expect(setCookies[0]).not.toMatch(/expires|max-age/i);
        }
        const { idleTimeout } = site.sessions.policy;
        await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle: idleTimeout }]);
        expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
      },
    );

    test("changes nothing where there was none, at a login and later", async () => {
      await using site = await serve(version, {
        ...forgetting,
        "/login": async (request) => {
          await request.session.regenerate();
          Object.assign(request.session.cookie, { maxAge: none });
          dataOf(request)["userId"] = "ada";
        },
        "/first": (request) => {
          Object.assign(request.session.cookie, { maxAge: none });
          dataOf(request)["cart"] = 1;
        },
      });
      const browser = site.browser();
      await browser.post("/first");
      expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ cart: 1 });
      await browser.post("/login");
      for (const path of ["/", "/forget", "/"]) {
        const { status, text, setCookies } = await browser.get(path);
        expect({ status, text }).toMatchObject({ status: 200 });
        expect(setCookies[0]).not.toMatch(/expires|max-age/i);
      }
      expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
    });
  });

  test("a cookie.expires that is not a date is none", async () => {
    await using site = await serve(version, {
      ...routes,
      "/until": (request) => {
        request.session.cookie.expires = new Date("the day after tomorrow");
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.get("/until")).status).toBe(200);
    expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
  });

  test.each([
    ["the present", () => new Date()],
    ["a minute ago", () => new Date(Date.now() - 60_000)],
    ["the beginning of time", () => new Date(0)],
  ])(
    "cookie.expires = %s is a logout, with and without a maxAge, rolling, and a save",
    async (_name, end) => {
      for (const rolling of [true, false]) {
        for (const cookie of [{ secure: false }, { secure: false, maxAge: 60_000 }]) {
          await using site = await serve(
            version,
            {
              ...routes,
              "/logout": (request) => {
                request.session.cookie.expires = end();
                return request.session.save();
              },
            },
            { plugin: { rolling, cookie } },
          );
          const browser = site.browser();
          await browser.post("/login");
          const copy = browser.twin();
          expect((await browser.post("/logout")).status).toBe(200);
          expect(JSON.parse((await copy.get("/")).text)).not.toHaveProperty("userId");
          await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
        }
      }
    },
  );

  test("a request that takes longer than its cookie's maxAge is not a logout, and its login sends a cookie that lasts", async () => {
    await using site = await serve(
      version,
      {
        ...routes,
        "/slow": async (request) => {
          await sleep(60);
          dataOf(request)["a"] = 1;
        },
        "/slow-login": async (request, store) => {
          await sleep(60);
          await store.logIn(request, "ada");
        },
      },
      { plugin: { cookie: { secure: false, maxAge: 50 } } },
    );
    await site.browser().get("/slow");
    expect(site.calls).toContain("create");
    const begin = Date.now();
    const { setCookies } = await site.browser().get("/slow-login");
    const expires = /expires=([^;]+)/i.exec(setCookies.at(-1) ?? "")?.[1] ?? "";
    // The header has whole seconds.
    expect(Date.parse(expires)).toBeGreaterThanOrEqual(Math.floor((begin + 110) / 1000) * 1000);
    expect(site.calls).not.toContain("revoke");
  });

  test("a maxAge of 0 ends the session", async () => {
    await using site = await serve(version, {
      ...routes,
      "/over": (request) => {
        request.session.cookie.maxAge = 0;
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const thief = browser.twin();
    await browser.get("/over");
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
    expect(JSON.parse((await thief.get("/")).text)).not.toHaveProperty("userId");
  });

  test("a date that the application sets as cookie.expires ends the session", async () => {
    await using site = await serve(version, {
      ...routes,
      "/until": (request) => {
        request.session.cookie.expires = new Date(Date.now() + 300);
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const copy = browser.twin();
    await browser.get("/until");
    await sleep(310);
    // The request that finds it over goes on with a new one.
    await copy.post("/set", { cart: 1 });
    const found = JSON.parse((await copy.get("/")).text) as object;
    expect(found).toMatchObject({ cart: 1 });
    expect(found).not.toHaveProperty("userId");
    await expect(site.sessions.revokeAllForUser("ada")).resolves.toBe(0);
  });

  test("it ends also where a request that began before the date ends after it, or the date has passed when it is set", async () => {
    await using site = await serve(version, {
      ...routes,
      "/until": (request) => {
        request.session.cookie.expires = new Date(Date.now() + 300);
      },
      "/slow": async (request) => {
        await sleep(310);
        dataOf(request)["late"] = 1;
      },
      "/long-ago": (request) => {
        request.session.cookie.expires = new Date(0);
      },
    });
    const browser = site.browser();
    for (const paths of [["/until", "/slow"], ["/long-ago"]]) {
      await browser.post("/login");
      const copy = browser.twin();
      for (const path of paths) await copy.twin().get(path);
      expect(JSON.parse((await copy.get("/")).text)).not.toHaveProperty("userId");
    }
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test.runIf(version.hasOptions)("request.session.options lasts", async () => {
    await using site = await serve(version, {
      ...routes,
      "/options": (request) => {
        request.session.options({ maxAge: 60_000, path: "/" });
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    await browser.get("/options");
    expect((await browser.get("/")).setCookies[0]).toMatch(/expires/i);
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle: 60_000 }]);
  });
});
