import { randomBytes } from "node:crypto";
import { memoryStore, newToken, Sessions, type SessionStore, StoreError } from "@tenure/core";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { turns } from "./interleaved.ts";
import { recordCalls } from "./record-calls.ts";

test("revoke ends a session for good, and returns whether it did (ASVS 7.4.1, NIST 5.1)", async () => {
  const sessions = new Sessions({ store: memoryStore() });
  const { token } = await sessions.create({});
  expect(await sessions.revoke(token)).toBe(true);
  expect(await sessions.revoke(token)).toBe(false);
  expect(await sessions.revoke(newToken())).toBe(false);
  expect(await sessions.get(token)).toBeNull();
});

describe("revokeById", () => {
  test("with a userId ends any session of that user, and none of another user (ASVS 7.5.2)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({}, { userId: "ada" });
    const { id } = session!;
    expect(await sessions.revokeById(id, { userId: "eve" })).toBe(false);
    expect(await sessions.get(token)).not.toBeNull();
    expect(await sessions.revokeById(id, { userId: "ada" })).toBe(true);
    expect(await sessions.get(token)).toBeNull();
    expect(await sessions.revokeById(id)).toBe(false);
  });

  test("with a userId of undefined rejects with a TypeError, and ends nothing", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({}, { userId: "ada" });
    const unknown = { userId: undefined } as unknown as { readonly userId: string };
    await expect(sessions.revokeById(session!.id, unknown)).rejects.toThrow(TypeError);
    expect(await sessions.get(token)).not.toBeNull();
  });
});

describe("revokeAllForUser", () => {
  test("ends all sessions of the user except the current one, and no other user's (ASVS 7.4.2, 7.4.3)", async () => {
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

  test("does not spare the session of an exceptToken with a wrong secret", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({}, { userId: "ada" });
    const forged = newToken(sessions.idOf(token!)!);
    expect(await sessions.revokeAllForUser("ada", { exceptToken: forged })).toBe(1);
  });

  test("does not spare the session of an exceptToken that a thief may have replaced long ago", async () => {
    vi.useFakeTimers({ toFake: ["Date", "performance"] });
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({}, { userId: "ada" });
    await sessions.rotate(token!);
    vi.advanceTimersByTime(30_000);
    expect(await sessions.revokeAllForUser("ada", { exceptToken: token! })).toBe(1);
    vi.useRealTimers();
  });

  test("rejects exceptToken together with exceptId, and ends nothing", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({}, { userId: "ada" });
    const both = { exceptToken: token!, exceptId: session!.id };
    await expect(sessions.revokeAllForUser("ada", both)).rejects.toThrow(
      new TypeError("exceptToken and exceptId both name the session to keep: give one of them"),
    );
    expect(await sessions.get(token)).not.toBeNull();
  });
});

describe("revokeEveryone", () => {
  test("ends every session (ASVS 7.4.5)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    await Promise.all(Array.from({ length: 500 }, (_, n) => sessions.create({}, n % 2 ? { userId: n } : {})));
    expect(await sessions.revokeEveryone()).toBe(500);
    expect(await Array.fromAsync(sessions.all())).toEqual([]);
  });

  test("ends all sessions that the store can read, and then rejects with its error", async () => {
    const store = memoryStore();
    await Promise.all(Array.from({ length: 150 }, () => new Sessions({ store }).create({})));
    await expect(new Sessions({ store: failingAfterScan(store) }).revokeEveryone()).rejects.toThrow(
      "a record is not a session",
    );
    expect(await Array.fromAsync(store.scan())).toEqual([]);
  });

  test("rejects if the store fails during the scan, without an unhandled rejection", async () => {
    const store = memoryStore();
    // It ends 100 sessions at a time, so the first of them fail before the scan is over.
    await Promise.all(Array.from({ length: 150 }, () => new Sessions({ store }).create({})));
    const unhandled: unknown[] = [];
    const listen = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", listen);
    onTestFinished(() => void process.off("unhandledRejection", listen));
    const failing: SessionStore = {
      ...store,
      revoke: () => Promise.reject(new StoreError("revoke", "down")),
      async *scan() {
        for await (const record of store.scan()) {
          yield record;
          await turns(1);
        }
      },
    };
    await expect(new Sessions({ store: failing }).revokeEveryone()).rejects.toThrow("down");
    expect(unhandled).toEqual([]);
  });
});

test.each([
  ["revokeEveryone", (sessions: Sessions) => sessions.revokeEveryone()],
  ["reencrypt", (sessions: Sessions) => sessions.reencrypt()],
])("%s rejects with the scan's error, even if its last writes fail too", async (_, run) => {
  const store = memoryStore();
  await new Sessions({ store }).create({});
  const failing: SessionStore = {
    ...failingAfterScan(store),
    revoke: () => Promise.reject(new StoreError("revoke", "down")),
    update: () => Promise.reject(new StoreError("update", "down")),
  };
  const protect = { keys: [{ id: "1", key: randomBytes(32) }], acceptPlain: true };
  await expect(run(new Sessions({ store: failing, protect }))).rejects.toThrow("a record is not a session");
});

/** A store whose scan yields every session and then throws, as for a record that cannot be decoded. */
function failingAfterScan(store: SessionStore): SessionStore {
  return {
    ...store,
    async *scan() {
      yield* store.scan();
      throw new StoreError("scan", "a record is not a session");
    },
  };
}

test("listForUser returns what a devices page shows, oldest first, and no token (ASVS 7.5.2)", async () => {
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

describe("areLive", () => {
  test("returns whether each session is alive with the same user, by one read each and without a use", async () => {
    let now = 1_000_000;
    const { store, takeCalls } = recordCalls(memoryStore({ clock: () => now }));
    const [sessions, otherProcess] = [new Sessions({ store }), new Sessions({ store })];
    const created = await Promise.all(["ada", "ada", "bob"].map((userId) => sessions.create({ userId })));
    const loaded = created.map(({ session }) => session);
    expect(await sessions.areLive(loaded)).toEqual([true, true, true]);
    await otherProcess.rotate(created[0]!.token);
    await otherProcess.revoke(created[1]!.token);
    await otherProcess.logIn(created[2]!.token, "eve");
    now += 60_000;
    takeCalls();
    expect(await sessions.areLive(loaded)).toEqual([true, false, false]);
    expect(takeCalls()).toEqual(["read", "read", "read"]);
    now += 30 * 60_000;
    expect(await sessions.areLive(loaded)).toEqual([false, false, false]);
  });

  test("returns false for a session that cannot be read, and rejects only if none can be read", async () => {
    const store = memoryStore();
    const unreadable = new Set<string>();
    const read: typeof store.read = (id) =>
      unreadable.has(id) ? Promise.reject(new StoreError("read", `${id} is not a session`)) : store.read(id);
    const sessions = new Sessions({ store: { ...store, read } });
    const created = await Promise.all(["ada", "bob", "eve"].map((userId) => sessions.create({ userId })));
    const loaded = created.map(({ session }) => session);
    await sessions.revoke(created[2]!.token);
    unreadable.add(loaded[0]!.id);
    expect(await sessions.areLive(loaded)).toEqual([false, true, false]);
    await expect(sessions.areLive(loaded.slice(0, 1))).rejects.toThrow(loaded[0]!.id);
    for (const { id } of loaded) unreadable.add(id);
    await expect(sessions.areLive(loaded)).rejects.toThrow(`${loaded[0]!.id} is not a session`);
    expect(await sessions.areLive([])).toEqual([]);
  });
});
