import { memoryStore, Sessions, type SessionStore } from "@tenure/core";
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
  test("a session dies idle, exactly then, however it is looked at (ASVS 7.3.1)", async () => {
    const sessions = new Sessions({ store: storeOffBy(0), idleTimeout: "30m", lifetime: "12h" });
    const { token, session } = await sessions.create({}, { userId: "ada" });
    vi.advanceTimersByTime(30 * MINUTE - 1);
    expect(await sessions.get(token, { touch: false })).not.toBeNull();
    vi.advanceTimersByTime(1);
    expect(await sessions.get(token)).toBeNull();
    expect(await sessions.save(session, { a: 1 })).toBeNull();
    expect(await sessions.touch(session)).toBeNull();
    expect(await sessions.rotate(token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("a session in use dies at the end of its lifetime, exactly then (ASVS 7.3.2)", async () => {
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

  test("the lifetime is hard, whatever is called in whatever order", async () => {
    const call = fc.constantFrom("get", "touch", "save", "idle", "user", "rotate", "wait");
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 30 }), async (calls) => {
        const sessions = new Sessions({ store: storeOffBy(0), idleTimeout: "2h", lifetime: "12h" });
        let { token, session } = await sessions.create({ n: 0 });
        const bornAt = Date.now();
        for (const [n, name] of calls.entries()) {
          vi.advanceTimersByTime(name === "wait" ? HOUR : 20 * MINUTE);
          const answers = {
            get: () => sessions.get(token),
            touch: () => sessions.touch(session),
            save: () => sessions.save(session, { n }),
            idle: () => sessions.save(session, { n }, { idle: "30d" }),
            user: () => sessions.save(session, { n }, { userId: n }),
            rotate: () => sessions.rotate(token),
            wait: () => sessions.get(token),
          };
          const answer = await answers[name]();
          if (!answer) break;
          if ("token" in answer) ({ token, session } = answer);
          else session = answer;
          expect(session.createdAt).toBe(bornAt);
          expect(session.endsAt).toBe(bornAt + 12 * HOUR);
          expect(session.expiresAt).toBeLessThanOrEqual(session.endsAt);
        }
        vi.setSystemTime(bornAt + 12 * HOUR);
        expect(await sessions.get(token)).toBeNull();
      }),
    );
  });

  test("a session's own timeouts shorten the policy's only", async () => {
    const sessions = new Sessions({ store: storeOffBy(0), idleTimeout: "30m", lifetime: "12h" });
    const shorter = await sessions.create({}, { idle: "5m", lifetime: "1h" });
    expect(shorter.session.idle).toBe(5 * MINUTE);
    expect(shorter.session.endsAt - shorter.session.createdAt).toBe(HOUR);
    const longer = await sessions.create({}, { idle: "10h", lifetime: "30d" });
    expect(longer.session.idle).toBe(30 * MINUTE);
    expect(longer.session.endsAt - longer.session.createdAt).toBe(12 * HOUR);
    expect((await sessions.save(longer.session, {}, { idle: "10h" }))?.idle).toBe(30 * MINUTE);
    expect((await sessions.save(longer.session, {}, { idle: "1m" }))?.idle).toBe(MINUTE);
    await expect(sessions.create({}, { idle: Number.NaN })).rejects.toThrow(/idle must be/);
    await expect(sessions.create({}, { lifetime: -5 })).rejects.toThrow(/lifetime must be/);
  });

  test("where an option says so, they may lengthen it, the idle timeout within the lifetime", async () => {
    const sessions = new Sessions({
      store: storeOffBy(0),
      idleTimeout: "30m",
      lifetime: "12h",
      mayLengthen: true,
    });
    const { session } = await sessions.create({}, { idle: "40d", lifetime: "30d" });
    expect(session.endsAt - session.createdAt).toBe(30 * 24 * HOUR);
    expect(session.expiresAt).toBe(session.endsAt);
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

  test.each([10 * MINUTE, -10 * MINUTE])(
    "are told by the store's clock from the first call on, a rotation too: off by %d ms",
    async (skew) => {
      const store = storeOffBy(skew);
      const { token } = await new Sessions({ store }).create({});
      vi.advanceTimersByTime(MINUTE);
      const rotated = (await new Sessions({ store }).rotate(token))!;
      expect(rotated.session.touchedAt).toBe(Date.now() + skew);
    },
  );

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

  test("that fail harm nobody", async () => {
    const store = storeOffBy(0);
    const failing = { ...store, update: () => Promise.reject(new Error("down")) };
    const sessions = new Sessions({ store: failing, idleTimeout: "30m" });
    const { token } = await sessions.create({ a: 1 });
    vi.advanceTimersByTime(20 * MINUTE);
    expect((await sessions.get(token))?.data).toEqual({ a: 1 });
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
