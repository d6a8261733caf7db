import { memoryStore, Sessions } from "@tenure/core";
import { type CookieOverrides, secureCookieOf } from "@tenure/core/bridge";
import { expect, test } from "vitest";

const sessions = new Sessions({ store: memoryStore(), idleTimeout: "30m" });
const SAFE = { name: "__Host-id", secure: true, httpOnly: true, sameSite: "lax", path: "/" };

test("the preset is a cookie for this host that ends with the browser, requires TLS and is hidden from scripts", () => {
  expect(secureCookieOf(sessions)).toEqual(SAFE);
});

test.for<CookieOverrides>([
  { name: "id", secure: false },
  { name: "__Host-shop" },
  { name: "__Secure-id", domain: "example.org", path: "/shop" },
  { sameSite: "strict" },
  { sameSite: "none" },
])("overrides replace fields of the preset: %o", (overrides) => {
  expect(secureCookieOf(sessions, overrides)).toEqual({ ...SAFE, ...overrides });
});

test("overrides that are undefined leave the preset as it is", () => {
  const none = { name: undefined, secure: undefined, httpOnly: true, domain: undefined, maxAge: undefined };
  expect(secureCookieOf(sessions, none as object)).toEqual(SAFE);
});

test.for([
  ["30m", 30 * 60_000],
  [60_000, 60_000],
] as const)("a maxAge of %s, within the idle timeout, is %i milliseconds", ([maxAge, milliseconds]) => {
  expect(secureCookieOf(sessions, { maxAge })).toEqual({ ...SAFE, maxAge: milliseconds });
});

test.for<[object, RegExp]>([
  [{ secure: false }, /needs secure.* secureCookie\(sessions, \{ secure: false, name: "id" \}\)/],
  [{ secure: false, name: "__host-id" }, /needs secure/],
  [{ secure: false, name: "__Secure-id" }, /needs secure/],
  [{ secure: false, name: "id", sameSite: "none" }, /leave secure on/],
  [{ domain: "example.org" }, /no domain.*leave both out/],
  [{ path: "/shop" }, /the path "\/".*leave both out/],
  [{ name: "__HOST-id", path: "/shop" }, /the path "\/"/],
  [{ httpOnly: false }, /httpOnly must stay on/],
  [{ httpOnly: false, name: "id" }, /httpOnly must stay on/],
  [{ sameSite: false }, /sameSite must be "lax", "strict" or "none"/],
  [{ secure: "auto", name: "id" }, /secure must be true or false/],
  [{ name: "my id" }, /name must be a cookie name/],
  [{ name: "id=1" }, /name must be a cookie name/],
  [{ name: "" }, /name must be a cookie name/],
  [{ name: "id", path: "shop" }, /path must begin with "\/"/],
  [{ name: "id", domain: "" }, /domain must be a host name/],
  [{ maxAge: "31m" }, /longer than the idle timeout.*raise idleTimeout.*logIn/],
  [{ maxAge: 0 }, /maxAge must be a positive number of milliseconds/],
  [{ cookieName: "id" }, /^Unknown option cookieName\. Known options: name, /],
])(
  "overrides that a browser would reject, or that are needlessly unsafe, are a TypeError with the remedy: %o",
  ([overrides, message]) => {
    const construct = (): unknown => secureCookieOf(sessions, overrides as CookieOverrides);
    expect(construct).toThrow(TypeError);
    expect(construct).toThrow(message);
  },
);

test("anything but a Sessions is a TypeError", () => {
  expect(() => secureCookieOf({ policy: { idleTimeout: 1 } } as never)).toThrow(TypeError);
});
