import { randomBytes } from "node:crypto";
import { memoryStore, newToken, Sessions, type SessionStore, StoreError } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { counted } from "./counted.ts";

describe("revocation", () => {
  test("by token is for good, and says whether it ended anything (ASVS 7.4.1, NIST 5.1)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({});
    expect(await sessions.revoke(token)).toBe(true);
    expect(await sessions.revoke(token)).toBe(false);
    expect(await sessions.revoke(newToken())).toBe(false);
    expect(await sessions.get(token)).toBeNull();
  });

  test("by id ends any of one's own sessions, and none of another's (ASVS 7.5.2)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({}, { userId: "ada" });
    const { id } = session!;
    expect(await sessions.revokeById(id, { userId: "eve" })).toBe(false);
    expect(await sessions.get(token)).not.toBeNull();
    expect(await sessions.revokeById(id, { userId: "ada" })).toBe(true);
    expect(await sessions.get(token)).toBeNull();
    expect(await sessions.revokeById(id)).toBe(false);
  });

  test("of all a user's spares the current one, and other users (ASVS 7.4.2, 7.4.3)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const logins = await Promise.all([1, 2, 3].map((n) => sessions.create({ n }, { userId: "ada" })));
    await sessions.create({}, { userId: "bob" });
    await sessions.create({});
    expect(await sessions.revokeAllForUser("ada", { exceptToken: logins[1]!.token! })).toBe(2);
    expect((await sessions.listForUser("ada")).map(({ data }) => data)).toEqual([{ n: 2 }]);
    expect(await sessions.revokeAllForUser("ada", { exceptId: logins[1]!.session!.id })).toBe(0);
    expect(await sessions.revokeAllForUser("ada", { exceptToken: "not a token of anybody" })).toBe(1);
    expect(await sessions.listForUser("bob")).toHaveLength(1);
  });

  test("of everyone leaves nobody (ASVS 7.4.5)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    await Promise.all(Array.from({ length: 500 }, (_, n) => sessions.create({}, n % 2 ? { userId: n } : {})));
    expect(await sessions.revokeEveryone()).toBe(500);
    let left = 0;
    for await (const _ of sessions.all()) left += 1;
    expect(left).toBe(0);
  });

  test("a login that comes after log out everywhere stays", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    await sessions.create({}, { userId: "ada" });
    await sessions.revokeAllForUser("ada");
    const { token } = await sessions.create({}, { userId: "ada" });
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("refuses a login that began before it, and no login that began after it, also within one millisecond", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    for (let round = 0; round < 300; round += 1) {
      const userId = `user ${round}`;
      await sessions.revokeAllForUser(userId);
      const before = await sessions.since();
      await sessions.revokeAllForUser(userId);
      const late = await sessions.logIn(null, userId, { since: before });
      const next = await sessions.logIn(null, userId, { since: await sessions.since() });
      expect([late.refused, next.refused]).toEqual(["logged-out-meanwhile", undefined]);
    }
  });

  test("a user's list has what a devices page needs, oldest first, and never a token (ASVS 7.5.2)", async () => {
    let now = 1_000_000;
    const sessions = new Sessions({
      store: memoryStore({ clock: () => now }),
      idleTimeout: 500,
      lifetime: 5000,
    });
    const tokens: string[] = [];
    for (const browser of ["Firefox", "Safari", "Edge"]) {
      tokens.push((await sessions.create({ browser }, { userId: "ada" })).token!);
      now += 100;
    }
    const list = await sessions.listForUser("ada");
    expect(list[0]).toEqual({
      id: sessions.idOf(tokens[0]!),
      userId: "ada",
      authenticatedAt: expect.closeTo(1_000_000, -3) as number,
      data: { browser: "Firefox" },
      createdAt: 1_000_000,
      touchedAt: 1_000_000,
      idle: 500,
      expiresAt: 1_000_500,
      endsAt: 1_005_000,
    });
    expect(list.map(({ data }) => data?.browser)).toEqual(["Firefox", "Safari", "Edge"]);
    for (const token of tokens) expect(JSON.stringify(list)).not.toContain(token.split(".")[1]);
  });

  test("is seen by open connections of another process, without a use and with one read each", async () => {
    let now = 1_000_000;
    const { store, calls } = counted(memoryStore({ clock: () => now }));
    const [here, there] = [new Sessions({ store }), new Sessions({ store })];
    const open = await Promise.all(["ada", "ada", "bob"].map((userId) => here.create({ userId })));
    const loaded = open.map(({ session }) => session);
    expect(await here.areLive(loaded)).toEqual([true, true, true]);
    await there.rotate(open[0]!.token);
    await there.revoke(open[1]!.token);
    await there.logIn(open[2]!.token, "eve");
    now += 60_000;
    calls();
    expect(await here.areLive(loaded)).toEqual([true, false, false]);
    expect(calls()).toEqual(["read", "read", "read"]);
    now += 30 * 60_000;
    expect(await here.areLive(loaded)).toEqual([false, false, false]);
  });
});

