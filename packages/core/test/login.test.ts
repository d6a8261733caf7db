import { setTimeout as sleep } from "node:timers/promises";
import { memoryStore, Sessions, StoreError } from "@tenure/core";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { recordCalls } from "./record-calls.ts";
import { interleaved, seeds, turns } from "./interleaved.ts";
import { rotateLive } from "./rotate-live.ts";

const setUp = (options: object = {}): Sessions => new Sessions({ store: memoryStore(), ...options });

describe("logIn", () => {
  test("continues an anonymous session with its data under a new token, and the old token is dead (ASVS 7.2.4, NIST 5.1)", async () => {
    const sessions = setUp();
    const visitor = await sessions.create({ cart: ["tea"] });
    const login = await sessions.logIn(visitor.token, "ada");
    expect(login.session).toMatchObject({ id: visitor.session.id, userId: "ada", data: { cart: ["tea"] } });
    expect(await sessions.get(visitor.token)).toBeNull();
    expect((await sessions.get(login.token))?.userId).toBe("ada");
  });

  test("restarts the lifetime and sets authenticatedAt (NIST 5.2)", async () => {
    let now = 1_000_000;
    const sessions = setUp({ store: memoryStore({ clock: () => now }), idleTimeout: 1000, lifetime: 2000 });
    const visitor = await sessions.create({});
    now += 900;
    const { session } = await sessions.logIn(visitor.token, "ada");
    expect(session!.endsAt).toBeGreaterThanOrEqual(now + 2000 - 1);
    expect(session!.authenticatedAt).toBeLessThanOrEqual(now);
    expect(session!.createdAt).toBe(1_000_000);
  });

  test("ends another user's session and begins a new one, with only the data named in keep", async () => {
    const sessions = setUp();
    const ada = await sessions.logIn(null, "ada");
    await sessions.save(ada.session!, { mfa: true, cart: ["tea"], userId: "ada" });
    const bob = await sessions.logIn(ada.token, "bob", { keep: ["cart", "userId"] });
    expect(bob.session).toMatchObject({ userId: "bob", data: { cart: ["tea"] } });
    expect(bob.session!.data).not.toHaveProperty("userId");
    expect(bob.session!.id).not.toBe(ada.session!.id);
    expect(await sessions.get(ada.token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test.each(["revoke", "create"] as const)(
    "that replaces a session and fails in the store's %s leaves no session whose token nobody has",
    async (failing) => {
      vi.useFakeTimers({ toFake: ["Date", "performance"] });
      onTestFinished(() => void vi.useRealTimers());
      const store = memoryStore();
      const sessions = setUp({ store });
      const ofAnother = await sessions.logIn(null, "ada");
      const replacedLongAgo = await sessions.logIn(null, "bob");
      const { token } = await rotateLive(sessions, replacedLongAgo.token!);
      vi.advanceTimersByTime(31_000);
      const down = setUp({
        store: { ...store, [failing]: () => Promise.reject(new StoreError(failing, "down")) },
      });
      for (const login of [ofAnother, replacedLongAgo]) {
        await expect(down.logIn(login.token, "bob")).rejects.toThrow(StoreError);
      }
      const isAlive = failing === "revoke";
      expect((await sessions.listForUser("bob")).length).toBe(isAlive ? 1 : 0);
      expect(await sessions.get(token)).toEqual(isAlive ? expect.anything() : null);
      expect(await sessions.get(ofAnother.token)).toEqual(isAlive ? expect.anything() : null);
    },
  );

  test("in another user's session ends it even if the login is refused", async () => {
    const sessions = setUp();
    const since = await sessions.since();
    const ada = await sessions.logIn(null, "ada");
    await sessions.revokeAllForUser("bob");
    expect(await sessions.logIn(ada.token, "bob", { since })).toEqual({ refused: "logged-out-meanwhile" });
    expect(await sessions.get(ada.token)).toBeNull();
  });

  test("continues a session of the same user with its data", async () => {
    const sessions = setUp();
    const first = await sessions.logIn(null, "ada");
    await sessions.save(first.session!, { theme: "dark" });
    const again = await sessions.logIn(first.token, "ada");
    expect(again.session).toMatchObject({ id: first.session!.id, data: { theme: "dark" } });
    expect(await sessions.listForUser("ada")).toHaveLength(1);
  });

  test("with the token of a revoked session begins a blank session", async () => {
    const sessions = setUp();
    const { token } = await sessions.create({ secret: 1 });
    await sessions.revoke(token);
    expect((await sessions.logIn(token, "ada")).session).toMatchObject({ userId: "ada", data: {} });
  });

  test("with a superseded token begins a blank session, and leaves the session of that token alone", async () => {
    const sessions = setUp();
    const visitor = await sessions.create({ cart: 1 });
    const first = await sessions.logIn(visitor.token, "ada");
    const second = await sessions.logIn(visitor.token, "ada");
    expect(second.session!.data).toEqual({});
    expect(await sessions.get(first.token)).not.toBeNull();
  });

  test("called twice at once with one token logs in both times, the second time in a blank session", async () => {
    const sessions = setUp();
    const visitor = await sessions.create({ cart: 1 });
    const logins = await Promise.all([
      sessions.logIn(visitor.token, "ada"),
      sessions.logIn(visitor.token, "ada"),
    ]);
    const found = await Promise.all(logins.map(({ token }) => sessions.get(token)));
    expect(found.map((session) => session?.data)).toEqual([{ cart: 1 }, {}]);
  });

  test("drops data that name another user from an anonymous session", async () => {
    const sessions = setUp({ userId: (data: { account?: string }) => data.account });
    const { token } = await sessions.create({ account: "eve", cart: 1 }, { userId: null });
    expect((await sessions.logIn(token, "ada")).session!.data).toEqual({ cart: 1 });
  });

  test("accepts timeouts of its own (remember me) up to the policy's maxima (ASVS 7.1.1)", async () => {
    const sessions = setUp({ idleTimeout: "30m", lifetime: "12h", maxIdleTimeout: "7d", maxLifetime: "30d" });
    const { session } = await sessions.logIn(null, "ada", { idle: "7d", lifetime: "30d" });
    expect(session!.idle).toBe(7 * 86_400_000);
    expect(session!.endsAt - session!.createdAt).toBe(30 * 86_400_000);
    const plain = await sessions.logIn(null, "ada");
    expect(plain.session!.idle).toBe(30 * 60_000);
    await expect(sessions.logIn(null, "ada", { idle: "8d" })).rejects.toThrow(/maxIdleTimeout/);
    await expect(sessions.logIn(null, "ada", { lifetime: "31d" })).rejects.toThrow(/maxLifetime/);
  });

  test("rejects an idle timeout of its own that the policy's lifetime would cut short", async () => {
    const sessions = setUp({ lifetime: "12h", maxIdleTimeout: "14d", maxLifetime: "30d" });
    await expect(sessions.logIn(null, "ada", { idle: "14d" })).rejects.toThrow(/pass lifetime too/);
    await expect(sessions.create({}, { idle: "14d" })).rejects.toThrow(TypeError);
    const { session } = await sessions.logIn(null, "ada", { idle: "14d", lifetime: "14d" });
    expect(session!.endsAt - session!.createdAt).toBe(14 * 86_400_000);
  });

  test("rejects a keep that is not an array of keys", async () => {
    await expect(setUp().logIn(null, "ada", { keep: "cart" as never })).rejects.toThrow(/keep must be/);
  });

  test("costs one read and one update with a live token, and one create without a token", async () => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store });
    const { token } = await sessions.create({});
    // The first login also samples the store's clock.
    await sessions.logIn(null, "bob");
    takeCalls();
    await sessions.logIn(token, "ada");
    expect(takeCalls()).toEqual(["read", "update"]);
    await sessions.logIn(null, "ada");
    expect(takeCalls()).toEqual(["create"]);
  });

  test.each([NaN, -1, 1.5, "1800000000000", null])(
    "rejects a since of %j before anything is written, and so does create",
    async (at) => {
      const { store, takeCalls } = recordCalls(memoryStore());
      const sessions = new Sessions({ store });
      const { token } = await sessions.create({});
      takeCalls();
      const since = at as number;
      const error = "since must be a whole number of epoch milliseconds, as sessions.since() returns";
      await expect(sessions.logIn(token, "ada", { since })).rejects.toThrow(new TypeError(error));
      await expect(sessions.create({}, { userId: "ada", since })).rejects.toThrow(new TypeError(error));
      expect(takeCalls()).toEqual([]);
    },
  );
});

describe("log out everywhere", () => {
  test("refuses a login that began before it, however long the process has made no other call and its clock drifts", async () => {
    const { store, sessions, moveStoresClock } = withFakeTime();
    expect(await sessions.since()).toBeLessThanOrEqual(await store.now());
    // The clock of this process is fast by 25 ppm.
    vi.advanceTimersByTime(24 * 3_600_000);
    moveStoresClock(-2000);
    const since = await sessions.since();
    expect(since).toBeLessThanOrEqual(await store.now());
    vi.advanceTimersByTime(1);
    // In another process.
    await new Sessions({ store }).revokeAllForUser("ada");
    vi.advanceTimersByTime(1000);
    expect(await sessions.logIn(null, "ada", { since })).toEqual({ refused: "logged-out-meanwhile" });
  });

  test("refuses a login that began before it, however long the process has been busy while its clock drifted", async () => {
    const { store, sessions, moveStoresClock } = withFakeTime();
    const { token } = await sessions.create({});
    // For an hour, the clock of this process is fast by 100 ppm.
    for (let at = 0; at < 720; at += 1) {
      vi.advanceTimersByTime(5000);
      moveStoresClock(-0.5);
      await sessions.get(token);
      await new Promise((resolve) => setImmediate(resolve));
      expect((await sessions.since()) - (await store.now())).toBeLessThanOrEqual(1);
    }
  });

  test("accepts a login that began after it, although the process has made no other call for long", async () => {
    const { store, sessions, moveStoresClock } = withFakeTime();
    await sessions.since();
    vi.advanceTimersByTime(24 * 3_600_000);
    moveStoresClock(2000);
    await new Sessions({ store }).revokeAllForUser("ada");
    vi.advanceTimersByTime(100);
    expect((await sessions.logIn(null, "ada")).refused).toBeUndefined();
  });

  test("refuses a login that began before it, and leaves no session (ASVS 7.4.3, 16.3.1)", async () => {
    const sessions = setUp();
    const visitor = await sessions.create({});
    const since = await sessions.since();
    await sessions.revokeAllForUser("ada");
    for (const token of [null, visitor.token]) {
      expect(await sessions.logIn(token, "ada", { since })).toEqual({ refused: "logged-out-meanwhile" });
    }
    expect(await sessions.create({}, { userId: "ada", since })).toEqual({ refused: "logged-out-meanwhile" });
    expect(await sessions.listForUser("ada")).toEqual([]);
    expect(await sessions.get(visitor.token)).toBeNull();
  });

  test("accepts a login that begins after it, even within the same millisecond", async () => {
    for (let n = 0; n < 300; n += 1) {
      const sessions = setUp();
      await sessions.logIn(null, "ada");
      await sessions.revokeAllForUser("ada");
      expect((await sessions.logIn(null, "ada")).refused).toBeUndefined();
    }
  });

  test("refuses a login with a since before it and accepts one with a since after it, even within one millisecond", async () => {
    const sessions = setUp();
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

  test("leaves no session of a login that began before it, in every order of their steps", async () => {
    for (const seed of seeds) {
      const sessions = new Sessions({ store: interleaved(memoryStore(), seed) });
      const visitor = await sessions.create({});
      const since = await sessions.since();
      const logins = [
        sessions.logIn(null, "ada", { since }),
        sessions.logIn(visitor.token, "ada", { since }),
        sessions.create({ userId: "ada" }, { since }).catch(() => null),
      ];
      await turns(seed % 40);
      await sessions.revokeAllForUser("ada");
      await Promise.all(logins);
      expect(await sessions.listForUser("ada"), `seed ${seed}`).toEqual([]);
    }
  });

  test("keeps the excepted session, which can then be rotated and logged in again", async () => {
    const sessions = setUp();
    const ada = await sessions.logIn(null, "ada");
    await sessions.revokeAllForUser("ada", { exceptToken: ada.token! });
    const rotated = await rotateLive(sessions, ada.token!);
    const again = await sessions.logIn(rotated.token, "ada");
    expect(again.refused).toBeUndefined();
    expect(await sessions.get(again.token)).not.toBeNull();
  });

  test("with authenticatedUpTo, for a logout that arrives late, ends only older logins (ASVS 7.6.1)", async () => {
    const sessions = setUp();
    const old = await sessions.logIn(null, "ada");
    await sleep(5);
    const loggedOutAt = await sessions.since();
    await sleep(5);
    const recent = await sessions.logIn(null, "ada");
    expect(await sessions.revokeAllForUser("ada", { authenticatedUpTo: loggedOutAt })).toBe(1);
    expect(await sessions.get(old.token)).toBeNull();
    expect(await sessions.get(recent.token)).not.toBeNull();
  });
});

test.each(["before", "after"] as const)(
  "a store that fails once %s the write loses no login and no rotation",
  async (when) => {
    const store = memoryStore();
    let isArmed = false;
    const update: typeof store.update = async (id, changes) => {
      if (!isArmed) return store.update(id, changes);
      isArmed = false;
      if (when === "after") await store.update(id, changes);
      throw new StoreError("update", "the connection was lost");
    };
    const sessions = new Sessions({ store: { ...store, update } });
    const visitor = await sessions.create({ cart: 1 });
    isArmed = true;
    const login = await sessions.logIn(visitor.token, "ada");
    expect((await sessions.get(login.token))?.data).toEqual({ cart: 1 });
    isArmed = true;
    const rotated = await rotateLive(sessions, login.token!);
    expect((await sessions.get(rotated.token))?.userId).toBe("ada");
    expect(await sessions.get(login.token)).toBeNull();
  },
);

/** Returns a store and a `Sessions` that fake timers control until the test has finished. */
function withFakeTime() {
  vi.useFakeTimers({ toFake: ["Date", "performance"], now: 1_800_000_000_000 });
  onTestFinished(() => void vi.useRealTimers());
  let moved = 0;
  const store = memoryStore({ clock: () => Date.now() + moved });
  const moveStoresClock = (ms: number): void => void (moved += ms);
  return { store, sessions: new Sessions({ store }), moveStoresClock };
}
