import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { memoryStore, type MemoryStoreOptions, type NewSession, StoreError } from "@tenure/core";
import { describe, expect, test, vi } from "vitest";

const HOUR = 3_600_000;
const digest = (n: number): string => createHash("sha256").update(String(n)).digest("base64url");
const session = (n: number, more: Partial<NewSession> = {}): NewSession => ({
  id: digest(n),
  userId: null,
  data: "x".repeat(200),
  idle: HOUR / 2,
  lifetime: 12 * HOUR,
  ...more,
});

/** Returns how many bytes of the heap are in use after a garbage collection. */
function heap(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}

describe("the memory store", () => {
  test.each([
    [{ tombstoneMinimun: 1000 }, "Unknown option tombstoneMinimun. Known options: clock, tombstoneMinimum, "],
    [null, "options must be an object. Known options: clock, "],
    [{ clock: 5 }, "clock must be a function"],
    [{ tombstoneMinimum: 0 }, "tombstoneMinimum must be a whole number"],
    [{ tombstoneMinimum: Number.NaN }, "tombstoneMinimum must be a whole number"],
    // Added to an instant, a string would make one that never comes.
    [{ tombstoneMinimum: "3600000" }, "tombstoneMinimum must be a whole number"],
    [{ maxUnknownTombstones: "100" }, "maxUnknownTombstones must be a number"],
    [{ maxUnknownTombstones: -1 }, "maxUnknownTombstones must be a number of 0 or more"],
  ])("refuses the options %o at construction", (options, message) => {
    expect(() => memoryStore(options as MemoryStoreOptions)).toThrow(TypeError);
    expect(() => memoryStore(options as MemoryStoreOptions)).toThrow(message);
  });

  test("frees the memory of expired sessions during its own calls", async () => {
    let now = 1_000_000_000;
    const store = memoryStore({ clock: () => now });
    const before = heap();
    for (let n = 0; n < 20_000; n += 1) await store.create(session(n, { userId: `user ${n}` }));
    expect(heap() - before).toBeGreaterThan(5_000_000);
    now += HOUR;
    for (let n = 0; n < 3000; n += 1) await store.read("nobody");
    expect(heap() - before).toBeLessThan(2_000_000);
    // This use keeps the store itself from being collected above.
    expect(await store.read("nobody")).toBeNull();
  });

  test("does not sweep a session in use", async () => {
    let now = 1_000_000_000;
    const store = memoryStore({ clock: () => now });
    await store.create(session(1, { lifetime: 100 * HOUR }));
    for (let minutes = 0; minutes < 99 * 60; minutes += 20) {
      now += 20 * 60_000;
      for (let n = 0; n < 5; n += 1) await store.read("nobody");
      expect(await store.update(digest(1), {})).toBe("updated");
    }
  });

  test("uses less than 300 bytes for a tombstone, whatever the session held, and frees them when it expires", async () => {
    let now = 1_000_000_000;
    const store = memoryStore({ clock: () => now });
    const count = 10_000;
    const before = heap();
    for (let n = 0; n < count; n += 1)
      await store.create(session(n, { data: "x".repeat(1000) + n, userId: `user ${n}` }));
    for (let n = 0; n < count; n += 1) await store.revoke(digest(n));
    expect((heap() - before) / count).toBeLessThan(300);
    now += 12 * HOUR + 60_000;
    for (let n = 0; n < 4000; n += 1) await store.read("nobody");
    expect((heap() - before) / count).toBeLessThan(60);
    // This use keeps the store itself from being collected above.
    expect(await store.create(session(0))).toBe("created");
  });

  test("limits the number of tombstones of unknown ids, and still revokes every session", async () => {
    let now = 1_000_000_000;
    const store = memoryStore({ clock: () => now, maxUnknownTombstones: 100, tombstoneMinimum: HOUR });
    await store.create(session(1));
    for (let n = 0; n < 100; n += 1) expect(await store.revoke(`unknown ${n}`)).toBe(false);
    await expect(store.revoke("one more")).rejects.toThrow(StoreError);
    expect(await store.revoke("unknown 7")).toBe(false);
    expect(await store.revoke(digest(1))).toBe(true);
    now += HOUR + 60_000;
    for (let n = 0; n < 100; n += 1) await store.read("nobody");
    expect(await store.revoke("one more")).toBe(false);
  });

  test("still frees memory after its clock ran ahead and was set back", async () => {
    let now = 1_000_000_000;
    const store = memoryStore({ clock: () => now, maxUnknownTombstones: 1, tombstoneMinimum: HOUR });
    now += 10_000 * HOUR;
    await store.read("nobody");
    now -= 10_000 * HOUR;
    await store.revoke("unknown");
    now += HOUR + 60_000;
    await store.read("nobody");
    expect(await store.revoke("another")).toBe(false);
  });

  test("uses whole milliseconds even if its clock returns fractions", async () => {
    const store = memoryStore({ clock: () => 1000.75 });
    await store.create(session(1, { idle: 100 }));
    expect(await store.now()).toBe(1000);
    expect(await store.read(digest(1))).toMatchObject({ createdAt: 1000, touchedAt: 1000, expiresAt: 1100 });
  });

  test("keeps the tombstone of an expired session to the end of its lifetime, and does not count it as unknown", async () => {
    let now = 1_000_000_000;
    const store = memoryStore({ clock: () => now, maxUnknownTombstones: 0, tombstoneMinimum: 1000 });
    await store.create(session(1, { userId: "ada" }));
    now += HOUR / 2;
    expect(await store.revoke(digest(1))).toBe(false);
    now += 11 * HOUR;
    for (let n = 0; n < 10; n += 1) await store.read("nobody");
    expect(await store.create(session(1))).toBe("taken");
    now += HOUR;
    for (let n = 0; n < 10; n += 1) await store.read("nobody");
    expect(await store.create(session(1))).toBe("created");
  });

  test("uses a fake clock that is installed after the store was created", async () => {
    const store = memoryStore();
    vi.useFakeTimers({ toFake: ["Date"], now: 1_800_000_000_000 });
    try {
      await store.create(session(1));
      vi.advanceTimersByTime(HOUR / 2);
      expect(await store.read(digest(1))).toBeNull();
    } finally {
      vi.useRealTimers();
    }
  });

  test("moves its clock past a fence, so that revokeUser does not wait for a clock that stands still", async () => {
    const store = memoryStore({ clock: () => 1_000_000_000 });
    await store.create(session(1, { userId: "ada" }));
    const before = await store.now();
    expect(await store.revokeUser("ada")).toBe(1);
    expect(await store.now()).toBeGreaterThan(before);
    expect(await store.create(session(2, { userId: "ada", authenticatedAt: before }))).toBe("fenced");
    expect(await store.create(session(2, { userId: "ada", authenticatedAt: await store.now() }))).toBe(
      "created",
    );
  });

  test("forgets a fence once it refuses every login of that time anyway", async () => {
    let now = 1_000_000_000;
    const store = memoryStore({ clock: () => now, tombstoneMinimum: HOUR });
    const before = heap();
    for (let n = 0; n < 10_000; n += 1) await store.revokeUser(`user ${n}`);
    const withFences = heap();
    now += 2 * HOUR;
    for (let n = 0; n < 2; n += 1) await store.revokeUser("ada");
    expect(heap() - before).toBeLessThan((withFences - before) / 2);
    expect(await store.create(session(1, { userId: "user 7", authenticatedAt: now - 2 * HOUR }))).toBe(
      "fenced",
    );
  });

  test.each<[string, Partial<Record<keyof NewSession, unknown>>]>([
    ["id", { id: 7 }],
    ["userId", { userId: undefined }],
    ["userId", { userId: 0 }],
    ["data", { data: {} }],
    ["idle", { idle: 0 }],
    ["idle", { idle: Number.NaN }],
    ["idle", { idle: 1.5 }],
    ["lifetime", { lifetime: -1 }],
    ["lifetime", { lifetime: 1e15 }],
    ["authenticatedAt", { userId: "ada", authenticatedAt: Number.NaN }],
    ["authenticatedAt", { userId: "ada", authenticatedAt: -1 }],
  ])("refuses an invalid %s before anything is written: %o", async (name, wrong) => {
    const store = memoryStore();
    await expect(store.create({ ...session(1), ...wrong } as NewSession)).rejects.toThrow(
      new RegExp(`^${name} must be`),
    );
    expect(await store.read(digest(1))).toBeNull();
  });

  test("does not keep its process alive", () => {
    const script = `
      import { memoryStore } from "@tenure/core";
      const store = memoryStore();
      await store.create({ id: "a", userId: null, data: "", idle: 3600000, lifetime: 3600000 });
      await store.revoke("b");`;
    const run = spawnSync(
      process.execPath,
      ["--conditions=@tenure/source", "--input-type=module", "--eval", script],
      { cwd: join(import.meta.dirname, ".."), timeout: 20_000, encoding: "utf8" },
    );
    expect(run.stderr).toBe("");
    expect(run.status).toBe(0);
  });
});