test("a session whose record cannot be read counts as dead for open connections, and hides no other", async () => {
  const store = memoryStore();
  const unreadable = new Set<string>();
  const read: typeof store.read = (id) =>
    unreadable.has(id) ? Promise.reject(new StoreError("read", `${id} is not a session`)) : store.read(id);
  const sessions = new Sessions({ store: { ...store, read } });
  const open = await Promise.all(["ada", "bob", "eve"].map((userId) => sessions.create({ userId })));
  const loaded = open.map(({ session }) => session);
  await sessions.revoke(open[2]!.token);
  unreadable.add(loaded[0]!.id);
  expect(await sessions.areLive(loaded)).toEqual([false, true, false]);
  await expect(sessions.areLive(loaded.slice(0, 1))).rejects.toThrow(loaded[0]!.id);
  for (const { id } of loaded) unreadable.add(id);
  await expect(sessions.areLive(loaded)).rejects.toThrow(`${loaded[0]!.id} is not a session`);
  expect(await sessions.areLive([])).toEqual([]);
});

test("by id with a user who is not known is a TypeError, and ends nobody's session", async () => {
  const sessions = new Sessions({ store: memoryStore() });
  const { token, session } = await sessions.create({}, { userId: "ada" });
  const unknown = { userId: undefined } as unknown as { readonly userId: string };
  await expect(sessions.revokeById(session!.id, unknown)).rejects.toThrow(TypeError);
  expect(await sessions.get(token)).not.toBeNull();
});

test("of everyone ends all that the store can read, and then rejects with its error", async () => {
  const store = memoryStore();
  await Promise.all(Array.from({ length: 150 }, () => new Sessions({ store }).create({})));
  const failing: SessionStore = {
    ...store,
    async *scan() {
      yield* store.scan();
      throw new StoreError("scan", "a record is no session");
    },
  };
  await expect(new Sessions({ store: failing }).revokeEveryone()).rejects.toThrow("no session");
  expect(await Array.fromAsync(store.scan())).toEqual([]);
});

test.each([
  ["of everyone", (sessions: Sessions) => sessions.revokeEveryone()],
  ["a reencryption", (sessions: Sessions) => sessions.reencrypt()],
])("%s rejects with the error of the scan, even if the last sessions fail, too", async (_, run) => {
  const store = memoryStore();
  await new Sessions({ store }).create({});
  const failing: SessionStore = {
    ...store,
    revoke: () => Promise.reject(new StoreError("revoke", "down")),
    update: () => Promise.reject(new StoreError("update", "down")),
    async *scan() {
      yield* store.scan();
      throw new StoreError("scan", "a record is no session");
    },
  };
  const protect = { keys: [{ id: "1", key: randomBytes(32) }], acceptPlain: true };
  await expect(run(new Sessions({ store: failing, protect }))).rejects.toThrow("a record is no session");
});

test("of everyone rejects if the store fails while the next sessions are looked for, and the process lives", async () => {
  const store = memoryStore();
  await Promise.all(Array.from({ length: 3 }, () => new Sessions({ store }).create({})));
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on("unhandledRejection", note);
  const failing: SessionStore = {
    ...store,
    revoke: () => Promise.reject(new StoreError("revoke", "down")),
    async *scan() {
      for await (const record of store.scan()) {
        yield record;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
  await expect(new Sessions({ store: failing }).revokeEveryone()).rejects.toThrow("down");
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

test("an id is no token: nothing is stored under the id of a live session", async () => {
  const sessions = new Sessions({ store: memoryStore() });
  const { session } = await sessions.create({ role: "admin" }, { userId: "ada" });
  await expect(sessions.createWithToken(session!.id, { userId: "ada" })).rejects.toThrow(
    "an id is not a token",
  );
  expect(await sessions.get(session!.id)).toBeNull();
  expect(await sessions.listForUser("ada")).toHaveLength(1);
});

test("of all a user's spares the session of a token, and none for a token with a wrong secret", async () => {
  const sessions = new Sessions({ store: memoryStore() });
  const { token } = await sessions.create({}, { userId: "ada" });
  expect(await sessions.revokeAllForUser("ada", { exceptToken: token! })).toBe(0);
  const forged = newToken(sessions.idOf(token!)!);
  expect(await sessions.revokeAllForUser("ada", { exceptToken: forged })).toBe(1);
});

test("of all a user's is refused with two sessions to spare, and ends nothing", async () => {
  const sessions = new Sessions({ store: memoryStore() });
  const { token, session } = await sessions.create({}, { userId: "ada" });
  const both = { exceptToken: token!, exceptId: session!.id };
  await expect(sessions.revokeAllForUser("ada", both)).rejects.toThrow(
    new TypeError("exceptToken and exceptId both name the session to keep: give one of them"),
  );
  expect(await sessions.get(token)).not.toBeNull();
});
