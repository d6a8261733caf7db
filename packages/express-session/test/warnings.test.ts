import { randomBytes } from "node:crypto";
import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import type { WarningCode } from "@tenure/core/bridge";
import { expressSessionStore, type ExpressSessionStoreOptions } from "@tenure/express-session";
import type { Request } from "express";
import session, { type SessionOptions } from "express-session";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { application, SECRET } from "./app.ts";
import { serve } from "./serve.ts";

let warnings: { readonly code: string; readonly message: string }[];
const listen = (warning: Error & { readonly code?: string }): void => {
  if (warning.name === "TenureWarning") warnings.push({ code: warning.code ?? "", message: warning.message });
};

/** Node's own, which prints. */
const printing = process.listeners("warning");

beforeEach(() => {
  warnings = [];
  process.removeAllListeners("warning");
  process.on("warning", listen);
});
afterEach(() => {
  process.removeAllListeners("warning");
  for (const print of printing) process.on("warning", print);
  vi.unstubAllEnvs();
});

/** What a first visit, a login and some visits more warn of. A proxy in front speaks HTTPS. */
async function warnedOf(
  options: Partial<SessionOptions>,
  bridge: ExpressSessionStoreOptions = {},
): Promise<string[]> {
  const store = expressSessionStore(new Sessions({ store: memoryStore() }), bridge);
  const { app } = application(store, { proxy: true, ...options });
  const browser = visitor(await serve(app));
  const https = { "x-forwarded-proto": "https" };
  await browser.get("/me", https);
  await browser.post("/login?user=ada", undefined, https);
  for (let i = 0; i < 3; i += 1) await browser.get("/me", https);
  await new Promise((resolve) => setImmediate(resolve));
  return warnings.map(({ code }) => code).toSorted();
}

const SAFE = { name: "__Host-session", secret: SECRET, cookie: { secure: true, sameSite: "lax" } } as const;

describe("in production", () => {
  beforeEach(() => vi.stubEnv("NODE_ENV", "production"));

  test("safe settings warn of nothing", async () => {
    expect(await warnedOf(SAFE, { secret: SECRET })).toEqual([]);
  });

  test("a cookie that is not secure is warned about", async () => {
    expect(await warnedOf({ ...SAFE, cookie: {} })).toEqual(["TENURE_COOKIE_NOT_SECURE"]);
  });

  test("secure: auto is judged by the connection", async () => {
    expect(await warnedOf({ ...SAFE, cookie: { secure: "auto" } })).toEqual([]);
    expect(await warnedOf({ ...SAFE, proxy: false, cookie: { secure: "auto" } })).toEqual([
      "TENURE_COOKIE_NOT_SECURE",
    ]);
  });
});

describe("a session that was stored with other settings than the middleware has now", () => {
  const https = { "x-forwarded-proto": "https" };

  async function warnedOfNow(
    before: Partial<SessionOptions>,
    now: Partial<SessionOptions>,
    headers: Record<string, string> = https,
  ): Promise<string[]> {
    const sessions = new Sessions({ store: memoryStore() });
    const serving = (options: Partial<SessionOptions>): Promise<string> =>
      serve(application(expressSessionStore(sessions), { ...SAFE, proxy: true, ...options }).app);
    const browser = visitor(await serving(before));
    await browser.post("/login?user=ada", undefined, https);
    const after = browser.twin(await serving(now));
    await new Promise((resolve) => setImmediate(resolve));
    warnings = [];
    expect((await after.get("/me", headers)).text).toBe('{"userId":"ada"}');
    await new Promise((resolve) => setImmediate(resolve));
    return warnings.map(({ code }) => code).toSorted();
  }

  beforeEach(() => vi.stubEnv("NODE_ENV", "production"));
  const unsafe = { cookie: { secure: false, httpOnly: false, path: "/", sameSite: "none" } } as const;

  test("is no cause to warn where those are safe", async () => {
    expect(await warnedOfNow(unsafe, {})).toEqual([]);
  });

  test("is no cause to be silent where those are not", async () => {
    expect(await warnedOfNow({}, unsafe)).toEqual([
      "TENURE_COOKIE_NOT_HTTPONLY",
      "TENURE_COOKIE_NOT_SECURE",
      "TENURE_COOKIE_SAMESITE_NONE",
    ]);
    expect(await warnedOfNow({ name: "sid", cookie: {} }, { name: "sid" })).toEqual(["TENURE_COOKIE_NAME"]);
  });

  test("with secure: auto, the connection of now is judged and not that of the login", async () => {
    const auto = { cookie: { secure: "auto", sameSite: "lax" } } as const;
    expect(await warnedOfNow(auto, auto)).toEqual([]);
    expect(await warnedOfNow(auto, auto, {})).toEqual(["TENURE_COOKIE_NOT_SECURE"]);
  });
});

