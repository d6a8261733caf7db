import { memoryStore, ReauthenticationRequired, Sessions, StoreError } from "@tenure/core";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { recordCalls } from "./record-calls.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

// The fake timers control this process's wall and monotonic clocks, and the default clock of `memoryStore`.
beforeEach(() => void vi.useFakeTimers({ toFake: ["Date", "performance"], now: 1_800_000_000_000 }));
afterEach(() => void vi.useRealTimers());

describe("timeouts", () => {
  test("a session ends exactly at its idle timeout, for every call (ASVS 7.3.1, NIST 5.2)", async () => {
    const sessions = new Sessions({ store: memoryStore(), idleTimeout: "30m", lifetime: "12h" });
    const { token, session } = await sessions.create({ userId: "ada" });
    vi.advanceTimersByTime(30 * MINUTE - 1);
    expect(await sessions.get(token, { touch: false })).not.toBeNull();
    vi.advanceTimersByTime(1);
    expect(await sessions.get(token)).toBeNull();
    expect(await sessions.save(session, { a: 1 })).toBeNull();
    expect(await sessions.touch(session)).toBeNull();
    expect(await sessions.rotate(token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("a session in use ends exactly at the end of its lifetime (ASVS 7.3.2, NIST 5.2)", async () => {
    const sessions = new Sessions({ store: memoryStore(), idleTimeout: "30m", lifetime: "12h" });
    const { token } = await sessions.create({});
    for (let minutes = 0; minutes < 12 * 60 - 10; minutes += 10) {
      vi.advanceTimersByTime(10 * MINUTE);
      expect(await sessions.get(token)).not.toBeNull();
    }
    vi.advanceTimersByTime(10 * MINUTE - 1);
    expect(await sessions.get(token)).not.toBeNull();
    vi.advanceTimersByTime(1);
    expect(await sessions.get(token)).toBeNull();
  });

  test("no sequence of calls but logIn moves the end of the lifetime", async () => {
    const call = fc.constantFrom("get", "touch", "save", "update", "user", "rotate", "wait");
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 30 }), async (calls) => {
        const sessions = new Sessions({ store: memoryStore(), idleTimeout: "2h", lifetime: "12h" });
        let { token, session } = await sessions.create({ n: 0 });
        const createdAt = Date.now();
        for (const [n, name] of calls.entries()) {
          vi.advanceTimersByTime(name === "wait" ? HOUR : 20 * MINUTE);
          const results = {
            get: () => sessions.get(token),
            touch: () => sessions.touch(session),
            save: () => sessions.save(session, { ...session.data, n }),
            update: () => sessions.update(session, (data) => ({ ...data, n })),
            user: () => sessions.save(session, { userId: "ada", n }),
            rotate: () => sessions.rotate(token),
            wait: () => sessions.get(token),
          };
          const result = await results[name]();
          if (!result || result === "superseded") break;
          if ("token" in result) ({ token, session } = result);
          else session = result;
          expect(session.createdAt).toBe(createdAt);
          expect(session.endsAt).toBe(createdAt + 12 * HOUR);
          expect(session.expiresAt).toBeLessThanOrEqual(session.endsAt);
        }
        vi.setSystemTime(createdAt + 12 * HOUR);
        expect(await sessions.get(token)).toBeNull();
      }),
    );
  });

  test("a save with touch: false does not restart the idle timeout, and a save without it does", async () => {
    const store = memoryStore();
    const sessions = new Sessions({ store, idleTimeout: "30m" });
    const { session } = await sessions.create({});
    const { touchedAt, expiresAt } = session;
    vi.advanceTimersByTime(MINUTE);
    const saved = await sessions.save(session, { a: 1 }, { touch: false });
    expect(saved).toMatchObject({ touchedAt, expiresAt });
    expect(await store.read(session.id)).toMatchObject({ touchedAt, expiresAt });
    expect((await sessions.save(saved!, { a: 2 }))!.touchedAt).toBeGreaterThan(touchedAt);
  });

  test("timeLeft returns how long a session lives without a use, and is not a use itself", async () => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store, idleTimeout: "30m" });
    const { token } = await sessions.create({});
    vi.advanceTimersByTime(20 * MINUTE);
    const session = (await sessions.get(token, { touch: false }))!;
    expect(await sessions.timeLeft(session)).toBeGreaterThan(10 * MINUTE - 1000);
    expect(await sessions.timeLeft(session)).toBeLessThanOrEqual(10 * MINUTE);
    vi.advanceTimersByTime(11 * MINUTE);
    expect(await sessions.timeLeft(session)).toBe(0);
    expect(takeCalls()).not.toContain("update");
  });

  test("timeLeft rejects with a StoreError if the store's clock cannot be read", async () => {
    const store = memoryStore();
    const { session } = await new Sessions({ store }).create({});
    const failing = { ...store, now: () => Promise.reject(new StoreError("now", "down")) };
    await expect(new Sessions({ store: failing }).timeLeft(session)).rejects.toThrow(StoreError);
  });

  test("requireRecent throws if the authentication is not recent, or its age is unknown (ASVS 7.5.1, 7.5.2, 7.5.3)", async () => {
    const sessions = new Sessions({ store: memoryStore(), idleTimeout: "12h" });
    const visitor = await sessions.create({});
    const { session } = await sessions.logIn(null, "ada");
    expect(() => sessions.requireRecent(visitor.session, "15m")).toThrow(ReauthenticationRequired);
    expect(() => sessions.requireRecent(session!, "15m")).not.toThrow();
    vi.advanceTimersByTime(15 * MINUTE + 10);
    expect(() => sessions.requireRecent(session!, "15m")).toThrow(ReauthenticationRequired);
    const withoutClock = new Sessions({
      store: { ...memoryStore(), now: () => Promise.reject(new Error("down")) },
    });
    expect(() => withoutClock.requireRecent(session!, "15m")).toThrow(ReauthenticationRequired);
    const error = new ReauthenticationRequired(15 * MINUTE);
    expect(error).toMatchObject({ status: 401, maxAge: 15 * MINUTE });
    expect(error.challenge).toBe('Session error="insufficient_user_authentication", max_age="900"');
  });

  test("requireRecent counts the time in which the machine was suspended and its monotonic clock stood still", async () => {
    const sessions = new Sessions({ store: memoryStore(), idleTimeout: "12h" });
    const { session } = await sessions.logIn(null, "ada");
    sessions.requireRecent(session!, "15m");
    vi.setSystemTime(Date.now() + 2 * HOUR);
    expect(() => sessions.requireRecent(session!, "15m")).toThrow(ReauthenticationRequired);
  });
});

