import { memoryStore, Sessions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { type CookieOverrides, fastifySessionStore, secureCookie } from "../src/index.ts";
import { SECRET } from "./site.ts";
import { type Version, versions } from "./versions.ts";

const HTTPS = { "x-forwarded-proto": "https" };

/**
 * Returns the `Set-Cookie` headers of a login, of one with "remember me" and of a logout, behind a trusted
 * proxy that terminates TLS.
 */
async function cookiesOf(version: Version, overrides?: CookieOverrides): Promise<Record<string, string>> {
  const sessions = new Sessions({ store: memoryStore(), maxIdleTimeout: "12h" });
  const store = fastifySessionStore(sessions);
  const settings = secureCookie(sessions, overrides);
  const app = version.fastify({ trustProxy: true });
  await app.register(version.cookie);
  await app.register(version.session, {
    store,
    idGenerator: store.idGenerator,
    secret: SECRET,
    ...settings,
    saveUninitialized: false,
    rolling: false,
  });
  app.get("/in", async (request) => store.logIn(request, "ada"));
  app.get("/remember", async (request) => store.logIn(request, "ada", { idle: "2h" }));
  app.get("/out", async (_request, reply) => {
    reply.clearCookie(settings.cookieName, settings.cookie);
    return {};
  });
  const cookies: Record<string, string> = {};
  for (const path of ["in", "remember", "out"]) {
    const { headers } = await app.inject({ url: `/${path}`, headers: HTTPS });
    cookies[path] = String(headers["set-cookie"])
      .replace(/=[^;]*/, "=…")
      .replace(/Expires=[^;]*/, "Expires=…");
  }
  await app.close();
  return cookies;
}

describe.each(versions)("on $name", (version) => {
  test.for([
    [undefined, "__Host-id=…; Path=/; HttpOnly; Secure; SameSite=Lax"],
    [{ secure: false, name: "id" }, "id=…; Path=/; HttpOnly; SameSite=Lax"],
    [
      { name: "__Secure-id", domain: "example.org", sameSite: "strict" },
      "__Secure-id=…; Domain=example.org; Path=/; HttpOnly; Secure; SameSite=Strict",
    ],
    [{ maxAge: "10m" }, "__Host-id=…; Path=/; Expires=…; HttpOnly; Secure; SameSite=Lax"],
  ] as const)("the plugin with secureCookie(sessions, %o) sets %s", async ([overrides, cookie]) => {
    expect((await cookiesOf(version, overrides))["in"]).toBe(cookie);
  });

  test('with secureCookie, the cookie of "remember me" outlives the browser, and the same settings clear it', async () => {
    const cookies = await cookiesOf(version);
    expect(cookies["remember"]).toMatch(/^__Host-id=…; .*Expires=…/);
    expect(cookies["out"]).toMatch(/^__Host-id=…; .*Path=\/; Expires=….*Secure/);
  });
});

test("secureCookie throws a TypeError for an override that makes the cookie unsafe", () => {
  const sessions = new Sessions({ store: memoryStore() });
  expect(() => secureCookie(sessions, { secure: false })).toThrow(TypeError);
});
