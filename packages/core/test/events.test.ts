import { subscribe, unsubscribe } from "node:diagnostics_channel";
import {
  memoryStore,
  newToken,
  type SessionEvents,
  type SessionRecord,
  Sessions,
  type SessionStore,
  StoreError,
  type StoreOperation,
} from "@tenure/core";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { counted } from "./counted.ts";

const names: readonly (keyof SessionEvents)[] = [
  "created",
  "rotated",
  "revoked",
  "expired",
  "late-save-dropped",
  "conflict-merged",
  "touch-failed",
  "refused",
  "store-failure",
];
let heard: (Record<string, unknown> & { event: string })[];
const listen = (message: unknown, channel: string | symbol): void => {
  heard.push({ event: String(channel).slice("tenure:".length), ...(message as object) });
};
beforeEach(() => {
  // The store's clock, by default, and this process's own.
  vi.useFakeTimers({ toFake: ["Date", "performance"], now: 1_800_000_000_000 });
  heard = [];
  for (const name of names) subscribe(`tenure:${name}`, listen);
});
afterEach(() => {
  vi.useRealTimers();
  for (const name of names) unsubscribe(`tenure:${name}`, listen);
});
const told = (): unknown[] =>
  heard.map((event) => Object.fromEntries(Object.entries(event).filter(([key]) => key !== "at")));

describe("events", () => {
  test("tell who and when (ASVS 16.2.1)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { session } = await sessions.create({}, { userId: "ada" });
    expect(heard).toEqual([{ event: "created", at: Date.now(), id: session.id, userId: "ada" }]);
  });

  test("tell why a session was revoked (ASVS 16.3.3)", async () => {
    let now = 1_000_000;
    const sessions = new Sessions({ store: memoryStore({ clock: () => (now += 1) }), maxPerUser: 2 });
    await sessions.create({}, { userId: "ada" });
    const second = await sessions.create({}, { userId: "ada" });
    const third = await sessions.create({}, { userId: "ada" });
    const rotated = (await sessions.rotate(second.token))!;
    await sessions.revoke(rotated.token);
    await sessions.revoke(rotated.token);
    await sessions.revokeById(third.session.id);
    await sessions.create({}, { userId: "bob" });
    await sessions.revokeAllForUser("bob");
    await sessions.create({}, { userId: "eve" });
    await sessions.revokeEveryone();
    expect(
      heard.filter(({ event }) => event === "revoked").map(({ why, userId, count }) => [why, userId, count]),
    ).toEqual([
      ["cap", "ada", 1],
      ["rotation", "ada", 1],
      ["logout", "ada", 1],
      ["id", "ada", 1],
      ["user", "bob", 1],
      ["everyone", "eve", 1],
    ]);
    const rotation = heard.find(({ event }) => event === "rotated");
    expect(rotation).toMatchObject({ id: rotated.session.id, from: second.session.id, userId: "ada" });
  });

  test("tell of merges, and of what a late save and a touch found dead", async () => {
    const sessions = new Sessions({ store: memoryStore(), idleTimeout: 60_000 });
    const { token, session } = await sessions.create({ a: 1 }, { userId: "ada" });
    const about = { id: session.id, userId: "ada" };
    const other = (await sessions.get(token))!;
    await sessions.save(session, { a: 2 });
    await sessions.save(other, { a: 1, b: 2 });
    vi.advanceTimersByTime(60_000);
    await sessions.save(session, { a: 3 });
    await sessions.touch(session);
    expect(told()).toEqual([
      { event: "created", ...about },
      { event: "conflict-merged", ...about },
      { event: "late-save-dropped", ...about },
      { event: "expired", ...about },
      { event: "expired", ...about },
    ]);
  });

  test("tell of a late save of a session that was revoked, and of no expiry", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({}, { userId: "ada" });
    await sessions.revoke(token);
    await sessions.save(session, { a: 1 });
    expect(told().at(-1)).toEqual({ event: "late-save-dropped", id: session.id, userId: "ada" });
  });

  test("tell of a rotation, once", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({});
    const rotated = (await sessions.rotate(token, { userId: "ada" }))!;
    expect(told().slice(1)).toEqual([
      { event: "rotated", id: rotated.session.id, userId: "ada", from: session.id },
      { event: "revoked", id: session.id, userId: null, why: "rotation", count: 1 },
    ]);
  });

  test("cost the store nothing while nobody listens, and a logout one read where somebody does", async () => {
    const { store, calls } = counted(memoryStore());
    const sessions = new Sessions({ store });
    const [one, two] = [await sessions.create({}), await sessions.create({})];
    calls();
    await sessions.revoke(one.token);
    expect(calls()).toEqual(["read", "revoke"]);
    for (const name of names) unsubscribe(`tenure:${name}`, listen);
    await sessions.revoke(two.token);
    expect(calls()).toEqual(["revoke"]);
  });

  test("tell of nothing where nothing was revoked", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    await sessions.revoke(newToken());
    await sessions.revokeById("x".repeat(43));
    await sessions.revokeAllForUser("ada");
    await sessions.revokeEveryone();
    expect(told()).toEqual([]);
  });

  test("tell of every refusal, with one line for a person", async () => {
    const store = memoryStore();
    const sessions = new Sessions({ store, idleTimeout: 400 });
    const { session } = await sessions.create({}, { userId: "ada" });
    const refused = { event: "refused", id: null, userId: null };
    const about = { ...refused, id: session.id, userId: "ada" };
    const refusals: [() => Promise<unknown>, object, string][] = [
      [() => sessions.createWithToken("weak", {}), refused, "too weak"],
      [() => sessions.create([] as never), { ...refused, id: expect.any(String) }, "must be an object"],
      [() => sessions.create({ a: 1n }), { ...refused, id: expect.any(String) }, "could not encode"],
      [() => sessions.save(session, {}, { idle: -1 }), about, "idle must be"],
      [() => sessions.touch(session, { idle: Number.NaN }), about, "idle must be"],
      [() => sessions.save(session, {}, { userId: 1.5 }), about, "user id must be"],
      [() => sessions.revokeAllForUser(""), refused, "user id must be"],
      [() => sessions.listForUser(""), refused, "user id must be"],
      [() => sessions.revokeById(session.id, { userId: "" }), refused, "user id must be"],
    ];
    for (const [call, event, why] of refusals) {
      heard = [];
      await expect(call()).rejects.toThrow(TypeError);
      expect(told()).toEqual([{ ...event, why: expect.stringContaining(why) }]);
    }
  });

  test("tell of failures, of lost touches, and of data that can't be read", async () => {
    const store = memoryStore();
    const failing = { ...store, update: () => Promise.reject(new StoreError("update", "down")) };
    const sessions = new Sessions({ store: failing, idleTimeout: 60_000 });
    const { token, session } = await sessions.create({}, { userId: "ada" });
    vi.advanceTimersByTime(30_000);
    await sessions.get(token);
    const down = new Sessions({ store: failingAt("read", new Error("connect ENOENT")) });
    await expect(down.get(token)).rejects.toThrow("read: the store failed");
    const codec = { encode: JSON.stringify, decode: (): object => JSON.parse("s3cr3t") as object };
    await expect(new Sessions({ store, codec }).get(token)).rejects.toThrow(StoreError);
    const { id } = session;
    expect(told()).toEqual([
      { event: "created", id, userId: "ada" },
      { event: "store-failure", id, userId: null, error: expect.any(StoreError) },
      { event: "touch-failed", id, userId: "ada", error: expect.any(StoreError) },
      { event: "store-failure", id, userId: null, error: expect.any(StoreError) },
      { event: "store-failure", id, userId: "ada", error: expect.any(StoreError) },
    ]);
  });

  test("never hold a token or session data (ASVS 16.2.5)", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxDataBytes: 100 });
    const { token, session } = await sessions.create({ secret: "s3cr3t" }, { userId: "ada" });
    await sessions.save(session, { secret: "s3cr3t", a: 1 });
    await sessions.save(session, { secret: "s3cr3t", b: 1 });
    await sessions.save(session, { secret: "s3cr3t".repeat(50) }).catch(() => undefined);
    const rotated = await sessions.rotate(token);
    await sessions.save(session, { secret: "s3cr3t", c: 1 });
    await sessions.createWithToken("s3cr3t-weak", {}).catch(() => undefined);
    await sessions.revoke(rotated!.token);
    expect(heard.length).toBeGreaterThan(6);
    for (const secret of ["s3cr3t", token, rotated!.token])
      expect(JSON.stringify(heard)).not.toContain(secret);
  });
});

