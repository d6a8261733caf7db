import { setTimeout as sleep } from "node:timers/promises";
import type { Session } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { json, type Routes, serve } from "./site.ts";
import { type Version, versions } from "./versions.ts";

const routes: Routes = {
  "/": (ctx) => ctx.session.toJSON(),
  "/login": async (ctx) => {
    await ctx.session.regenerate();
    ctx.session.userId = "ada";
  },
  "/max-age": async (ctx, { maxAge }) => {
    ctx.session.maxAge = maxAge;
  },
};

describe.each(versions)("with $name", (version) => {
  test(
    "renew sets the cookie again after half of its maxAge, even if pages are viewed before that",
    { timeout: 300_000 },
    async () => {
      await expect(assertRenewedAtHalf(version, 2000)).resolves.toBeUndefined();
    },
  );

  test("rolling sets the cookie with every response and does not store its expiry", async () => {
    await using site = await serve(version, routes, {
      plugin: (store) => ({ store, genid: store.genid, rolling: true, maxAge: 60_000 }),
    });
    const browser = site.browser();
    await browser.post("/login");
    for (let view = 0; view < 2; view += 1) {
      expect((await browser.get("/")).setCookies[0]).toMatch(/expires=/i);
    }
    const [stored] = await site.sessions.listForUser("ada");
    expect(stored?.data).toEqual({ userId: "ada", _maxAge: 60_000 });
  });

  test("with rolling, a session outlives an expiry that was stored before", async () => {
    await using site = await serve(version, routes, {
      plugin: (store) => ({ store, genid: store.genid, rolling: true, maxAge: 60_000 }),
    });
    const browser = site.browser();
    await browser.post("/login");
    const [stored] = await site.sessions.listForUser("ada");
    // As an application without rolling stores it.
    await site.sessions.save(stored as Session, { ...stored?.data, _expire: Date.now() - 1000 });
    expect(await json(browser.get("/"))).toEqual({ userId: "ada" });
  });

  test('maxAge: "session" is kept even if one request saves or regenerates twice', async () => {
    await using site = await serve(
      version,
      {
        ...routes,
        "/twice": async (ctx) => {
          ctx.session.a = 1;
          await ctx.session.save();
          ctx.session.b = 2;
        },
        "/regenerate-twice": async (ctx) => {
          await ctx.session.regenerate();
          await ctx.session.regenerate();
        },
      },
      { plugin: (store) => ({ store, genid: store.genid, maxAge: "session" }) },
    );
    const browser = site.browser();
    await browser.post("/login");
    for (const path of ["/twice", "/regenerate-twice", "/twice"]) {
      for (const line of (await browser.post(path)).setCookies.filter((cookie) => !/=;/.test(cookie))) {
        expect(line).not.toMatch(/expires=/i);
      }
      const [stored] = await site.sessions.listForUser("ada");
      expect(stored?.data).toMatchObject({ userId: "ada", _session: true });
      expect(stored?.data).not.toHaveProperty("_maxAge");
      expect(stored?.idle).toBe(site.sessions.policy.idleTimeout);
    }
  });

  test("without a maxAge, the idle timeout is the policy's, not koa-session's default of a day", async () => {
    await using site = await serve(version, routes, {
      sessions: { lifetime: "30d" },
    });
    const browser = site.browser();
    await browser.post("/login");
    await browser.post("/max-age", { maxAge: null });
    const [stored] = await site.sessions.listForUser("ada");
    expect(stored?.idle).toBe(site.sessions.policy.idleTimeout);
    expect(stored?.data).toEqual({ userId: "ada" });
  });

  test('ctx.session.maxAge sets the idle timeout of the session, and "session" restores that of the policy', async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    await browser.post("/login");
    await browser.post("/max-age", { maxAge: 60_000 });
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([{ idle: 60_000 }]);
    await browser.post("/max-age", { maxAge: "session" });
    const { idleTimeout } = site.sessions.policy;
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([
      { idle: idleTimeout, data: { _session: true } },
    ]);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])(
    "a maxAge of %s restores the policy's idle timeout, and later page views write nothing",
    async (maxAge) => {
      await using site = await serve(version, {
        ...routes,
        "/no-max-age": (ctx) => {
          ctx.session.maxAge = maxAge;
        },
      });
      const browser = site.browser();
      await browser.post("/login");
      await browser.post("/max-age", { maxAge: 60_000 });
      expect((await browser.post("/no-max-age")).status).toBe(200);
      const { idleTimeout } = site.sessions.policy;
      await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([
        { idle: idleTimeout, data: { userId: "ada" } },
      ]);
      site.calls.length = 0;
      await browser.post("/no-max-age");
      await browser.get("/");
      expect(site.calls).toEqual(["read", "read"]);
    },
  );

  test("the idle timeout that logIn gives is also the maxAge of the cookie, until a login gives none", async () => {
    await using site = await serve(
      version,
      {
        ...routes,
        "/remember": (ctx, _body, store) => store.logIn(ctx, "ada", { idle: "7d", lifetime: "30d" }),
        "/log-in": (ctx, _body, store) => store.logIn(ctx, "ada"),
      },
      { sessions: { maxIdleTimeout: "7d", maxLifetime: "30d" } },
    );
    const browser = site.browser();
    const { setCookies } = await browser.post("/remember");
    const expires = expiryOf(setCookies);
    expect(Math.abs(expires - Date.now() - 7 * 86_400_000)).toBeLessThan(60_000);
    for (let view = 0; view < 2; view += 1) {
      await browser.get("/");
      const [stored] = await site.sessions.listForUser("ada");
      expect(stored?.idle).toBe(7 * 86_400_000);
      expect((stored?.endsAt ?? 0) - (stored?.createdAt ?? 0)).toBeGreaterThan(29 * 86_400_000);
    }
    const again = await browser.post("/log-in");
    expect(again.setCookies[0]).not.toMatch(/expires=/i);
    const [stored] = await site.sessions.listForUser("ada");
    expect(stored?.idle).toBe(site.sessions.policy.idleTimeout);
    expect(stored?.data).not.toHaveProperty("_maxAge");
  });

  test("with renew, page views extend the cookie of a login that gave an idle timeout, and no other cookie", async () => {
    await using site = await serve(
      version,
      { ...routes, "/log-in": (ctx, body, store) => store.logIn(ctx, "ada", body) },
      {
        sessions: { maxIdleTimeout: "7d", maxLifetime: "30d" },
        plugin: (store) => ({ store, genid: store.genid, maxAge: "session", renew: true }),
      },
    );
    for (const options of [{ idle: "7d", lifetime: "30d" }, {}]) {
      const browser = site.browser();
      await browser.post("/log-in", options);
      expect((await browser.get("/")).setCookies).toEqual([]);
      const [stored] = (await site.sessions.listForUser("ada")).slice(-1);
      if (options.idle) {
        const soon = Date.now() + 3 * 86_400_000;
        await site.sessions.save(stored as Session, { ...stored?.data, _expire: soon });
        expect(expiryOf((await browser.get("/")).setCookies)).toBeGreaterThan(soon + 3 * 86_400_000);
      }
      expect((await browser.get("/")).setCookies).toEqual([]);
    }
  });

  test("a maxAge longer than the policy's idle timeout does not lengthen it", async () => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    await browser.post("/login");
    await browser.post("/max-age", { maxAge: 7 * 86_400_000 });
    const [stored] = await site.sessions.listForUser("ada");
    expect(stored?.idle).toBe(site.sessions.policy.idleTimeout);
  });

  test.each([0, -1000])("a maxAge of %i ends the session", async (maxAge) => {
    await using site = await serve(version, routes);
    const browser = site.browser();
    await browser.post("/login");
    const thief = browser.twin();
    await browser.post("/max-age", { maxAge });
    expect(await json(thief.get("/"))).toEqual({});
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("a session that sessions.create made can be loaded, and page views do not write to it", async () => {
    await using site = await serve(version, routes, {
      plugin: (store) => ({ store, genid: store.genid, rolling: true, maxAge: 60_000, signed: false }),
    });
    const { token } = await site.sessions.create({ userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("koa.sess", token);
    site.calls.length = 0;
    for (let view = 0; view < 2; view += 1) {
      expect(await json(browser.get("/"))).toEqual({ userId: "ada" });
    }
    expect(site.calls).toEqual(["read", "read"]);
  });
});

/** @param maxAge milliseconds, tripled if the machine was too slow to show anything */
async function assertRenewedAtHalf(version: Version, maxAge: number): Promise<void> {
  await using site = await serve(version, routes, {
    sessions: { touchEvery: 1 },
    plugin: (store) => ({ store, genid: store.genid, renew: true, maxAge }),
  });
  const browser = site.browser();
  const startedAt = Date.now();
  await browser.post("/login");
  let renewedAt = 0;
  while (renewedAt === 0) {
    await sleep(maxAge / 20);
    const requestedAt = Date.now();
    const { setCookies, text } = await browser.get("/");
    const respondedAt = Date.now();
    if (respondedAt - startedAt > maxAge * 0.9) return assertRenewedAtHalf(version, maxAge * 3);
    expect(JSON.parse(text)).toEqual({ userId: "ada" });
    if (setCookies.length === 0) continue;
    expect(respondedAt - startedAt).toBeGreaterThanOrEqual(maxAge / 2);
    renewedAt = requestedAt;
  }
  // The new end was stored.
  const { setCookies } = await browser.get("/");
  if (Date.now() - renewedAt > maxAge / 2) return assertRenewedAtHalf(version, maxAge * 3);
  expect(setCookies).toEqual([]);
}

function expiryOf([setCookie = ""]: readonly string[]): number {
  return Date.parse(/expires=([^;]+)/i.exec(setCookie)?.[1] ?? "");
}
