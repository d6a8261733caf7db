import { memoryStore, ReauthenticationRequired, Sessions, type SessionStore, StoreError } from "@tenure/core";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { counted } from "./counted.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

// The fake clock drives this machine's wall and monotonic clocks; the store's own runs beside them, off by `skew`.
beforeEach(() => void vi.useFakeTimers({ toFake: ["Date", "performance"], now: 1_800_000_000_000 }));
afterEach(() => void vi.useRealTimers());

function storeOffBy(skew: number): SessionStore {
  return memoryStore({ clock: () => Date.now() + skew });
}

describe("timeouts", () => {
  test("a session dies idle, exactly then, however it is looked at (ASVS 7.3.1, NIST 5.2)", async () => {
    const sessions = new Sessions({ store: storeOffBy(0), idleTimeout: "30m", lifetime: "12h" });
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

  test("a session in use dies at the end of its lifetime, exactly then (ASVS 7.3.2, NIST 5.2)", async () => {
    const sessions = new Sessions({ store: storeOffBy(0), idleTimeout: "30m", lifetime: "12h" });
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

  test("the lifetime is hard, whatever is called in whatever order, but for a login", async () => {
    const call = fc.constantFrom("get", "touch", "save", "update", "user", "rotate", "wait");
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 30 }), async (calls) => {
        const sessions = new Sessions({ store: storeOffBy(0), idleTimeout: "2h", lifetime: "12h" });
        let { token, session } = await sessions.create({ n: 0 });
        const bornAt = Date.now();
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
          expect(session.createdAt).toBe(bornAt);
          expect(session.endsAt).toBe(bornAt + 12 * HOUR);
          expect(session.expiresAt).toBeLessThanOrEqual(session.endsAt);
        }
        vi.setSystemTime(bornAt + 12 * HOUR);
        expect(await sessions.get(token)).toBeNull();
      }),
    );
  });

  test("a policy that was shortened applies to live sessions at once, and one that was lengthened does not", async () => {
    const store = storeOffBy(0);
    const before = new Sessions({
      store,
      idleTimeout: "30m",
      lifetime: "12h",
      maxIdleTimeout: "2h",
      maxLifetime: "7d",
    });
    const plain = await before.logIn(null, "ada");
    const own = await before.logIn(null, "ada", { idle: "2h", lifetime: "7d" });
    const shorter = new Sessions({ store, idleTimeout: "10m", lifetime: "1h" });
    const shown = (await shorter.get(plain.token))!;
    expect(shown.idle).toBe(10 * MINUTE);
    expect(shown.endsAt).toBe(shown.createdAt + HOUR);
    vi.advanceTimersByTime(10 * MINUTE);
    expect(await shorter.get(plain.token)).toBeNull();
    expect((await shorter.listForUser("ada")).map(({ id }) => id)).toEqual([own.session!.id]);
    expect(await before.get(plain.token)).not.toBeNull();
    vi.advanceTimersByTime(HOUR);
    expect(await shorter.get(own.token)).not.toBeNull();
    const longer = new Sessions({ store, idleTimeout: "5h", lifetime: "24h" });
    expect((await longer.get(own.token))?.endsAt).toBe(own.session!.endsAt);
  });

  test("the idle timeout in use is the shortened one, for a session that is used", async () => {
    const store = storeOffBy(0);
    const { token } = await new Sessions({ store, idleTimeout: "30m" }).create({});
    const shorter = new Sessions({ store, idleTimeout: "10m", touchEvery: "1m" });
    vi.advanceTimersByTime(5 * MINUTE);
    const session = (await shorter.get(token))!;
    expect((await store.read(session.id))?.idle).toBe(10 * MINUTE);
  });

  test("a save that is not a use shortens the idle timeout to the policy's, too", async () => {
    const store = storeOffBy(0);
    const { token } = await new Sessions({ store, idleTimeout: "30m" }).create({});
    const shorter = new Sessions({ store, idleTimeout: "10m" });
    const session = (await shorter.get(token, { touch: false }))!;
    await shorter.save(session, { a: 1 }, { touch: false });
    expect((await store.read(session.id))?.idle).toBe(10 * MINUTE);
  });

  test("a save that is not a use returns the session with its last use", async () => {
    const sessions = new Sessions({ store: storeOffBy(0), idleTimeout: "30m" });
    const { session } = await sessions.create({});
    vi.advanceTimersByTime(MINUTE);
    const saved = await sessions.save(session, { a: 1 }, { touch: false });
    expect(saved).toMatchObject({ touchedAt: session.touchedAt, expiresAt: session.expiresAt });
    expect((await sessions.save(saved!, { a: 2 }))!.touchedAt).toBeGreaterThan(session.touchedAt);
  });

  test("what is left of a session is known without a use", async () => {
    const { store, calls } = counted(storeOffBy(0));
    const sessions = new Sessions({ store, idleTimeout: "30m" });
    const { token } = await sessions.create({});
    vi.advanceTimersByTime(20 * MINUTE);
    const session = (await sessions.get(token, { touch: false }))!;
    expect(await sessions.timeLeft(session)).toBeGreaterThan(10 * MINUTE - 1000);
    expect(await sessions.timeLeft(session)).toBeLessThanOrEqual(10 * MINUTE);
    vi.advanceTimersByTime(11 * MINUTE);
    expect(await sessions.timeLeft(session)).toBe(0);
    expect(calls()).not.toContain("update");
  });

  test("a recent authentication can be required, and what cannot be known is not recent (ASVS 7.5.1, 7.5.2, 7.5.3)", async () => {
    const sessions = new Sessions({ store: storeOffBy(0), idleTimeout: "12h" });
    const visitor = await sessions.create({});
    const { session } = await sessions.logIn(null, "ada");
    expect(() => sessions.requireRecent(visitor.session, "15m")).toThrow(ReauthenticationRequired);
    expect(() => sessions.requireRecent(session!, "15m")).not.toThrow();
    vi.advanceTimersByTime(15 * MINUTE + 10);
    expect(() => sessions.requireRecent(session!, "15m")).toThrow(ReauthenticationRequired);
    const blind = new Sessions({ store: { ...storeOffBy(0), now: () => Promise.reject(new Error("down")) } });
    expect(() => blind.requireRecent(session!, "15m")).toThrow(ReauthenticationRequired);
    const error = new ReauthenticationRequired(15 * MINUTE);
    expect(error).toMatchObject({ status: 401, maxAge: 15 * MINUTE });
    expect(error.challenge).toBe('Session error="insufficient_user_authentication", max_age="900"');
  });
});

