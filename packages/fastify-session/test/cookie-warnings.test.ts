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

/** What is warned of when a browser comes for the first time, and when it comes again. */
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

test("nothing is warned of where settings are safe", async () => {
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
  [
    "a secret from the README",
    undefined,
    { secret: "a secret with minimum length of 32 characters" },
    "TENURE_SECRET_WELL_KNOWN",
  ],
])("%s is warned of once, at the first request", async (_what, mode, plugin = {}, code) => {
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
    await app.register(cookie);
    await app.register(session, {
      store: fastifySessionStore(new Sessions({ store: memoryStore() })),
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

function newestVersion(): Version {
  const found = versions.find(({ session }) => session === fastifySession);
  if (found) return found;
  throw new Error("the newest version is not among the versions");
}
