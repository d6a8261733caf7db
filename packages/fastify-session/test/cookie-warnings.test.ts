import { setImmediate as turn } from "node:timers/promises";
import fastifySession from "@fastify/session";
import { memoryStore, Sessions } from "@tenure/core";
import type { WarningCode } from "@tenure/core/bridge";
import { hearWarnings } from "@tenure/watched-store/warnings";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fastifySessionStore } from "../src/index.ts";
import { type Routes, SECRET, serve, type SiteOptions } from "./site.ts";
import { type Version, versions } from "./versions.ts";

const newest = newestVersion();

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

/** The warnings at a browser's first request and at its next two. */
async function warningsOf(options: SiteOptions): Promise<{ first: string[]; second: string[] }> {
  await using site = await serve(newest, routes, {
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
  return { first, second: warnings.splice(0) };
}

test("safe settings give no warning", async () => {
  await expect(warningsOf({})).resolves.toEqual({ first: [], second: [] });
});

test.each<[string, string | undefined, SiteOptions["plugin"], WarningCode]>([
  ["no secure in production", "production", {}, "TENURE_COOKIE_NOT_SECURE"],
  ["httpOnly off", undefined, { cookie: { secure: false, httpOnly: false } }, "TENURE_COOKIE_NOT_HTTPONLY"],
  [
    "SameSite none without secure",
    undefined,
    { cookie: { secure: false, sameSite: "none" } },
    "TENURE_COOKIE_SAMESITE_NONE",
  ],
])("%s gives one warning, at the first request", async (_what, mode, plugin = {}, code) => {
  if (mode !== undefined) vi.stubEnv("NODE_ENV", mode);
  await expect(warningsOf({ plugin })).resolves.toEqual({ first: [code], second: [] });
});

test("a warning can be silenced", async () => {
  const plugin = { cookie: { secure: false, httpOnly: false } };
  const bridge = { silence: ["TENURE_COOKIE_NOT_HTTPONLY"] as const };
  await expect(warningsOf({ plugin, bridge })).resolves.toEqual({ first: [], second: [] });
});

test.each([
  ["sessionId", ["TENURE_COOKIE_NAME"]],
  ["__Host-session", []],
])(
  "a cookie named %s, which could have the prefix __Host-, gives %j when a browser sends it back",
  async (name, codes) => {
    const { fastify, cookie, session } = newest;
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
    expect(warnings).toEqual([]);
    const value = first.cookies[0]?.value ?? "";
    await app.inject({ url: "/", headers, cookies: { [name]: value } });
    await turn();
    expect(warnings).toEqual(codes);
    await app.close();
  },
);

describe.each(versions)("on $name, behind a proxy that ends TLS", (version) => {
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

  /** The cookies of two requests, each of a browser of its own, and the warnings. */
  async function sentBy(path: string, trustProxy: boolean): Promise<{ cookies: number; codes: string[] }> {
    const plugin = { cookieName: "__Host-id", cookie: { secure: true } };
    await using site = await serve(version, changing, { plugin, fastify: { trustProxy } });
    let cookies = 0;
    for (let request = 0; request < 2; request += 1) {
      // Fastify 4 believes x-forwarded-proto of every client.
      const headers = trustProxy ? { "x-forwarded-proto": "https" } : {};
      cookies += (await site.browser().post(path, {}, headers)).setCookies.length;
    }
    await turn();
    return { cookies, codes: warnings.splice(0) };
  }

  test.each(["/logIn", "/change", "/rotate-and-change", "/regenerate"])(
    "a session that %s makes and whose secure cookie is not sent gives one warning, unless the proxy is trusted",
    async (path) => {
      await expect(sentBy(path, false)).resolves.toEqual({ cookies: 0, codes: ["TENURE_COOKIE_NOT_SENT"] });
      await expect(sentBy(path, true)).resolves.toEqual({ cookies: 2, codes: [] });
    },
  );

  test("a session that nobody changes gives no warning", async () => {
    await expect(sentBy("/read", false)).resolves.toEqual({ cookies: 0, codes: [] });
  });
});

test("the header x-forwarded-proto of a proxy that is not trusted changes nothing", async () => {
  const plugin = { cookieName: "__Host-id", cookie: { secure: true } };
  const emitted = vi.spyOn(process, "emitWarning");
  await using site = await serve(newest, routes, { plugin });
  const { setCookies } = await site.browser().get("/", { "x-forwarded-proto": "https" });
  expect(setCookies).toEqual([]);
  await turn();
  expect(warnings).toEqual(["TENURE_COOKIE_NOT_SENT"]);
  const [message] = emitted.mock.lastCall ?? [];
  expect(message).toContain('without TLS, use secureCookie(sessions, { secure: false, name: "id" })');
  expect(message).toContain("fastify({ trustProxy: true })");
});

test("a session that the application saves itself gives no warning, because the framework sends its cookie", async () => {
  const plugin = { cookieName: "__Host-id", cookie: { secure: true } };
  const saving: Routes = {
    "/": async (request) => {
      Object.assign(request.session, { userId: "ada" });
      await request.session.save();
      Object.assign(request.session, { userId: "grace" });
      return {};
    },
  };
  await using site = await serve(newest, saving, { plugin });
  expect((await site.browser().get("/")).setCookies).toHaveLength(1);
  await turn();
  expect(warnings).toEqual([]);
});

test("a cookie.maxAge above the policy's idle timeout gives one warning", async () => {
  const plugin = { cookie: { secure: false, maxAge: 7 * 86_400_000 } };
  await expect(warningsOf({ plugin })).resolves.toEqual({ first: ["TENURE_MAX_AGE_CAPPED"], second: [] });
});

function newestVersion(): Version {
  const found = versions.find(({ session }) => session === fastifySession);
  if (found) return found;
  throw new Error("the newest version is not among the versions");
}