test("settings of one session that the application changed are no cause to warn", async () => {
  const store = expressSessionStore(new Sessions({ store: memoryStore() }));
  const { app, routes } = application(store, { ...SAFE, proxy: true });
  routes.get("/readable", (req, res) => {
    Object.assign(req.session.cookie, { httpOnly: false });
    req.session.userId = "ada";
    res.end();
  });
  await visitor(await serve(app)).get("/readable", { "x-forwarded-proto": "https" });
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings).toEqual([]);
});

test("in development a cookie that is not secure is no cause to warn", async () => {
  expect(await warnedOf({ ...SAFE, cookie: {} })).toEqual([]);
});

test("a cookie that scripts can read is warned about", async () => {
  expect(await warnedOf({ ...SAFE, cookie: { secure: true, httpOnly: false } })).toEqual([
    "TENURE_COOKIE_NOT_HTTPONLY",
  ]);
});

test.for(["none", "None"])("SameSite=%s without secure is warned about", async (sameSite) => {
  expect(await warnedOf({ ...SAFE, cookie: { sameSite: sameSite as "none" } })).toEqual([
    "TENURE_COOKIE_SAMESITE_NONE",
  ]);
});

describe("a name without the prefix __Host-", () => {
  test("is warned about where the cookie could have it", async () => {
    expect(await warnedOf({ ...SAFE, name: "sid" })).toEqual(["TENURE_COOKIE_NAME"]);
  });

  test.for([{ secure: false }, { secure: true, path: "/login" }, { secure: true, domain: "127.0.0.1" }])(
    "is no cause to warn where it could not: %o",
    async (cookie) => {
      expect(await warnedOf({ ...SAFE, name: "sid", cookie })).toEqual([]);
    },
  );

  test("is noticed at the first request of a browser that has a session already", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const options = { ...SAFE, name: "sid", proxy: true };
    const https = { "x-forwarded-proto": "https" };
    const before = visitor(await serve(application(expressSessionStore(sessions), options).app));
    await before.post("/login?user=ada", undefined, https);
    warnings = [];
    const after = before.twin(await serve(application(expressSessionStore(sessions), options).app));
    await after.get("/me", https);
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings.map(({ code }) => code)).toEqual(["TENURE_COOKIE_NAME"]);
  });
});

test("a secret that stands in tutorials is warned about, told by what it signed", async () => {
  expect(await warnedOf({ ...SAFE, secret: "keyboard cat" })).toEqual(["TENURE_SECRET_WELL_KNOWN"]);
  expect(await warnedOf({ ...SAFE, secret: ["keyboard cat", SECRET] })).toContain("TENURE_SECRET_WELL_KNOWN");
});

test("name and secret are noticed in the first response that sets the cookie", async () => {
  const store = expressSessionStore(new Sessions({ store: memoryStore() }));
  const options = { ...SAFE, name: "sid", secret: "keyboard cat", proxy: true };
  const browser = visitor(await serve(application(store, options).app));
  await browser.get("/me", { "x-forwarded-proto": "https" });
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings).toEqual([]);
  await browser.post("/login?user=ada", undefined, { "x-forwarded-proto": "https" });
  await expect
    .poll(() => warnings.map(({ code }) => code))
    .toEqual(["TENURE_COOKIE_NAME", "TENURE_SECRET_WELL_KNOWN"]);
});

