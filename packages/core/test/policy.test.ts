import { type Duration, MAX_DURATION, memoryStore, parseDuration, Sessions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { queryBuilder } from "./query-builder.ts";

describe("a duration", () => {
  test.each<[Duration, number]>([
    [1, 1],
    [1500, 1500],
    ["250ms", 250],
    ["90s", 90_000],
    ["30m", 1_800_000],
    ["12h", 43_200_000],
    ["30d", 2_592_000_000],
    ["1.5h", 5_400_000],
    [MAX_DURATION, MAX_DURATION],
  ])("%s is %d ms", (duration, ms) => {
    expect(parseDuration("idleTimeout", duration)).toBe(ms);
  });

  test.each<unknown>([
    0,
    -1,
    Number.NaN,
    Infinity,
    -Infinity,
    MAX_DURATION + 1,
    "",
    "30",
    "m",
    "-5m",
    "5 m",
    "5M",
    "1e3s",
    "1w",
    null,
    {},
    [],
    ["30m"],
    [30],
    Object("30m"),
    30n,
    true,
  ])("%o is refused with the name of its option", (duration) => {
    expect(() => parseDuration("idleTimeout", duration as Duration)).toThrow(/^idleTimeout must be .*"30m"/);
  });
});

describe("Sessions refuses at construction", () => {
  const store = memoryStore();
  test.each([
    [undefined, /store is missing/],
    [{}, /store is missing/],
    [{ store: memoryStore }, /^store is not a SessionStore such as memoryStore\(\): it lacks create/],
    [{ store: "redis://localhost" }, /^store is not a SessionStore such as memoryStore\(\): it lacks create/],
    [{ store: {} }, /it lacks create, read, update, revoke, revokeUser, listUser, scan, now$/],
    [{ store: { ...store, revokeUser: undefined } }, /it lacks revokeUser$/],
    [{ store, idleTimeOut: "30m" }, /Unknown option idleTimeOut. Known options: .*idleTimeout/],
    [{ store, mayLengthen: true }, /Unknown option mayLengthen/],
    [{ store, protect: { key: [] } }, /^Unknown option key. Known options: keys, acceptPlain$/],
    [{ store, maxLifetime: "1h" }, /maxLifetime must not be shorter/],
    [{ store, maxIdleTimeout: "1m" }, /maxIdleTimeout must not be shorter/],
    [{ store, maxIdleTimeout: "14d" }, /maxIdleTimeout must not be longer than maxLifetime/],
    [{ store, onCap: "drop" }, /onCap must be/],
    [{ store, codec: { encode: async () => "", decode: () => ({}) } }, /codec must be synchronous/],
    [{ store, userId: "userId" }, /userId must be a function/],
    [{ store, userId: null }, /userId must be a function/],
    [
      { store, userId: (data: { readonly user: { readonly id: string } }) => data.user.id },
      /userId throws for data without a user/,
    ],
    [{ store, userId: async () => "ada" }, /userId must be synchronous/],
    [{ store, userId: () => Promise.reject(new Error("no database")) }, /userId must be synchronous/],
    [{ store, userId: () => queryBuilder() }, /userId must be synchronous/],
    [{ store, codec: { encode: () => queryBuilder(), decode: () => ({}) } }, /codec must be synchronous/],
    [{ store, codec: JSON }, /codec must have the functions encode and decode/],
    [{ store, codec: null }, /codec must have the functions encode and decode/],
    [{ store, idleTimeout: "soon" }, /idleTimeout/],
    [{ store, lifetime: -1 }, /lifetime/],
    [{ store, idleTimeout: "13h", lifetime: "12h" }, /idleTimeout must not be longer than lifetime/],
    [{ store, idleTimeout: "4m", touchEvery: "61s" }, /touchEvery must be at most a quarter/],
    [{ store, maxPerUser: 0 }, /maxPerUser/],
    [{ store, maxPerUser: 2.5 }, /maxPerUser must be a whole number/],
    [{ store, maxDataBytes: Number.NaN }, /maxDataBytes/],
    [{ store, minTokenBits: "128" }, /minTokenBits/],
  ])("%o", (options, message) => {
    expect(() => new Sessions(options as never)).toThrow(TypeError);
    expect(() => new Sessions(options as never)).toThrow(message);
  });
});

test("the default idleTimeout and touchEvery are shortened to fit a short lifetime", () => {
  const { policy } = new Sessions({ store: memoryStore(), lifetime: "2s" });
  expect(policy).toMatchObject({ idleTimeout: 2000, lifetime: 2000, touchEvery: 500 });
});
