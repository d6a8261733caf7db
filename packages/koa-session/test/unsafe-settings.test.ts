import { randomBytes } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { memoryStore, Sessions } from "@tenure/core";
import type { WarningCode } from "@tenure/core/bridge";
import { hearWarnings } from "@tenure/store-wrappers/warnings";
import type { CreateSessionOptions } from "koa-session";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { koaSessionStore } from "../src/index.ts";
import { type Routes, serve } from "./site.ts";
import { versions } from "./versions.ts";

let warnings: string[];
beforeEach(() => {
  const heard = hearWarnings();
  warnings = heard.codes;
  return () => heard[Symbol.dispose]();
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const routes: Routes = {
  "/": (ctx) => {
    ctx.session.visits = 1;
  },
};

describe.each(versions)("with $name", (version) => {
  test("safe settings cause no warning", async () => {
    await using site = await serve(version, routes);
    await site.browser().get("/");
    await turn();
    expect(warnings).toEqual([]);
  });

  test.each<[string, CreateSessionOptions, WarningCode]>([
    ["a cookie that is not secure in production", {}, "TENURE_COOKIE_NOT_SECURE"],
    ["httpOnly: false", { httpOnly: false, secure: false }, "TENURE_COOKIE_NOT_HTTPONLY"],
    ['sameSite: "none" without secure', { sameSite: "none" }, "TENURE_COOKIE_SAMESITE_NONE"],
    ["a secure cookie without the prefix __Host-", { secure: true }, "TENURE_COOKIE_NAME"],
  ])("%s causes one warning, at the first request", async (_what, plugin, code) => {
    if (code === "TENURE_COOKIE_NOT_SECURE") vi.stubEnv("NODE_ENV", "production");
    await using site = await serve(version, routes, { plugin });
    site.app.proxy = true;
    const browser = site.browser();
    const headers = plugin.secure ? { "x-forwarded-proto": "https" } : {};
    await browser.get("/", headers);
    await turn();
    expect(warnings).toEqual([code]);
    await browser.get("/", headers);
    await turn();
    expect(warnings).toEqual([code]);
  });

  test("a short secret causes a warning", async () => {
    await using site = await serve(version, routes, { keys: ["some secret hurr"] });
    await site.browser().get("/");
    await turn();
    expect(warnings).toEqual(["TENURE_SECRET_SHORT"]);
  });

  test("the option silence suppresses a warning", async () => {
    await using site = await serve(version, routes, {
      plugin: { httpOnly: false },
      bridge: { silence: ["TENURE_COOKIE_NOT_HTTPONLY"] },
    });
    await site.browser().get("/");
    await turn();
    expect(warnings).toEqual([]);
  });

  test.each(["/", "/login"])(
    "a secure cookie that Koa does not send at %s, because it does not trust the proxy, causes one warning and a 500",
    async (path) => {
      await using site = await serve(
        version,
        { ...routes, "/login": (ctx, _body, store) => store.logIn(ctx, "ada"), "/health": () => "ok" },
        { plugin: { key: "__Host-id", secure: true } },
      );
      const emitted = vi.spyOn(process, "emitWarning");
      const browser = site.browser();
      await browser.get("/health");
      await turn();
      expect(warnings).toEqual([]);
      for (let request = 0; request < 2; request += 1) {
        expect((await browser.get(path, { "x-forwarded-proto": "https" })).status).toBe(500);
      }
      await turn();
      expect(warnings).toEqual(["TENURE_COOKIE_NOT_SENT"]);
      const [message] = emitted.mock.lastCall ?? [];
      expect(message).toContain('without TLS, use secureCookie(sessions, { secure: false, name: "id" })');
      expect(message).toContain("app.proxy = true");
    },
  );

  test("a maxAge longer than the idle timeout causes a warning", async () => {
    await using site = await serve(version, routes, { plugin: { maxAge: 86_400_000 } });
    await site.browser().get("/");
    await turn();
    expect(warnings).toEqual(["TENURE_MAX_AGE_CAPPED"]);
  });

  test.each<[string, CreateSessionOptions]>([
    ["koa-session's own UUIDs", {}],
    ["koa-session's own UUIDs with a prefix", { prefix: "a-long-prefix-that-adds-no-randomness:" }],
    ["random keys of the application", { genid: () => randomBytes(32).toString("base64url") }],
  ])("%s are a TypeError before anything is stored or a cookie is set", async (_what, plugin) => {
    await using site = await serve(version, routes, { plugin: (store) => ({ store, ...plugin }) });
    const errors: unknown[] = [];
    site.app.on("error", (error) => errors.push(error));
    const { status, setCookies } = await site.browser().get("/");
    expect({ status, setCookies }).toEqual({ status: 500, setCookies: [] });
    expect(String(errors[0])).toMatch(/^TypeError: .*pass genid: store\.genid/);
    await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
  });

  test("koaSessionStore throws an error that names the unknown or invalid option", () => {
    const sessions = new Sessions({ store: memoryStore() });
    for (const [options, message] of [
      [{ userId: () => 1 }, "Unknown option userId. Known options: silence, isUse"],
      [{ isUse: true }, "isUse must be a function"],
      [{ isUse: async () => false }, "not async"],
      [{ silence: ["TENURE_NONE"] }, "silence must be a list of codes"],
    ] as const) {
      expect(() => koaSessionStore(sessions, options as never)).toThrow(message);
    }
    expect(() => koaSessionStore({} as Sessions)).toThrow(TypeError);
  });

  test("genid throws an error that names what it needs without Koa's context", () => {
    const { genid } = koaSessionStore(new Sessions({ store: memoryStore() }));
    expect(() => genid(undefined as never)).toThrow("genid needs Koa's context");
  });

  test("the application may add a prefix to the keys of store.genid", async () => {
    await using site = await serve(version, routes, {
      plugin: (store) => ({ store, genid: (ctx: object) => `shop:${store.genid(ctx)}`, signed: false }),
    });
    const browser = site.browser();
    await browser.get("/");
    expect(browser.cookies.get("koa.sess")).toMatch(/^shop(?::|%3A)/);
    await turn();
    expect(warnings).toEqual([]);
  });
});
