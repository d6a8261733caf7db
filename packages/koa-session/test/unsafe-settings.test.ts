import { setImmediate as turn } from "node:timers/promises";
import type { WarningCode } from "@tenure/core/bridge";
import type { CreateSessionOptions } from "koa-session";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Routes, serve } from "./site.ts";
import { versions } from "./versions.ts";

const warnings: string[] = [];
const note = (warning: Error & { code?: string }): void => {
  if (warning.name === "TenureWarning") warnings.push(warning.code ?? "");
};
beforeEach(() => {
  warnings.length = 0;
  process.on("warning", note);
});
afterEach(() => {
  process.off("warning", note);
  vi.unstubAllEnvs();
});

const routes: Routes = {
  "/": (ctx) => {
    ctx.session.visits = 1;
  },
};

describe.each(versions)("on $name", (version) => {
  test("nothing is warned of where settings are safe", async () => {
    await using site = await serve(version, routes);
    await site.browser().get("/");
    await turn();
    expect(warnings).toEqual([]);
  });

  test.each<[string, CreateSessionOptions, WarningCode]>([
    ["no secure in production", {}, "TENURE_COOKIE_NOT_SECURE"],
    ["httpOnly off", { httpOnly: false, secure: false }, "TENURE_COOKIE_NOT_HTTPONLY"],
    ["SameSite none without secure", { sameSite: "none" }, "TENURE_COOKIE_SAMESITE_NONE"],
    ["a name that could have the prefix __Host-", { secure: true }, "TENURE_COOKIE_NAME"],
  ])("%s is warned of once, at the first request", async (_what, plugin, code) => {
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

  test("short secrets and those from tutorials are warned of", async () => {
    await using site = await serve(version, routes, { keys: ["some secret hurr"] });
    await site.browser().get("/");
    await turn();
    expect(warnings).toEqual(["TENURE_SECRET_SHORT", "TENURE_SECRET_WELL_KNOWN"]);
  });

  test("a warning can be silenced", async () => {
    await using site = await serve(version, routes, {
      plugin: { httpOnly: false },
      bridge: { silence: ["TENURE_COOKIE_NOT_HTTPONLY"] },
    });
    await site.browser().get("/");
    await turn();
    expect(warnings).toEqual([]);
  });

  describe.each<[string, CreateSessionOptions]>([
    ["koa-session's own UUIDs", {}],
    ["its own UUIDs with a prefix", { prefix: "a-long-prefix-that-adds-no-randomness:" }],
  ])("%s", (_what, plugin) => {
    test("are warned of and refused before a cookie leaves", async () => {
      await using site = await serve(version, routes, { plugin: (store) => ({ store, ...plugin }) });
      const { status, setCookies } = await site.browser().get("/");
      expect({ status, setCookies }).toEqual({ status: 500, setCookies: [] });
      await turn();
      expect(warnings).toEqual(["TENURE_WEAK_ID"]);
      await expect(Array.fromAsync(site.sessions.all())).resolves.toEqual([]);
    });

    test("are taken, and warned of, where minTokenBits says so", async () => {
      await using site = await serve(version, routes, {
        sessions: { minTokenBits: 122 },
        plugin: (store) => ({ store, ...plugin }),
      });
      expect((await site.browser().get("/")).status).toBe(200);
      await turn();
      expect(warnings).toEqual(["TENURE_WEAK_ID"]);
    });
  });

  test("a prefix before the bridge's own keys works", async () => {
    await using site = await serve(version, routes, {
      plugin: (store) => ({ store, genid: () => `shop:${store.genid()}`, signed: false }),
    });
    const browser = site.browser();
    await browser.get("/");
    expect(browser.cookies.get("koa.sess")).toMatch(/^shop(?::|%3A)/);
    await turn();
    expect(warnings).toEqual([]);
  });
});