test("a short secret is warned about where the store is given it", async () => {
  expect(await warnedOf({ ...SAFE, secret: "short but unknown" })).toEqual([]);
  expect(await warnedOf(SAFE, { secret: "short but unknown" })).toEqual(["TENURE_SECRET_SHORT"]);
  warnings = [];
  expect(await warnedOf(SAFE, { secret: [SECRET, "short but unknown"] })).toEqual(["TENURE_SECRET_SHORT"]);
});

test("where no signed cookie ever shows, the middleware makes one new cookie to be judged, and no more", () => {
  const store = expressSessionStore(new Sessions({ store: memoryStore() }));
  const genid = vi.fn<() => string>(() => randomBytes(32).toString("base64url"));
  session({ store, secret: SECRET, genid, resave: false, saveUninitialized: false });
  for (let i = 0; i < 20; i += 1) {
    const req = { sessionID: "some token", headers: {}, sessionStore: store };
    store.createSession(req as unknown as Request, { cookie: { originalMaxAge: null } });
  }
  expect(genid).toHaveBeenCalledOnce();
});

test("each thing is warned about once, with what to change", async () => {
  const cookie = { httpOnly: false, sameSite: "none" } as const;
  await warnedOf({ secret: "secret", cookie });
  expect(warnings.map(({ code }) => code)).toEqual([
    "TENURE_COOKIE_NOT_HTTPONLY",
    "TENURE_COOKIE_SAMESITE_NONE",
    "TENURE_SECRET_WELL_KNOWN",
  ]);
  for (const { message } of warnings) expect(message).toMatch(/: (leave|set|use) .*/);
});

describe("each can be silenced, alone", () => {
  const unsafe = { name: "sid", secret: "secret", cookie: { httpOnly: false, sameSite: "none" } } as const;
  const nameless = { ...SAFE, name: "sid" };

  test.for<{ readonly code: WarningCode; readonly by: Partial<SessionOptions>; readonly count: number }>([
    { code: "TENURE_COOKIE_NOT_SECURE", by: unsafe, count: 5 },
    { code: "TENURE_COOKIE_NOT_HTTPONLY", by: unsafe, count: 5 },
    { code: "TENURE_COOKIE_SAMESITE_NONE", by: unsafe, count: 5 },
    { code: "TENURE_SECRET_WELL_KNOWN", by: unsafe, count: 5 },
    { code: "TENURE_SECRET_SHORT", by: unsafe, count: 5 },
    { code: "TENURE_COOKIE_NAME", by: nameless, count: 2 },
  ])("$code", async ({ code, by, count }) => {
    vi.stubEnv("NODE_ENV", "production");
    const all = await warnedOf(by, { secret: "short" });
    expect(all).toHaveLength(count);
    expect(all).toContain(code);
    warnings = [];
    expect(await warnedOf(by, { secret: "short", silence: [code] })).toEqual(
      all.filter((given) => given !== code),
    );
  });

  test("TENURE_STORE_SHARED", async () => {
    const store = expressSessionStore(new Sessions({ store: memoryStore() }), {
      silence: ["TENURE_STORE_SHARED"],
    });
    for (let i = 0; i < 2; i += 1)
      session({ secret: SECRET, resave: false, saveUninitialized: false, store });
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([]);
  });
});

test("two middlewares on one store are warned about: the last one's cookie would win", async () => {
  const store = expressSessionStore(new Sessions({ store: memoryStore() }));
  for (let i = 0; i < 3; i += 1) session({ secret: SECRET, resave: false, saveUninitialized: false, store });
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings).toEqual([
    { code: "TENURE_STORE_SHARED", message: expect.stringMatching(/give each its own/) as string },
  ]);
});
