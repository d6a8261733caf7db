import { memoryStore, Sessions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { type CookieOverrides, secureCookie } from "../src/index.ts";
import { serve } from "./site.ts";
import { type Version, versions } from "./versions.ts";

/** Returns the session cookie that a login sets behind a trusted TLS proxy, without the variable values. */
async function cookieOf(version: Version, overrides?: CookieOverrides, path = "/login"): Promise<string> {
  await using site = await serve(
    version,
    {
      "/login": (ctx, _body, store) => store.logIn(ctx, "ada"),
      "/remember": (ctx, _body, store) => store.logIn(ctx, "ada", { idle: "2h" }),
    },
    {
      sessions: { maxIdleTimeout: "12h" },
      plugin: (store, sessions) => ({ store, genid: store.genid, ...secureCookie(sessions, overrides) }),
    },
  );
  site.app.proxy = true;
  const { setCookies } = await site.browser().post(path, undefined, { "x-forwarded-proto": "https" });
  const cookie = setCookies.find((line) => !/^[^=]*\.sig=/.test(line)) ?? "";
  return cookie.replace(/=[^;]*/, "=…").replace(/expires=[^;]*/, "expires=…");
}

describe.each(versions)("with $name", (version) => {
  test.for([
    [undefined, "__Host-id=…; path=/; samesite=lax; secure; httponly"],
    [{ secure: false, name: "id" }, "id=…; path=/; samesite=lax; httponly"],
    [
      { name: "__Secure-id", domain: "example.org", sameSite: "strict" },
      "__Secure-id=…; path=/; domain=example.org; samesite=strict; secure; httponly",
    ],
    [{ maxAge: "10m" }, "__Host-id=…; path=/; expires=…; samesite=lax; secure; httponly"],
  ] as const)("secureCookie(sessions, %o) sets %s", async ([overrides, cookie]) => {
    expect(await cookieOf(version, overrides)).toBe(cookie);
  });

  test("with secureCookie, the cookie of a login that gave an idle timeout outlives the browser session", async () => {
    expect(await cookieOf(version, undefined, "/remember")).toContain("expires=…");
  });
});

test("secureCookie throws a TypeError for an override that makes the cookie unsafe", () => {
  const sessions = new Sessions({ store: memoryStore() });
  expect(() => secureCookie(sessions, { secure: false })).toThrow(TypeError);
});
