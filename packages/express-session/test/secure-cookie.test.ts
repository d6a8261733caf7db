import { visitor } from "@tenure/cookie-client";
import { type CookieOverrides, expressSessionStore, secureCookie } from "@tenure/express-session";
import { memoryStore, Sessions } from "@tenure/core";
import { expect, test } from "vitest";
import { application, SECRET } from "./app.ts";
import { collectWarnings } from "./collect-warnings.ts";
import { serve } from "./serve.ts";

/** Returns the cookie that a step sets, behind a trusted proxy that terminates TLS. */
async function cookieOf(overrides: CookieOverrides | undefined, step: string): Promise<string | undefined> {
  const sessions = new Sessions({ store: memoryStore(), maxIdleTimeout: "12h" });
  const store = expressSessionStore(sessions);
  const { app, routes } = application(store, {
    ...secureCookie(sessions, overrides),
    proxy: true,
    secret: SECRET,
  });
  routes.post("/remember", async (req, res) => {
    await store.logIn(req, "ada", { idle: "2h" });
    res.end();
  });
  const browser = visitor(await serve(app));
  const { setCookies } = await browser.post(step, undefined, { "x-forwarded-proto": "https" });
  return setCookies[0]?.replace(/=[^;]*/, "=…").replace(/Expires=[^;]*/, "Expires=…");
}

test.for([
  [undefined, "__Host-id=…; Path=/; HttpOnly; Secure; SameSite=Lax"],
  [{ secure: false, name: "id" }, "id=…; Path=/; HttpOnly; SameSite=Lax"],
  [
    { name: "__Secure-id", domain: "example.org", path: "/", sameSite: "strict" },
    "__Secure-id=…; Domain=example.org; Path=/; HttpOnly; Secure; SameSite=Strict",
  ],
  [{ maxAge: "10m" }, "__Host-id=…; Path=/; Expires=…; HttpOnly; Secure; SameSite=Lax"],
] as const)("the middleware with secureCookie(sessions, %o) sets %s", async ([overrides, cookie]) => {
  const warnings = collectWarnings();
  expect(await cookieOf(overrides, "/slow?do=logIn:ada")).toBe(cookie);
  expect(await warnings()).toEqual([]);
});

test('with secureCookie, only the cookie of a "remember me" login outlives the browser', async () => {
  expect(await cookieOf(undefined, "/login?user=ada")).not.toContain("Expires");
  expect(await cookieOf(undefined, "/remember")).toContain("Expires");
});

test("secureCookie throws a TypeError for an override that makes the cookie unsafe", () => {
  const sessions = new Sessions({ store: memoryStore() });
  expect(() => secureCookie(sessions, { secure: false })).toThrow(TypeError);
});
