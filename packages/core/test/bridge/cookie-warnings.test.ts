import {
  type CookieSettings,
  type WarningCode,
  warnOfUnsafeCookie,
  warnOfWeakSecret,
  warnOnce,
} from "@tenure/core/bridge";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

const printing = process.listeners("warning");
let heard: { readonly name: string; readonly code?: string }[];

beforeEach(() => {
  heard = [];
  process.removeAllListeners("warning");
  process.on("warning", (warning) => heard.push(warning));
});
afterEach(() => {
  process.removeAllListeners("warning");
  for (const print of printing) process.on("warning", print);
  vi.unstubAllEnvs();
});

const codesOf = async (): Promise<(string | undefined)[]> => {
  await new Promise((resolve) => setImmediate(resolve));
  return heard.map(({ code }) => code);
};

interface NamedCookie extends CookieSettings {
  readonly name?: string;
}

const SAFE: NamedCookie = {
  name: "__Host-session",
  secure: true,
  httpOnly: true,
  sameSite: "lax",
  path: "/",
};

test.for<{ cookie: NamedCookie; codes: WarningCode[] }>([
  { cookie: SAFE, codes: [] },
  { cookie: { ...SAFE, sameSite: "none" }, codes: [] },
  { cookie: { ...SAFE, name: "sid" }, codes: ["TENURE_COOKIE_NAME"] },
  { cookie: { ...SAFE, name: "sid", domain: "example.org" }, codes: [] },
  { cookie: { ...SAFE, name: "sid", path: "/app" }, codes: [] },
  { cookie: { ...SAFE, secure: false, name: "sid" }, codes: ["TENURE_COOKIE_NOT_SECURE"] },
  {
    cookie: { httpOnly: false, sameSite: "None" },
    codes: ["TENURE_COOKIE_NOT_SECURE", "TENURE_COOKIE_NOT_HTTPONLY", "TENURE_COOKIE_SAMESITE_NONE"],
  },
])(
  "in production $cookie warns of $codes, once (ASVS 3.3.1, 3.3.2, 3.3.3, 3.3.4, NIST 5.1.1)",
  async ({ cookie, codes }) => {
    vi.stubEnv("NODE_ENV", "production");
    const warn = warnOnce();
    for (let i = 0; i < 3; i += 1) warnOfUnsafeCookie(warn, cookie, cookie.name);
    expect(await codesOf()).toEqual(codes);
    expect(heard.every(({ name }) => name === "TenureWarning")).toBe(true);
  },
);

test("out of production only secure is let pass", async () => {
  vi.stubEnv("NODE_ENV", "development");
  warnOfUnsafeCookie(warnOnce(), { secure: false, httpOnly: false });
  expect(await codesOf()).toEqual(["TENURE_COOKIE_NOT_HTTPONLY"]);
});

test("secrets of fewer than 32 characters are warned about, and never shown", async () => {
  const warn = warnOnce();
  warnOfWeakSecret(warn, ["x".repeat(32), Buffer.alloc(32)]);
  expect(await codesOf()).toEqual([]);
  warnOfWeakSecret(warn, ["keyboard cat"]);
  expect(await codesOf()).toEqual(["TENURE_SECRET_SHORT"]);
  expect(JSON.stringify(heard.map(String))).not.toContain("keyboard cat");
});

test("a code that is silenced is not warned about, and others are", async () => {
  const warn = warnOnce(["TENURE_COOKIE_NOT_HTTPONLY"]);
  warnOfUnsafeCookie(warn, { secure: false, httpOnly: false, sameSite: "none" });
  expect(await codesOf()).toEqual(["TENURE_COOKIE_SAMESITE_NONE"]);
});

test.for(["TENURE_COOKIE_NAME", ["TENURE_TYPO"], [undefined], { length: 0 }])(
  "what is no list of codes is refused, and not taken for one that silences nothing: %o",
  (silence) => {
    expect(() => warnOnce(silence as never)).toThrow(/^silence must be a list of codes: /);
  },
);
