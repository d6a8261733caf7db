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
import { serve } from "./serve.ts";
import { warningsHeard } from "./warnings-heard.ts";

const HTTPS = { "x-forwarded-proto": "https" };
const SAFE = { name: "__Host-session", secret: SECRET, cookie: { secure: true, sameSite: "lax" } } as const;

function inProduction(): void {
  vi.stubEnv("NODE_ENV", "production");
  onTestFinished(() => void vi.unstubAllEnvs());
}

/** The codes of the warnings at a first visit, a login and some more visits. A proxy in front speaks HTTPS. */
async function warnedOf(
  options: Partial<SessionOptions>,
  bridge: ExpressSessionStoreOptions = {},
): Promise<string[]> {
  const warnings = warningsHeard();
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

test("settings of one session that the application changed are no cause to warn", async () => {
  const warnings = warningsHeard();
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

test("a short secret is warned about where the store is given it", async () => {
  expect(await warnedOf({ ...SAFE, secret: "short but unknown" })).toEqual([]);
  expect(await warnedOf(SAFE, { secret: "short but unknown" })).toEqual(["TENURE_SECRET_SHORT"]);
  expect(await warnedOf(SAFE, { secret: [SECRET, "short but unknown"] })).toEqual(["TENURE_SECRET_SHORT"]);
});

describe("a cookie.maxAge above the idle timeout", () => {
  test("is warned about once, at the first save", async () => {
    expect(await warnedOf({ ...SAFE, cookie: { ...SAFE.cookie, maxAge: 7 * 24 * 3_600_000 } })).toEqual([
      "TENURE_MAX_AGE_CAPPED",
    ]);
  });

  test("is no cause to warn where it is shorter", async () => {
    expect(await warnedOf({ ...SAFE, cookie: { ...SAFE.cookie, maxAge: 60_000 } })).toEqual([]);
  });
});

describe("a session that is stored although its cookie was not sent", () => {
  async function loggedIn(options: Partial<SessionOptions>, steps: string): Promise<string[]> {
    const warnings = warningsHeard();
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
    "is warned about, behind a proxy that is not trusted (%s)",
    async (steps) => {
      expect(await loggedIn({}, steps)).toEqual(["TENURE_COOKIE_NOT_SENT"]);
    },
  );

  test.for([{ proxy: true }, { cookie: { secure: "auto" } }] as const)(
    "is no cause to warn where the cookie leaves: %o",
    async (options) => {
      expect(await loggedIn(options, "logIn:ada")).toEqual([]);
      expect(await loggedIn(options, "set:a,save,logIn:ada")).toEqual([]);
      expect(await loggedIn(options, "set:a,save,regenerate,login:ada")).toEqual([]);
    },
  );
});

test("each thing is warned about once, with what to change", async () => {
  const messages: string[] = [];
  const emit = vi
    .spyOn(process, "emitWarning")
    .mockImplementation((message) => void messages.push(String(message)));
  onTestFinished(() => emit.mockRestore());
  await warnedOf({ cookie: { httpOnly: false, sameSite: "none" } }, { secret: "secret" });
  expect(messages).toHaveLength(3);
  for (const message of messages) expect(message).toMatch(/: (leave|set|use) .*/);
});

describe("each can be silenced, alone", () => {
  const unsafe = { cookie: { httpOnly: false, sameSite: "none", maxAge: 24 * 3_600_000 } } as const;

  test.for<WarningCode>([
    "TENURE_COOKIE_NOT_SECURE",
    "TENURE_COOKIE_NOT_HTTPONLY",
    "TENURE_COOKIE_SAMESITE_NONE",
    "TENURE_SECRET_SHORT",
    "TENURE_MAX_AGE_CAPPED",
  ])("%s", async (code) => {
    inProduction();
    const all = await warnedOf(unsafe, { secret: "short" });
    expect(all).toHaveLength(5);
    expect(all).toContain(code);
    const others = await warnedOf(unsafe, { secret: "short", silence: [code] });
    expect(others).toEqual(all.filter((given) => given !== code));
  });
});

test.for([
  { silence: [] as const, codes: ["TENURE_STORE_SHARED"] },
  { silence: ["TENURE_STORE_SHARED"] as const, codes: [] },
])(
  "two middlewares on one store are warned about, unless it is silenced: $silence",
  async ({ silence, codes }) => {
    const warnings = warningsHeard();
    const store = expressSessionStore(new Sessions({ store: memoryStore() }), { silence });
    for (let i = 0; i < 3; i += 1)
      session({ secret: SECRET, resave: false, saveUninitialized: false, store });
    expect(await warnings()).toEqual(codes);
  },
);
