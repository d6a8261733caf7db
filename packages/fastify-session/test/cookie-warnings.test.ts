import { setImmediate as turn } from "node:timers/promises";
import { memoryStore, Sessions } from "@tenure/core";
import type { WarningCode } from "@tenure/core/bridge";
import { hearWarnings } from "@tenure/store-wrappers/warnings";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fastifySessionStore } from "../src/index.ts";
import { type Routes, SECRET, serve, type SiteOptions } from "./site.ts";
import { newestVersion, versions } from "./versions.ts";

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
  "/": (request) => Object.assign(request.session, { visits: 1 }) && {},
};

/** Returns the warnings at a browser's first request, and those at its next two. */
async function warningsOf(options: SiteOptions): Promise<{ first: string[]; later: string[] }> {
  await using site = await serve(newestVersion, routes, {
    ...options,
    plugin: { rolling: true, ...options.plugin },
  });
  const browser = site.browser();
  await browser.get("/");
  await turn();
  const first = warnings.splice(0);
  await browser.get("/");
  await browser.get("/");
  await turn();
  return { first, later: warnings.splice(0) };
}

test("safe settings give no warning", async () => {
  await expect(warningsOf({})).resolves.toEqual({ first: [], later: [] });
});

test.each<[string, string | undefined, SiteOptions["plugin"], WarningCode]>([
  ["a cookie that is not secure in production", "production", {}, "TENURE_COOKIE_NOT_SECURE"],
  [
    "a cookie without httpOnly",
    undefined,
    { cookie: { secure: false, httpOnly: false } },
    "TENURE_COOKIE_NOT_HTTPONLY",
  ],
  [
    "a cookie with SameSite=None but without secure",
    undefined,
    { cookie: { secure: false, sameSite: "none" } },
    "TENURE_COOKIE_SAMESITE_NONE",
  ],
])("%s gives one warning, at the first request", async (_what, mode, plugin = {}, code) => {
  if (mode !== undefined) vi.stubEnv("NODE_ENV", mode);
  await expect(warningsOf({ plugin })).resolves.toEqual({ first: [code], later: [] });
});

test("the option silence suppresses a warning", async () => {
  const plugin = { cookie: { secure: false, httpOnly: false } };
  const bridge = { silence: ["TENURE_COOKIE_NOT_HTTPONLY"] as const };
  await expect(warningsOf({ plugin, bridge })).resolves.toEqual({ first: [], later: [] });
});

test.each([
  ["sessionId", ["TENURE_COOKIE_NAME"]],
  ["__Host-session", []],
])(
  "a cookie named %s, whose attributes fit the prefix __Host-, gives the warnings %j when a browser returns it",
  async (name, codes) => {
    const { fastify, cookie, session } = newestVersion;
    const app = fastify({ trustProxy: true });
    const store = fastifySessionStore(new Sessions({ store: memoryStore() }));
    await app.register(cookie);
    await app.register(session, {
      store,
      idGenerator: store.idGenerator,
      secret: SECRET,
      cookieName: name,
    });
    app.get("/", async () => ({}));
    const headers = { "x-forwarded-proto": "https" };
    const first = await app.inject({ url: "/", headers });
    expect(first.cookies).toHaveLength(1);
    await turn();
    expect(warnings).toEqual([]);
    const value = first.cookies[0]?.value ?? "";
    await app.inject({ url: "/", headers, cookies: { [name]: value } });
    await turn();
    expect(warnings).toEqual(codes);
    await app.close();
  },
);