describe("touches", () => {
  test.each([0, 10 * MINUTE, -10 * MINUTE, 5 * HOUR, -5 * HOUR])(
    "happen once per touchEvery and keep a session in use alive, on a machine whose clock is %d ms off the store's",
    async (skew) => {
      const { store, takeCalls } = recordCalls(memoryStore({ clock: () => Date.now() + skew }));
      const sessions = new Sessions({ store, idleTimeout: "8m", lifetime: "12h", touchEvery: "1m" });
      const { token } = await sessions.create({});
      takeCalls();
      let updates = 0;
      for (let seconds = 0; seconds < 3600; seconds += 5) {
        vi.advanceTimersByTime(5000);
        expect(await sessions.get(token)).not.toBeNull();
        updates += takeCalls().filter((call) => call === "update").length;
      }
      expect(updates).toBeGreaterThanOrEqual(55);
      expect(updates).toBeLessThanOrEqual(60);
    },
  );

  test("use a new sample of the store's clock after the wall clock has jumped, as after a suspension", async () => {
    const sessions = new Sessions({ store: memoryStore(), idleTimeout: "30m" });
    const { token } = await sessions.create({});
    await sessions.get(token);
    // The wall clock is set after a suspension, in which the monotonic clock stood still.
    vi.setSystemTime(Date.now() + 25 * MINUTE);
    expect((await sessions.get(token))?.touchedAt).toBeGreaterThan(Date.now() - 1000);
    vi.advanceTimersByTime(10 * MINUTE);
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("happen in time after a suspension, even before the wall clock is set", async () => {
    let suspended = 0;
    const store = memoryStore({ clock: () => Date.now() + suspended });
    const sessions = new Sessions({ store, idleTimeout: "30m" });
    const { token } = await sessions.create({});
    await sessions.get(token);
    // Neither clock of this process has counted the suspension, and the sample of the store's clock is old.
    vi.advanceTimersByTime(6000);
    suspended = 25 * MINUTE;
    expect(await sessions.get(token)).not.toBeNull();
    await vi.waitFor(async () =>
      expect((await store.read(sessions.idOf(token)!))!.touchedAt).toBeGreaterThan(Date.now() + 24 * MINUTE),
    );
    vi.advanceTimersByTime(10 * MINUTE);
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("happen once per touchEvery while the wall clock is set back and forth", async () => {
    let storeNow = Date.now();
    const { store, takeCalls } = recordCalls(memoryStore({ clock: () => storeNow }));
    const sessions = new Sessions({ store, idleTimeout: "8m", touchEvery: "1m" });
    const { token } = await sessions.create({});
    let updates = 0;
    for (let minute = 0; minute < 60; minute += 1) {
      storeNow += 30_000;
      vi.advanceTimersByTime(30_000);
      vi.setSystemTime(Date.now() + (minute % 2 ? 3 * HOUR : -3 * HOUR));
      expect(await sessions.get(token)).not.toBeNull();
      updates += takeCalls().filter((call) => call === "update").length;
    }
    expect(updates).toBe(30);
  });

  test("keep a session alive after the store's clock was set forward", async () => {
    let storeNow = Date.now();
    const sessions = new Sessions({
      store: memoryStore({ clock: () => storeNow }),
      idleTimeout: "8m",
      touchEvery: "1m",
    });
    await sessions.create({});
    storeNow += 2 * HOUR;
    const { token } = await sessions.create({});
    for (let minute = 0; minute < 60; minute += 1) {
      storeNow += MINUTE;
      vi.advanceTimersByTime(MINUTE);
      expect(await sessions.get(token)).not.toBeNull();
    }
  });

  test("cost nothing while none is due: a page view is one read", async () => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store, idleTimeout: "30m", touchEvery: "5m" });
    const { token } = await sessions.create({});
    await sessions.get(token);
    takeCalls();
    const session = await sessions.get(token);
    await sessions.touch(session!);
    expect(takeCalls()).toEqual(["read"]);
  });

  test("that are due in concurrent requests happen once, even with more sessions than a process remembers", async () => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store, idleTimeout: "30m", touchEvery: "5m" });
    const tokens: string[] = [];
    for (let n = 0; n < 10_001; n += 1) tokens.push((await sessions.create({})).token);
    vi.advanceTimersByTime(6 * MINUTE);
    takeCalls();
    for (const token of tokens) {
      await Promise.all([sessions.get(token), sessions.get(token), sessions.get(token)]);
    }
    expect(takeCalls().filter((call) => call === "update")).toHaveLength(tokens.length);
  });

  test("that fail do not fail the request", async () => {
    const store = memoryStore();
    const failing = { ...store, update: () => Promise.reject(new Error("down")) };
    const sessions = new Sessions({ store: failing, idleTimeout: "30m" });
    const { token } = await sessions.create({ a: 1 });
    vi.advanceTimersByTime(20 * MINUTE);
    expect((await sessions.get(token))?.data).toEqual({ a: 1 });
  });

  test("do not fail the request, nor a login, if the store's clock cannot be read in the background", async () => {
    const unhandled: unknown[] = [];
    const listen = (error: unknown): unknown => unhandled.push(error);
    process.on("unhandledRejection", listen);
    try {
      const store = memoryStore();
      let isDown = false;
      const now = (): Promise<number> => (isDown ? Promise.reject(new Error("down")) : store.now());
      const sessions = new Sessions({ store: { ...store, now } });
      const { token } = await sessions.create({});
      await sessions.get(token);
      isDown = true;
      vi.advanceTimersByTime(6000);
      expect(await sessions.get(token)).not.toBeNull();
      expect(await sessions.logIn(token, "ada")).toMatchObject({ session: { userId: "ada" } });
      await sessions.revokeAllForUser("ada");
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).toEqual([]);
    } finally {
      process.off("unhandledRejection", listen);
    }
  });

  test("happen if the store's clock cannot be read", async () => {
    const { store, takeCalls } = recordCalls({
      ...memoryStore(),
      now: () => Promise.reject(new Error("down")),
    });
    const sessions = new Sessions({ store });
    const { token } = await sessions.create({});
    expect(await sessions.get(token)).not.toBeNull();
    expect(takeCalls()).toContain("update");
  });

  test("follow a session's own shorter idle timeout", async () => {
    const sessions = new Sessions({ store: memoryStore(), idleTimeout: "30m", touchEvery: "5m" });
    const { token } = await sessions.create({}, { idle: "2m" });
    for (let seconds = 0; seconds < 1200; seconds += 60) {
      vi.advanceTimersByTime(60_000);
      expect(await sessions.get(token)).not.toBeNull();
    }
  });
});