describe("touches", () => {
  test.each([0, 10 * MINUTE, -10 * MINUTE, 5 * HOUR, -5 * HOUR])(
    "are one a touchEvery, and keep a session in use alive, on a machine whose clock is %d ms off the store's",
    async (skew) => {
      const { store, calls } = counted(storeOffBy(skew));
      const sessions = new Sessions({ store, idleTimeout: "8m", lifetime: "12h", touchEvery: "1m" });
      const { token } = await sessions.create({});
      calls();
      let updates = 0;
      for (let seconds = 0; seconds < 3600; seconds += 5) {
        vi.advanceTimersByTime(5000);
        expect(await sessions.get(token)).not.toBeNull();
        updates += calls().filter((call) => call === "update").length;
      }
      expect(updates).toBeGreaterThanOrEqual(55);
      expect(updates).toBeLessThanOrEqual(60);
    },
  );

  test("are decided by a new sample of the store's clock after the wall clock jumped", async () => {
    const sessions = new Sessions({ store: storeOffBy(0), idleTimeout: "30m" });
    const { token } = await sessions.create({});
    await sessions.get(token);
    vi.setSystemTime(Date.now() + 25 * MINUTE);
    expect((await sessions.get(token))?.touchedAt).toBeGreaterThan(Date.now() - 1000);
  });

  test("are made in time after the machine was suspended, whose monotonic clock stood still", async () => {
    let suspended = 0;
    const store = memoryStore({ clock: () => Date.now() + suspended });
    const sessions = new Sessions({ store, idleTimeout: "30m" });
    const { token } = await sessions.create({});
    await sessions.get(token);
    // The wall clock is set after the suspension, and the monotonic clock is not.
    vi.advanceTimersByTime(6000);
    suspended = 25 * MINUTE;
    expect(await sessions.get(token)).not.toBeNull();
    await vi.waitFor(async () =>
      expect((await store.read(sessions.idOf(token)!))!.touchedAt).toBeGreaterThan(Date.now() + 24 * MINUTE),
    );
    vi.advanceTimersByTime(10 * MINUTE);
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("are not fooled by a wall clock that is set while the process runs", async () => {
    let storeNow = Date.now();
    const { store, calls } = counted(memoryStore({ clock: () => storeNow }));
    const sessions = new Sessions({ store, idleTimeout: "8m", touchEvery: "1m" });
    const { token } = await sessions.create({});
    let updates = 0;
    for (let minute = 0; minute < 60; minute += 1) {
      storeNow += 30_000;
      vi.advanceTimersByTime(30_000);
      vi.setSystemTime(Date.now() + (minute % 2 ? 3 * HOUR : -3 * HOUR));
      expect(await sessions.get(token)).not.toBeNull();
      updates += calls().filter((call) => call === "update").length;
    }
    expect(updates).toBe(30);
  });

  test("follow the store's clock when that is set", async () => {
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

  test("cost a page view nothing while none is due: it is one read", async () => {
    const { store, calls } = counted(storeOffBy(0));
    const sessions = new Sessions({ store, idleTimeout: "30m", touchEvery: "5m" });
    const { token } = await sessions.create({});
    await sessions.get(token);
    calls();
    const session = await sessions.get(token);
    await sessions.touch(session!);
    expect(calls()).toEqual(["read"]);
  });

  test("that are due to several requests at once are one, with more sessions than a process remembers, too", async () => {
    const { store, calls } = counted(storeOffBy(0));
    const sessions = new Sessions({ store, idleTimeout: "30m", touchEvery: "5m" });
    const tokens: string[] = [];
    for (let n = 0; n < 10_001; n += 1) tokens.push((await sessions.create({})).token);
    vi.advanceTimersByTime(6 * MINUTE);
    calls();
    for (const token of tokens) {
      await Promise.all([sessions.get(token), sessions.get(token), sessions.get(token)]);
    }
    expect(calls().filter((call) => call === "update")).toHaveLength(tokens.length);
  });

  test("that fail harm nobody", async () => {
    const store = storeOffBy(0);
    const failing = { ...store, update: () => Promise.reject(new Error("down")) };
    const sessions = new Sessions({ store: failing, idleTimeout: "30m" });
    const { token } = await sessions.create({ a: 1 });
    vi.advanceTimersByTime(20 * MINUTE);
    expect((await sessions.get(token))?.data).toEqual({ a: 1 });
  });

  test("harm nobody when the store's clock cannot be read in the background", async () => {
    const unhandled: unknown[] = [];
    const listen = (error: unknown): unknown => unhandled.push(error);
    process.on("unhandledRejection", listen);
    try {
      const store = storeOffBy(0);
      let isDown = false;
      const now = (): Promise<number> => (isDown ? Promise.reject(new Error("down")) : store.now());
      const sessions = new Sessions({ store: { ...store, now } });
      const { token } = await sessions.create({});
      await sessions.get(token);
      isDown = true;
      vi.advanceTimersByTime(10_000);
      expect(await sessions.get(token)).not.toBeNull();
      expect(await sessions.logIn(token, "ada")).toMatchObject({ session: { userId: "ada" } });
      await sessions.revokeAllForUser("ada");
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).toEqual([]);
    } finally {
      process.off("unhandledRejection", listen);
    }
  });

  test("are made when the store's clock can't be asked", async () => {
    const { store, calls } = counted({ ...storeOffBy(0), now: () => Promise.reject(new Error("down")) });
    const sessions = new Sessions({ store });
    const { token } = await sessions.create({});
    expect(await sessions.get(token)).not.toBeNull();
    expect(calls()).toContain("update");
  });

  test("follow a session's own shorter idle timeout", async () => {
    const sessions = new Sessions({ store: storeOffBy(0), idleTimeout: "30m", touchEvery: "5m" });
    const { token } = await sessions.create({}, { idle: "2m" });
    for (let seconds = 0; seconds < 1200; seconds += 60) {
      vi.advanceTimersByTime(60_000);
      expect(await sessions.get(token)).not.toBeNull();
    }
  });
});

describe("a policy that was shortened", () => {
  const shortened = () => {
    const store = storeOffBy(0);
    const before = new Sessions({ store, idleTimeout: "12h", lifetime: "24h" });
    return { before, after: new Sessions({ store, idleTimeout: "15m", lifetime: "24h" }) };
  };

  test("ends a session for good, also for what was loaded before", async () => {
    const { before, after } = shortened();
    const { token } = await before.create({ userId: "ada" });
    const seen = (await after.get(token))!;
    vi.advanceTimersByTime(HOUR);
    expect(await after.get(token)).toBeNull();
    expect(await after.save(seen, { userId: "ada", late: true })).toBeNull();
    expect(await after.update(seen, (data) => ({ ...data, late: true }))).toBeNull();
    expect(await after.touch(seen)).toBeNull();
    expect(await after.get(token)).toBeNull();
  });

  test("does not end a session that another request has used since this one loaded it", async () => {
    const { before, after } = shortened();
    const { token } = await before.create({ userId: "ada" });
    const seen = (await after.get(token))!;
    for (let uses = 0; uses < 3; uses += 1) {
      vi.advanceTimersByTime(10 * MINUTE);
      expect(await after.get(token)).not.toBeNull();
    }
    expect(await after.save(seen, { userId: "ada", late: true })).toMatchObject({ data: { late: true } });
    vi.advanceTimersByTime(10 * MINUTE);
    expect(await after.touch(seen)).not.toBeNull();
  });

  test("does not let a session that it has ended count for the cap", async () => {
    const store = storeOffBy(0);
    const limits = { store, lifetime: "24h", maxPerUser: 1, onCap: "refuse" } as const;
    await new Sessions({ ...limits, idleTimeout: "12h" }).logIn(null, "ada");
    vi.advanceTimersByTime(HOUR);
    const login = await new Sessions({ ...limits, idleTimeout: "15m" }).logIn(null, "ada");
    expect(login.refused).toBeUndefined();
  });
});

describe("a machine that has slept, so that its monotonic clock stood still", () => {
  test("makes the next use of a session restart its idle timeout", async () => {
    const sessions = new Sessions({ store: storeOffBy(0), idleTimeout: "30m" });
    const { token } = await sessions.create({});
    vi.advanceTimersByTime(2 * MINUTE);
    await sessions.get(token);
    vi.setSystemTime(Date.now() + 25 * MINUTE);
    await sessions.get(token);
    vi.advanceTimersByTime(10 * MINUTE);
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("does not make an old login recent", async () => {
    const sessions = new Sessions({ store: storeOffBy(0), idleTimeout: "12h" });
    const { session } = await sessions.logIn(null, "ada");
    sessions.requireRecent(session!, "15m");
    vi.setSystemTime(Date.now() + 2 * HOUR);
    expect(() => sessions.requireRecent(session!, "15m")).toThrow(ReauthenticationRequired);
  });
});

test("how long a session lives is a StoreError if the store's clock cannot be read", async () => {
  const store = storeOffBy(0);
  const { session } = await new Sessions({ store }).create({});
  const blind = { ...store, now: () => Promise.reject(new StoreError("now", "down")) };
  const other = new Sessions({ store: blind });
  await expect(other.timeLeft(session)).rejects.toThrow(StoreError);
});