describe.each(versions)("on $name, behind a proxy that terminates TLS", (version) => {
  const changing: Routes = {
    "/logIn": (request, store) => store.logIn(request, "ada"),
    "/change": (request) => Object.assign(request.session, { userId: "ada" }) && {},
    "/rotate-and-change": async (request, store) => {
      const result = await store.rotate(request);
      Object.assign(request.session, { userId: "ada" });
      return result;
    },
    "/regenerate": async (request) => {
      await request.session.regenerate();
      Object.assign(request.session, { userId: "ada" });
      return {};
    },
    "/read": (request) => request.session.sessionId.length,
  };

  /** Returns the number of cookies set by two requests of different browsers, and the warnings. */
  async function sentBy(path: string, trustProxy: boolean): Promise<{ cookies: number; codes: string[] }> {
    const plugin = { cookieName: "__Host-id", cookie: { secure: true } };
    await using site = await serve(version, changing, { plugin, fastify: { trustProxy } });
    let cookies = 0;
    for (let request = 0; request < 2; request += 1) {
      // Fastify 4 trusts x-forwarded-proto from every client.
      const headers = trustProxy ? { "x-forwarded-proto": "https" } : {};
      cookies += (await site.browser().post(path, {}, headers)).setCookies.length;
    }
    await turn();
    return { cookies, codes: warnings.splice(0) };
  }

  test.each(["/logIn", "/change", "/rotate-and-change", "/regenerate"])(
    "%s gives one warning that the secure cookie is not sent, unless the proxy is trusted",
    async (path) => {
      await expect(sentBy(path, false)).resolves.toEqual({ cookies: 0, codes: ["TENURE_COOKIE_NOT_SENT"] });
      await expect(sentBy(path, true)).resolves.toEqual({ cookies: 2, codes: [] });
    },
  );

  test.each(["/logIn", "/rotate"])("a %s that is not awaited gives a warning", async (path) => {
    const late: Routes = {
      ...changing,
      "/logIn": (request, store) => void store.logIn(request, "ada"),
      "/rotate": (request, store) => void store.rotate(request),
    };
    await using site = await serve(version, late, { beforeCall: turn });
    const browser = site.browser();
    await browser.post("/change");
    expect((await browser.post(path)).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(warnings.splice(0)).toEqual(["TENURE_COOKIE_TOO_LATE"]);
  });

  test("a login after the application has read encryptedSessionId gives no warning", async () => {
    const reading: Routes = {
      "/": async (request, store) => {
        const before = request.session.encryptedSessionId;
        await store.logIn(request, "ada");
        return before === request.session.encryptedSessionId;
      },
    };
    await using site = await serve(version, reading);
    const { text, setCookies } = await site.browser().get("/");
    expect([text, setCookies.length]).toEqual(["false", 1]);
    await turn();
    expect(warnings).toEqual([]);
  });

  test("a request that changes nothing gives no warning", async () => {
    await expect(sentBy("/read", false)).resolves.toEqual({ cookies: 0, codes: [] });
  });
});

test("the header x-forwarded-proto of an untrusted proxy is ignored, and the warning says what to change", async () => {
  const plugin = { cookieName: "__Host-id", cookie: { secure: true } };
  const emitted = vi.spyOn(process, "emitWarning");
  await using site = await serve(newestVersion, routes, { plugin });
  const { setCookies } = await site.browser().get("/", { "x-forwarded-proto": "https" });
  expect(setCookies).toEqual([]);
  await turn();
  expect(warnings).toEqual(["TENURE_COOKIE_NOT_SENT"]);
  const [message] = emitted.mock.lastCall ?? [];
  expect(message).toContain('without TLS, use secureCookie(sessions, { secure: false, name: "id" })');
  expect(message).toContain("fastify({ trustProxy: true })");
});

test("a session that the application saves explicitly gives no warning, because the framework sends its cookie", async () => {
  const plugin = { cookieName: "__Host-id", cookie: { secure: true } };
  const saving: Routes = {
    "/": async (request) => {
      Object.assign(request.session, { userId: "ada" });
      await request.session.save();
      Object.assign(request.session, { userId: "grace" });
      return {};
    },
  };
  await using site = await serve(newestVersion, saving, { plugin });
  expect((await site.browser().get("/")).setCookies).toHaveLength(1);
  await turn();
  expect(warnings).toEqual([]);
});

test("a cookie.maxAge above the policy's idle timeout gives one warning", async () => {
  const plugin = { cookie: { secure: false, maxAge: 7 * 86_400_000 } };
  await expect(warningsOf({ plugin })).resolves.toEqual({ first: ["TENURE_MAX_AGE_CAPPED"], later: [] });
});
