import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import {
  expressSessionStore,
  type ExpressSessionStoreOptions,
  type WarningCode,
} from "@tenure/express-session";
import session, { type SessionOptions } from "express-session";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { application, SECRET } from "./app.ts";
import { collectWarnings } from "./collect-warnings.ts";
import { serve } from "./serve.ts";

const HTTPS = { "x-forwarded-proto": "https" };
const SAFE = { name: "__Host-session", secret: SECRET, cookie: { secure: true, sameSite: "lax" } } as const;

function inProduction(): void {
  vi.stubEnv("NODE_ENV", "production");
  onTestFinished(() => void vi.unstubAllEnvs());
}

/**
 * Returns the codes of the warnings at a first visit, a login and three more visits, behind a proxy with TLS.
 */
async function warningsOf(
  options: Partial<SessionOptions>,
  bridge: ExpressSessionStoreOptions = {},
): Promise<string[]> {
  const warnings = collectWarnings();
  const store = expressSessionStore(new Sessions({ store: memoryStore() }), bridge);
  const { app } = application(store, { proxy: true, ...options });
  const browser = visitor(await serve(app));
  await browser.get("/me", HTTPS);
  await browser.post("/login?user=ada", undefined, HTTPS);
  for (let i = 0; i < 3; i += 1) await browser.get("/me", HTTPS);
  return warnings();
}

describe("in production", () => {
  beforeEach(inProduction);

  test("safe settings give no warning", async () => {
    expect(await warningsOf(SAFE, { secret: SECRET })).toEqual([]);
  });

  test("a cookie that is not secure gives a warning", async () => {
    expect(await warningsOf({ ...SAFE, cookie: {} })).toEqual(["TENURE_COOKIE_NOT_SECURE"]);
  });

  test('secure: "auto" gives a warning only if the connection is not secure', async () => {
    expect(await warningsOf({ ...SAFE, cookie: { secure: "auto" } })).toEqual([]);
    expect(await warningsOf({ ...SAFE, proxy: false, cookie: { secure: "auto" } })).toEqual([
      "TENURE_COOKIE_NOT_SECURE",
    ]);
  });
});

test("in development, a cookie that is not secure gives no warning", async () => {
  expect(await warningsOf({ ...SAFE, cookie: {} })).toEqual([]);
});

test("a cookie that scripts can read gives a warning", async () => {
  expect(await warningsOf({ ...SAFE, cookie: { secure: true, httpOnly: false } })).toEqual([
    "TENURE_COOKIE_NOT_HTTPONLY",
  ]);
});

test.for(["none", "None"])("SameSite=%s without secure gives a warning", async (sameSite) => {
  expect(await warningsOf({ ...SAFE, cookie: { sameSite: sameSite as "none" } })).toEqual([
    "TENURE_COOKIE_SAMESITE_NONE",
  ]);
});

test("unsafe cookie settings that the application gives only one session give no warning", async () => {
  const warnings = collectWarnings();
  const store = expressSessionStore(new Sessions({ store: memoryStore() }));
  const { app, routes } = application(store, { ...SAFE, proxy: true });
  routes.get("/readable", (req, res) => {
    Object.assign(req.session.cookie, { httpOnly: false });
    req.session.userId = "ada";
    res.end();
  });
  await visitor(await serve(app)).get("/readable", HTTPS);
  expect(await warnings()).toEqual([]);
});

test("a short secret gives a warning if it is passed to the store", async () => {
  expect(await warningsOf({ ...SAFE, secret: "a short secret" })).toEqual([]);
  expect(await warningsOf(SAFE, { secret: "a short secret" })).toEqual(["TENURE_SECRET_SHORT"]);
  expect(await warningsOf(SAFE, { secret: [SECRET, "a short secret"] })).toEqual(["TENURE_SECRET_SHORT"]);
});

