import {
  type CookieSettings,
  type WarningCode,
  warnOfUnsafeCookie,
  warnOfWeakSecret,
  warnOnce,
} from "@tenure/core/bridge";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

const printing = process.listeners("warning");
let warnings: { readonly name: string; readonly code?: string }[];

beforeEach(() => {
  warnings = [];
  process.removeAllListeners("warning");
  process.on("warning", (warning) => warnings.push(warning));
});
afterEach(() => {
  process.removeAllListeners("warning");
  for (const print of printing) process.on("warning", print);
  vi.unstubAllEnvs();
});

const codesOf = async (): Promise<(string | undefined)[]> => {
  await new Promise((resolve) => setImmediate(resolve));
  return warnings.map(({ code }) => code);
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
  "in production, $cookie is warned about once with $codes (ASVS 3.3.1, 3.3.2, 3.3.3, 3.3.4, NIST 5.1.1)",
  async ({ cookie, codes }) => {
    vi.stubEnv("NODE_ENV", "production");
    const warn = warnOnce();
    for (let i = 0; i < 3; i += 1) warnOfUnsafeCookie(warn, cookie, cookie.name);
    expect(await codesOf()).toEqual(codes);
    expect(warnings.every(({ name }) => name === "TenureWarning")).toBe(true);
  },
);

test("outside of production, secure: false is not warned about, and httpOnly: false is", async () => {
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
  expect(JSON.stringify(warnings.map(String))).not.toContain("keyboard cat");
});

test("silence stops the warnings with the given codes, and no others", async () => {
  const warn = warnOnce(["TENURE_COOKIE_NOT_HTTPONLY"]);
  warnOfUnsafeCookie(warn, { secure: false, httpOnly: false, sameSite: "none" });
  expect(await codesOf()).toEqual(["TENURE_COOKIE_SAMESITE_NONE"]);
});

test.for(["TENURE_COOKIE_NAME", ["TENURE_TYPO"], [undefined], { length: 0 }])(
  "a silence that is not a list of warning codes is refused: %o",
  (silence) => {
    expect(() => warnOnce(silence as never)).toThrow(/^silence must be a list of codes: /);
  },
);
