import { DatabaseSync } from "node:sqlite";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { afterEach, expect, test, vi } from "vitest";
import { newFiles } from "./files.ts";
import { HOUR, newSession } from "./new-session.ts";

const newFile = newFiles();
afterEach(() => vi.useRealTimers());

async function open() {
  const database = new DatabaseSync(newFile());
  await migrate(database);
  return sqliteStore(database);
}

test("a session created in the millisecond of a fence is ended by the next revokeUser, even if that begins in the same millisecond", async () => {
  const store = await open();
  const now = Date.now();
  vi.useFakeTimers({ toFake: ["Date"], now });
  await store.revokeUser("ada");
  expect(await store.create(newSession("one"))).toBe("created");
  const revoking = store.revokeUser("ada");
  setTimeout(() => vi.setSystemTime(now + 1), 5);
  setTimeout(() => vi.setSystemTime(now + 2), 10);
  expect(await revoking).toBe(1);
  expect(await store.read("one")).toBeNull();
});

test("after the clock was set back, revokeUser ends the sessions created before that, unless it gives authenticatedUpTo", async () => {
  const store = await open();
  await store.create(newSession("one"));
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - HOUR / 2 });
  expect(await store.revokeUser("ada", { authenticatedUpTo: Date.now() })).toBe(0);
  expect(await store.revokeUser("ada")).toBe(1);
  expect(await store.read("one")).toBeNull();
});

test("after the clock was set back, a login with authenticatedAt is refused until the clock passes the fence again, and one without is accepted", async () => {
  const store = await open();
  await store.create(newSession("before"));
  const began = await store.now();
  await store.revokeUser("ada");
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - HOUR / 2 });
  // It is indistinguishable from a login before the fence.
  const dated = newSession("dated", { authenticatedAt: await store.now() });
  expect(await store.create(dated)).toBe("fenced");
  expect(await store.create(newSession("undated"))).toBe("created");
  // The next revokeUser also ends sessions that were authenticated in the future.
  expect(await store.revokeUser("ada")).toBe(1);
  expect(await store.read("undated")).toBeNull();
  vi.useRealTimers();
  expect(await store.create(newSession("later", { authenticatedAt: began }))).toBe("fenced");
  expect(await store.create(newSession("later", { authenticatedAt: await store.now() }))).toBe("created");
});
