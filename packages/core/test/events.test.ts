import { subscribe, unsubscribe } from "node:diagnostics_channel";
import {
  memoryStore,
  type SessionEvents,
  type SessionRecord,
  Sessions,
  type SessionStore,
  StoreError,
  type StoreOperation,
} from "@tenure/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

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
  heard = [];
  for (const name of names) subscribe(`tenure:${name}`, listen);
});
afterEach(() => {
  for (const name of names) unsubscribe(`tenure:${name}`, listen);
});
const told = (): unknown[] =>
  heard.map((event) => Object.fromEntries(Object.entries(event).filter(([key]) => key !== "at")));

describe("events", () => {
  test("tell who and when (ASVS 16.2.1)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const before = Date.now();
    const { session } = await sessions.create({}, { userId: "ada" });
    expect(heard).toEqual([{ event: "created", at: expect.any(Number), id: session.id, userId: "ada" }]);
    expect(heard[0]!.at).toBeGreaterThanOrEqual(before);
    expect(heard[0]!.at).toBeLessThanOrEqual(Date.now());
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

  test("tell of late saves, merges and sessions found expired", async () => {
    let now = 1_000_000;
    const sessions = new Sessions({ store: memoryStore({ clock: () => now }), idleTimeout: 60_000 });
    const { token, session } = await sessions.create({ a: 1 }, { userId: "ada" });
    const about = { id: session.id, userId: "ada" };
    const other = (await sessions.get(token))!;
    await sessions.save(session, { a: 2 });
    await sessions.save(other, { a: 1, b: 2 });
    now += 60_000;
    const impatient = new Sessions({ store: memoryStore({ clock: () => now }), idleTimeout: 1 });
    const brief = await impatient.create({});
    now += 60_000;
    await sessions.save(session, { a: 3 });
    expect(told()).toEqual([
      { event: "created", ...about },
      { event: "conflict-merged", ...about },
      { event: "created", id: brief.session.id, userId: null },
      { event: "late-save-dropped", ...about },
    ]);
  });

  test("tell of sessions found expired", async () => {
    const sessions = new Sessions({ store: memoryStore(), idleTimeout: 20 });
    const { session } = await sessions.create({}, { userId: "ada" });
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(await sessions.touch(session)).toBeNull();
    expect(told().at(-1)).toEqual({ event: "expired", id: session.id, userId: "ada" });
  });

  test("tell of refusals, failures and lost touches", async () => {
    const store = memoryStore();
    let down = false;
    const flaky = { ...store, read: (id: string) => store.read(id) };
    const sessions = new Sessions({
      store: {
        ...flaky,
        read: (id) => (down ? Promise.reject(new Error("connect ENOENT")) : store.read(id)),
        update: () => Promise.reject(new StoreError("update", "down")),
      },
      idleTimeout: 400,
      touchEvery: 1,
    });
    await expect(sessions.createWithToken("weak", {})).rejects.toThrow(TypeError);
    const { token, session } = await sessions.create({}, { userId: "ada" });
    await new Promise((resolve) => setTimeout(resolve, 20));
    await sessions.get(token);
    down = true;
    await expect(sessions.get(token)).rejects.toThrow("read: the store failed");
    expect(told()).toEqual([
      { event: "refused", id: null, userId: null, why: expect.stringContaining("too weak") },
      { event: "created", id: session.id, userId: "ada" },
      { event: "store-failure", id: session.id, userId: null, error: expect.any(StoreError) },
      { event: "touch-failed", id: session.id, userId: "ada", error: expect.any(StoreError) },
      { event: "store-failure", id: session.id, userId: null, error: expect.any(StoreError) },
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
});

function failingAt(operation: StoreOperation, cause: Error): SessionStore {
  // eslint-disable-next-line require-yield
  const scan = async function* (): AsyncIterable<SessionRecord> {
    throw cause;
  };
  return { ...memoryStore(), [operation]: operation === "scan" ? scan : () => Promise.reject(cause) };
}
