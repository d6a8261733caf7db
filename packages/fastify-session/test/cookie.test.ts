import { describe, expect, test, vi } from "vitest";
import { freezeTime } from "./frozen-time.ts";
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

/** Values that applications use for no maxAge. The current time plus Infinity is not a date. */
const NO_MAX_AGE = [null, false, undefined, Number.NaN, Number.POSITIVE_INFINITY] as const;

describe.each(versions)("on $name", (version) => {
  test("a changed cookie.maxAge is saved", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.get("/")).setCookies[0]).not.toMatch(/expires/i);
    await browser.get("/remember");
    expect((await browser.get("/")).setCookies[0]).toMatch(/expires/i);
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle: 60_000 }]);
  });

  test("a cookie.expires in the plugin's options that has passed ends no session with a maxAge", async () => {
    const cookie = { secure: false, maxAge: 60_000, expires: new Date(Date.now() - 1000) };
    await using site = await serve(version, routes, { plugin: { cookie } });
    const browser = site.browser();
    await browser.post("/login");
    for (let visits = 0; visits < 2; visits += 1) {
      expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
    }
  });

  describe.each(NO_MAX_AGE)("cookie.maxAge = %s", (noMaxAge) => {
    const removing: Routes = {
      ...routes,
      "/remove": (request) => {
        Object.assign(request.session.cookie, { maxAge: noMaxAge });
      },
    };

    test.each([undefined, 60_000])(
      "restores the policy's idle timeout and a cookie without expires, if the plugin's maxAge is %s",
      async (maxAge) => {
        const plugin = { cookie: { secure: false, ...(maxAge === undefined ? {} : { maxAge }) } };
        await using site = await serve(version, removing, { plugin });
        const browser = site.browser();
        await browser.post("/login");
        await browser.get("/remember");
        for (const path of ["/remove", "/", "/"]) {
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

    test("changes nothing at or after a login if there was no maxAge", async () => {
      await using site = await serve(version, {
        ...removing,
        "/login": async (request) => {
          await request.session.regenerate();
          Object.assign(request.session.cookie, { maxAge: noMaxAge });
          dataOf(request)["userId"] = "ada";
        },
        "/first": (request) => {
          Object.assign(request.session.cookie, { maxAge: noMaxAge });
          dataOf(request)["cart"] = 1;
        },
      });
      const browser = site.browser();
      await browser.post("/first");
      expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ cart: 1 });
      await browser.post("/login");
      for (const path of ["/", "/remove", "/"]) {
        const { status, text, setCookies } = await browser.get(path);
        expect({ status, text }).toMatchObject({ status: 200 });
        expect(setCookies[0]).not.toMatch(/expires|max-age/i);
      }
      expect(JSON.parse((await browser.get("/")).text)).toMatchObject({ userId: "ada" });
    });
  });

  test("an invalid date in cookie.expires counts as none", async () => {
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
    ["now", () => new Date()],
    ["a minute ago", () => new Date(Date.now() - 60_000)],
    ["the epoch", () => new Date(0)],
  ])("cookie.expires = %s is a logout, with and without maxAge and rolling", async (_name, end) => {
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
  });

  test("a request that takes longer than its cookie's maxAge is not a logout, and its login sets a cookie that has not expired", async () => {
    freezeTime();
    await using site = await serve(
      version,
      {
        ...routes,
        "/slow": (request) => {
          vi.advanceTimersByTime(60_000);
          dataOf(request)["a"] = 1;
        },
        "/slow-login": async (request, store) => {
          vi.advanceTimersByTime(60_000);
          await store.logIn(request, "ada");
        },
      },
      { plugin: { cookie: { secure: false, maxAge: 50_000 } } },
    );
    await site.browser().get("/slow");
    expect(site.calls).toContain("create");
    const { setCookies } = await site.browser().get("/slow-login");
    const expires = /expires=([^;]+)/i.exec(setCookies.at(-1) ?? "")?.[1] ?? "";
    // The header has whole seconds.
    expect(Date.parse(expires)).toBe(Math.floor((Date.now() + 50_000) / 1000) * 1000);
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

  test("a session ends at the date that the application sets as cookie.expires", async () => {
    freezeTime();
    await using site = await serve(version, {
      ...routes,
      "/until": (request) => {
        request.session.cookie.expires = new Date(Date.now() + 60_000);
      },
    });
    const browser = site.browser();
    await browser.post("/login");
    const copy = browser.twin();
    await browser.get("/until");
    vi.advanceTimersByTime(61_000);
    // The request that finds the session expired continues with a new one.
    await copy.post("/set", { cart: 1 });
    const found = JSON.parse((await copy.get("/")).text) as object;
    expect(found).toMatchObject({ cart: 1 });
    expect(found).not.toHaveProperty("userId");
    await expect(site.sessions.revokeAllForUser("ada")).resolves.toBe(0);
  });

  test("a session ends even if a request runs past the date in cookie.expires, or the date has passed when it is set", async () => {
    freezeTime();
    await using site = await serve(version, {
      ...routes,
      "/until": (request) => {
        request.session.cookie.expires = new Date(Date.now() + 60_000);
      },
      "/slow": (request) => {
        vi.advanceTimersByTime(61_000);
        dataOf(request)["late"] = 1;
      },
      "/expired": (request) => {
        request.session.cookie.expires = new Date(0);
      },
    });
    const browser = site.browser();
    for (const paths of [["/until", "/slow"], ["/expired"]]) {
      await browser.post("/login");
      const copy = browser.twin();
      for (const path of paths) await copy.twin().get(path);
      expect(JSON.parse((await copy.get("/")).text)).not.toHaveProperty("userId");
    }
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test.runIf(version.hasOptions)("settings changed by request.session.options are saved", async () => {
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
