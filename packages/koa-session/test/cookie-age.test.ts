import { setTimeout as sleep } from "node:timers/promises";
import type { Session } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { type Routes, serve } from "./site.ts";
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

describe.each(versions)("on $name", (version) => {
  test(
    "renew goes by the cookie's own end: page views in between don't put it off",
    { timeout: 300_000 },
    async () => {
      await expect(renewsAtHalf(version, 2000)).resolves.toBeUndefined();
    },
  );

  test("rolling sets the cookie with every response and stores no end of it", async () => {
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

  test("with rolling a session lives on past the end of the cookie that it began with", async () => {
    await using site = await serve(version, routes, {
      plugin: (store) => ({ store, genid: store.genid, rolling: true, maxAge: 60_000 }),
    });
    const browser = site.browser();
    await browser.post("/login");
    const [stored] = await site.sessions.listForUser("ada");
    // As it is stored by an application that was not rolling.
    await site.sessions.save(stored as Session, { ...stored?.data, _expire: Date.now() - 1000 });
    expect(JSON.parse((await browser.get("/")).text)).toEqual({ userId: "ada" });
  });

  test('maxAge: "session" stays so, also when one request saves twice', async () => {
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

  test("without a maxAge the idle timeout is the policy's, not koa-session's day", async () => {
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

  test("ctx.session.maxAge lasts, and so does going back", async () => {
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
    "a maxAge of %s is none: the policy's idle timeout, and page views write nothing",
    async (maxAge) => {
      await using site = await serve(version, {
        ...routes,
        "/none": (ctx) => {
          ctx.session.maxAge = maxAge;
        },
      });
      const browser = site.browser();
      await browser.post("/login");
      await browser.post("/max-age", { maxAge: 60_000 });
      expect((await browser.post("/none")).status).toBe(200);
      const { idleTimeout } = site.sessions.policy;
      await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([
        { idle: idleTimeout, data: { userId: "ada" } },
      ]);
      site.calls.length = 0;
      await browser.post("/none");
      await browser.get("/");
      expect(site.calls).toEqual(["read", "read"]);
    },
  );

  test("remember me: a login's own idle timeout is the cookie's maxAge, and ends with the next login without one", async () => {
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

  test("with renew, page views move the end of the cookie of a remembered login, and of no other", async () => {
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

  test("a maxAge above the policy's idle timeout does not lengthen it", async () => {
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
    expect(JSON.parse((await thief.get("/")).text)).toEqual({});
    await expect(site.sessions.listForUser("ada")).resolves.toEqual([]);
  });

  test("a session that another part of the application made loads, and a page view writes nothing to it", async () => {
    await using site = await serve(version, routes, {
      plugin: (store) => ({ store, genid: store.genid, rolling: true, maxAge: 60_000, signed: false }),
    });
    const { token } = await site.sessions.create({ userId: "ada" });
    const browser = site.browser();
    browser.cookies.set("koa.sess", token);
    site.calls.length = 0;
    for (let view = 0; view < 2; view += 1) {
      expect(JSON.parse((await browser.get("/")).text)).toEqual({ userId: "ada" });
    }
    expect(site.calls).toEqual(["read", "read"]);
  });
});

/** @param maxAge milliseconds; longer where the machine is slow */
async function renewsAtHalf(version: Version, maxAge: number): Promise<void> {
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
    const askedAt = Date.now();
    const { setCookies, text } = await browser.get("/");
    if (Date.now() - startedAt > maxAge * 0.9) return renewsAtHalf(version, maxAge * 3);
    expect(JSON.parse(text)).toEqual({ userId: "ada" });
    if (setCookies.length > 0) renewedAt = askedAt;
  }
  expect(renewedAt + maxAge / 20 - startedAt).toBeGreaterThanOrEqual(maxAge / 2);
  // The new end was stored.
  const { setCookies } = await browser.get("/");
  if (Date.now() - renewedAt > maxAge / 2) return renewsAtHalf(version, maxAge * 3);
  expect(setCookies).toEqual([]);
  return undefined;
}

function expiryOf([setCookie = ""]: readonly string[]): number {
  return Date.parse(/expires=([^;]+)/i.exec(setCookie)?.[1] ?? "");
}
