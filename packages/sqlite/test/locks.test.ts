import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "@tenure/core";
import { migrate, type SqliteDatabase, sqliteStore, type SqliteStoreOptions } from "@tenure/sqlite";
import BetterSqlite3 from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { newFiles } from "./files.ts";

const newFile = newFiles();
const HOUR = 3_600_000;
const session = (id: string) => ({ id, userId: "ada", data: "{}", idle: HOUR, lifetime: HOUR });

const drivers: Readonly<Record<string, (file: string) => SqliteDatabase>> = {
  "node:sqlite": (file) => new DatabaseSync(file, { timeout: 5000 }),
  "better-sqlite3": (file) => new BetterSqlite3(file, { timeout: 5000 }),
};

/**
 * Opens a store and another connection, whose locks SQLite treats like those of another process. Both use one
 * driver: each driver has its own copy of SQLite, and copies in one process do not see each other's locks.
 */
async function open(connect: (file: string) => SqliteDatabase, options?: SqliteStoreOptions) {
  const file = newFile();
  await migrate(connect(file));
  return { store: sqliteStore(connect(file), options), other: connect(file) };
}

describe.each(Object.entries(drivers))("a lock that another process holds, on %s", (_name, connect) => {
  test("is waited for while the event loop goes on, though the connection was opened with a timeout of its own", async () => {
    const { store, other } = await open(connect, { lockTimeout: 4000 });
    other.exec("begin immediate");
    // A turn needs a free event loop. If SQLite waited, one turn would take 5 s, and the call would run out
    // of time.
    const held = (async () => {
      for (let turns = 0; turns < 20; turns += 1) await sleep(2);
      other.exec("commit");
    })();
    expect(await store.create(session("one"))).toBe("created");
    await held;
  });

  test("does not keep anybody from reading", async () => {
    const { store, other } = await open(connect);
    await store.create(session("one"));
    other.exec("begin immediate; update tenure_sessions set data = 'not committed'");
    expect(await store.read("one")).toMatchObject({ data: "{}" });
    expect(await store.listUser("ada")).toMatchObject([{ data: "{}" }]);
    expect(await Array.fromAsync(store.scan())).toHaveLength(1);
    other.exec("rollback");
  });

  test("is a StoreError of every call that waits, once lockTimeout is over, and nothing is written", async () => {
    const { store, other } = await open(connect, { lockTimeout: 50 });
    await store.create(session("one"));
    other.exec("begin immediate");
    const calls = Array.from({ length: 500 }, (_, count) => store.create(session(`late ${count}`)));
    const outcomes = await Promise.allSettled([...calls, store.revoke("one"), store.revokeUser("ada")]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
      expect(String("reason" in outcome && outcome.reason)).toContain("longer than lockTimeout");
    }
    other.exec("commit");
    expect(await store.listUser("ada")).toMatchObject([{ id: "one" }]);
  });
});

test("a lock that another connection of a shared cache holds is reported as one, though SQLite has another code for it", async () => {
  const { store, other } = await open((file) => new DatabaseSync(`file:${file}?cache=shared`), {
    lockTimeout: 50,
  });
  other.exec("begin immediate");
  await expect(store.create(session("one"))).rejects.toThrow("locked for longer than lockTimeout");
  other.exec("commit");
  expect(await store.create(session("one"))).toBe("created");
});