describe("cookie.maxAge", () => {
  test("gives one warning if it is longer than the idle timeout", async () => {
    expect(await warningsOf({ ...SAFE, cookie: { ...SAFE.cookie, maxAge: 7 * 24 * 3_600_000 } })).toEqual([
      "TENURE_MAX_AGE_CAPPED",
    ]);
  });

  test("gives no warning if it is shorter than the idle timeout", async () => {
    expect(await warningsOf({ ...SAFE, cookie: { ...SAFE.cookie, maxAge: 60_000 } })).toEqual([]);
  });
});

describe("storing a session", () => {
  async function warningsOfLogin(options: Partial<SessionOptions>, steps: string): Promise<string[]> {
    const warnings = collectWarnings();
    const sessions = new Sessions({ store: memoryStore() });
    const { app } = application(expressSessionStore(sessions), { ...SAFE, ...options });
    const browser = visitor(await serve(app));
    for (let i = 0; i < 2; i += 1) {
      expect((await browser.post(`/slow?do=${steps}`, undefined, HTTPS)).status).toBe(200);
    }
    expect((await sessions.listForUser("ada")).length).toBeGreaterThan(0);
    return warnings();
  }

  test.for(["login:ada", "login:ada,save", "regenerate,login:ada", "logIn:ada", "set:a,save,logIn:ada"])(
    "gives one warning if its cookie is not sent, because the proxy is not trusted (%s)",
    async (steps) => {
      expect(await warningsOfLogin({}, steps)).toEqual(["TENURE_COOKIE_NOT_SENT"]);
    },
  );

  test.for([{ proxy: true }, { cookie: { secure: "auto" } }] as const)(
    "gives no warning if its cookie is sent: %o",
    async (options) => {
      expect(await warningsOfLogin(options, "logIn:ada")).toEqual([]);
      expect(await warningsOfLogin(options, "set:a,save,logIn:ada")).toEqual([]);
      expect(await warningsOfLogin(options, "set:a,save,regenerate,login:ada")).toEqual([]);
    },
  );
});

test("each problem gives one warning, which says what to change", async () => {
  const messages: string[] = [];
  const emit = vi
    .spyOn(process, "emitWarning")
    .mockImplementation((message) => void messages.push(String(message)));
  onTestFinished(() => emit.mockRestore());
  await warningsOf({ cookie: { httpOnly: false, sameSite: "none" } }, { secret: "secret" });
  expect(messages).toHaveLength(3);
  for (const message of messages) expect(message).toMatch(/: (leave|set|use) .*/);
});

describe("the option silence suppresses only the named warning", () => {
  const unsafe = { cookie: { httpOnly: false, sameSite: "none", maxAge: 24 * 3_600_000 } } as const;

  test.for<WarningCode>([
    "TENURE_COOKIE_NOT_SECURE",
    "TENURE_COOKIE_NOT_HTTPONLY",
    "TENURE_COOKIE_SAMESITE_NONE",
    "TENURE_SECRET_SHORT",
    "TENURE_MAX_AGE_CAPPED",
  ])("%s", async (code) => {
    inProduction();
    const all = await warningsOf(unsafe, { secret: "short" });
    expect(all).toHaveLength(5);
    expect(all).toContain(code);
    const others = await warningsOf(unsafe, { secret: "short", silence: [code] });
    expect(others).toEqual(all.filter((given) => given !== code));
  });
});

test.for([
  { silence: [] as const, codes: ["TENURE_STORE_SHARED"] },
  { silence: ["TENURE_STORE_SHARED"] as const, codes: [] },
])(
  "two middlewares on one store give one warning, unless it is silenced: $silence",
  async ({ silence, codes }) => {
    const warnings = collectWarnings();
    const store = expressSessionStore(new Sessions({ store: memoryStore() }), { silence });
    for (let i = 0; i < 3; i += 1)
      session({ secret: SECRET, resave: false, saveUninitialized: false, store });
    expect(await warnings()).toEqual(codes);
  },
);