describe("a failing store", () => {
  test("is a StoreError with the operation and the cause, and no code of a driver", async () => {
    const cause = Object.assign(new Error("connect ENOENT /tmp/redis.sock"), { code: "ENOENT" });
    const calls: [StoreOperation, (sessions: Sessions) => Promise<unknown>][] = [
      ["create", (sessions) => sessions.create({})],
      ["read", (sessions) => sessions.get("x".repeat(43))],
      ["read", (sessions) => sessions.rotate("x".repeat(43))],
      ["revoke", (sessions) => sessions.revoke("x".repeat(43))],
      ["revokeUser", (sessions) => sessions.revokeAllForUser("ada")],
      ["listUser", (sessions) => sessions.listForUser("ada")],
      ["scan", (sessions) => sessions.revokeEveryone()],
    ];
    for (const [operation, call] of calls) {
      const sessions = new Sessions({ store: failingAt(operation, cause) });
      const error: unknown = await call(sessions).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(StoreError);
      expect(error).toMatchObject({ name: "StoreError", operation, cause });
      expect(error).not.toHaveProperty("code");
    }
  });

  test("that refuses what it can't hold is a TypeError, and a failure where it is the client's own", async () => {
    const tooLong = new TypeError("userId is longer than this backend can index");
    const ofClient = new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
    const attempts: [StoreOperation, TypeError, (sessions: Sessions) => Promise<unknown>, boolean][] = [
      ["create", tooLong, (sessions) => sessions.create({}), true],
      ["listUser", tooLong, (sessions) => sessions.listForUser("ada"), true],
      ["create", ofClient, (sessions) => sessions.create({}), false],
      ["read", new TypeError("id is not a string"), (sessions) => sessions.get("x"), false],
      ["revoke", new TypeError("undefined is not a function"), (sessions) => sessions.revoke("x"), false],
    ];
    for (const [operation, error, call, isRefusal] of attempts) {
      heard = [];
      const caught: unknown = await call(new Sessions({ store: failingAt(operation, error) })).catch(
        (thrown: unknown) => thrown,
      );
      if (isRefusal) expect(caught).toBe(error);
      else expect(caught).toMatchObject({ name: "StoreError", operation, cause: error });
      expect(heard.map(({ event }) => event)).toEqual([isRefusal ? "refused" : "store-failure"]);
    }
  });
});

function failingAt(operation: StoreOperation, cause: Error): SessionStore {
  // eslint-disable-next-line require-yield
  const scan = async function* (): AsyncIterable<SessionRecord> {
    throw cause;
  };
  return { ...memoryStore(), [operation]: operation === "scan" ? scan : () => Promise.reject(cause) };
}
