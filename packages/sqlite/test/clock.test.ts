import { DatabaseSync } from "node:sqlite";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { afterEach, expect, test, vi } from "vitest";
import { newFiles } from "./files.ts";

const newFile = newFiles();
const HOUR = 3_600_000;
const session = (id: string) => ({ id, userId: "ada", data: "{}", idle: HOUR, lifetime: 12 * HOUR });
afterEach(() => vi.useRealTimers());

async function open() {
  const database = new DatabaseSync(newFile());
  await migrate(database);
  return sqliteStore(database);
}

test("a login in the millisecond of a fence is ended by the next revokeUser, also if that begins in the same millisecond", async () => {
  const store = await open();
  const now = Date.now();
  vi.useFakeTimers({ toFake: ["Date"], now });
  await store.revokeUser("ada");
  expect(await store.create(session("one"))).toBe("created");
  const revoking = store.revokeUser("ada");
  setTimeout(() => vi.setSystemTime(now + 1), 5);
  setTimeout(() => vi.setSystemTime(now + 2), 10);
  expect(await revoking).toBe(1);
  expect(await store.read("one")).toBeNull();
});

test("a session from before the clock was set back is ended, unless the call names an instant", async () => {
  const store = await open();
  await store.create(session("one"));
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - HOUR / 2 });
  expect(await store.revokeUser("ada", { authenticatedUpTo: Date.now() })).toBe(0);
  expect(await store.revokeUser("ada")).toBe(1);
  expect(await store.read("one")).toBeNull();
});

test("after the clock was set back, a login is refused until it has passed the fence again, unless it has no instant", async () => {
  const store = await open();
  await store.create(session("before"));
  const began = await store.now();
  await store.revokeUser("ada");
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - HOUR / 2 });
  // It is indistinguishable from a login before the fence.
  expect(await store.create({ ...session("dated"), authenticatedAt: await store.now() })).toBe("fenced");
  expect(await store.create(session("undated"))).toBe("created");
  // The next revokeUser also ends sessions that were authenticated in the future.
  expect(await store.revokeUser("ada")).toBe(1);
  expect(await store.read("undated")).toBeNull();
  vi.useRealTimers();
  expect(await store.create({ ...session("later"), authenticatedAt: began })).toBe("fenced");
  expect(await store.create({ ...session("later"), authenticatedAt: await store.now() })).toBe("created");
});