describe("a policy that was shortened", () => {
  const setUp = () => {
    const store = memoryStore();
    const before = new Sessions({ store, idleTimeout: "12h", lifetime: "24h" });
    return { store, before, after: new Sessions({ store, idleTimeout: "15m", lifetime: "24h" }) };
  };

  test("applies to live sessions at once, except those with timeouts of their own", async () => {
    const store = memoryStore();
    const before = new Sessions({
      store,
      idleTimeout: "30m",
      lifetime: "12h",
      maxIdleTimeout: "2h",
      maxLifetime: "7d",
    });
    const plain = await before.logIn(null, "ada");
    const remembered = await before.logIn(null, "ada", { idle: "2h", lifetime: "7d" });
    const after = new Sessions({ store, idleTimeout: "10m", lifetime: "1h" });
    const loaded = (await after.get(plain.token))!;
    expect(loaded.idle).toBe(10 * MINUTE);
    expect(loaded.endsAt).toBe(loaded.createdAt + HOUR);
    vi.advanceTimersByTime(10 * MINUTE);
    expect(await after.get(plain.token)).toBeNull();
    expect((await after.listForUser("ada")).map(({ id }) => id)).toEqual([remembered.session!.id]);
    expect(await before.get(plain.token)).not.toBeNull();
    vi.advanceTimersByTime(HOUR);
    expect(await after.get(remembered.token)).not.toBeNull();
  });

  test("shortens the stored idle timeout at the next use", async () => {
    const { store, before, after } = setUp();
    const { token } = await before.create({});
    vi.advanceTimersByTime(5 * MINUTE);
    const session = (await after.get(token))!;
    expect((await store.read(session.id))?.idle).toBe(15 * MINUTE);
  });

  test("shortens the stored idle timeout at a save with touch: false", async () => {
    const { store, before, after } = setUp();
    const { token } = await before.create({});
    const session = (await after.get(token, { touch: false }))!;
    await after.save(session, { a: 1 }, { touch: false });
    expect((await store.read(session.id))?.idle).toBe(15 * MINUTE);
  });

  test("ends a session for good, even for requests that have already loaded it", async () => {
    const { before, after } = setUp();
    const { token } = await before.create({ userId: "ada" });
    const loaded = (await after.get(token))!;
    vi.advanceTimersByTime(HOUR);
    expect(await after.get(token)).toBeNull();
    expect(await after.save(loaded, { userId: "ada", late: true })).toBeNull();
    expect(await after.update(loaded, (data) => ({ ...data, late: true }))).toBeNull();
    expect(await after.touch(loaded)).toBeNull();
    expect(await after.get(token)).toBeNull();
  });

  test("does not end a session that another request has used since this one loaded it", async () => {
    const { before, after } = setUp();
    const { token } = await before.create({ userId: "ada" });
    const loaded = (await after.get(token))!;
    for (let uses = 0; uses < 3; uses += 1) {
      vi.advanceTimersByTime(10 * MINUTE);
      expect(await after.get(token)).not.toBeNull();
    }
    expect(await after.save(loaded, { userId: "ada", late: true })).toMatchObject({ data: { late: true } });
    vi.advanceTimersByTime(10 * MINUTE);
    expect(await after.touch(loaded)).not.toBeNull();
  });

  test("does not count a session that it has ended toward maxPerUser", async () => {
    const store = memoryStore();
    const limits = { store, lifetime: "24h", maxPerUser: 1, onCap: "refuse" } as const;
    await new Sessions({ ...limits, idleTimeout: "12h" }).logIn(null, "ada");
    vi.advanceTimersByTime(HOUR);
    const login = await new Sessions({ ...limits, idleTimeout: "15m" }).logIn(null, "ada");
    expect(login.refused).toBeUndefined();
  });
});

test("a policy that was lengthened does not apply to live sessions", async () => {
  const store = memoryStore();
  const before = new Sessions({ store, idleTimeout: "30m", lifetime: "12h" });
  const { token, session } = await before.create({});
  const after = new Sessions({ store, idleTimeout: "5h", lifetime: "24h" });
  vi.advanceTimersByTime(20 * MINUTE);
  expect(await after.get(token)).toMatchObject({ idle: 30 * MINUTE, endsAt: session.endsAt });
  vi.advanceTimersByTime(30 * MINUTE);
  expect(await after.get(token)).toBeNull();
});
