import { setImmediate as turn } from "node:timers/promises";
import fastifySession from "@fastify/session";
import { memoryStore, Sessions } from "@tenure/core";
import type { WarningCode } from "@tenure/core/bridge";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fastifySessionStore } from "../src/index.ts";
import { type Routes, SECRET, serve, type SiteOptions } from "./site.ts";
import { type Version, versions } from "./versions.ts";

const newest = newestVersion();

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

test.each([
  [false, {}, "TENURE_COOKIE_NOT_SENT"],
  [false, { "x-forwarded-proto": "https" }, "TENURE_COOKIE_NOT_SENT"],
  [true, { "x-forwarded-proto": "https" }, undefined],
])(
  "a secure cookie behind a proxy, trusted: %s, with the headers %j, gives %s when a login stored a session",
  async (trustProxy, headers, code) => {
    await using site = await serve(
      newest,
      { "/logIn": (request, store) => store.logIn(request, "ada") },
      { plugin: { cookieName: "__Host-id", cookie: { secure: true } }, fastify: { trustProxy } },
    );
    for (let login = 0; login < 2; login += 1) {
      const { setCookies } = await site.browser().post("/logIn", {}, headers);
      expect(setCookies).toHaveLength(code ? 0 : 1);
    }
    await turn();
    expect(warnings).toEqual(code ? [code] : []);
  },
);

test("a cookie.maxAge above the policy's idle timeout gives one warning", async () => {
  const plugin = { cookie: { secure: false, maxAge: 7 * 86_400_000 } };
  await expect(warningsOf({ plugin })).resolves.toEqual({ first: ["TENURE_MAX_AGE_CAPPED"], second: [] });
});

function newestVersion(): Version {
  const found = versions.find(({ session }) => session === fastifySession);
  if (found) return found;
  throw new Error("the newest version is not among the versions");
}
