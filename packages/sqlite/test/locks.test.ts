import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "@tenure/core";
import { migrate, sqliteStore, type SqliteStoreOptions } from "@tenure/sqlite";
import { describe, expect, test } from "vitest";
import { type Connect, drivers } from "./drivers.ts";
import { newFiles } from "./files.ts";
import { newSession } from "./new-session.ts";

const newFile = newFiles();

/**
 * Opens a store and another connection, whose locks SQLite treats like those of another process. Both use one
 * driver: each driver has its own copy of SQLite, and copies in one process do not see each other's locks.
 */
async function open(connect: Connect, options?: SqliteStoreOptions) {
  const file = newFile();
  await migrate(connect(file));
  return { store: sqliteStore(connect(file, { timeout: 5000 }), options), other: connect(file) };
}

describe.each(drivers)("with %s, a lock that another process holds", (_name, connect) => {
  test("does not block the event loop while a call waits for it, even if the connection has a timeout", async () => {
    const { store, other } = await open(connect, { lockTimeout: 4000 });
    other.exec("begin immediate");
    // The lock is released after 20 turns of the event loop. If SQLite waited for it, one turn would take 5 s,
    // and the call would reject.
    const releasing = (async () => {
      for (let turns = 0; turns < 20; turns += 1) await sleep(2);
      other.exec("commit");
    })();
    expect(await store.create(newSession("one"))).toBe("created");
    await releasing;
  });

  test("does not delay reads", async () => {
    const { store, other } = await open(connect);
    await store.create(newSession("one"));
    other.exec("begin immediate; update tenure_sessions set data = 'not committed'");
    expect(await store.read("one")).toMatchObject({ data: "{}" });
    expect(await store.listUser("ada")).toMatchObject([{ data: "{}" }]);
    expect(await Array.fromAsync(store.scan())).toHaveLength(1);
    other.exec("rollback");
  });

  test("makes every call that waits for longer than lockTimeout reject with a StoreError and write nothing", async () => {
    const { store, other } = await open(connect, { lockTimeout: 50 });
    await store.create(newSession("one"));
    other.exec("begin immediate");
    const calls = Array.from({ length: 500 }, (_, count) => store.create(newSession(`late ${count}`)));
    const outcomes = await Promise.allSettled([...calls, store.revoke("one"), store.revokeUser("ada")]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
      expect(String("reason" in outcome && outcome.reason)).toContain("longer than lockTimeout");
    }
    other.exec("commit");
    expect(await store.listUser("ada")).toMatchObject([{ id: "one" }]);
  });
});

test("a lock of another connection to the same shared cache, for which SQLite has a different code, is handled like any other lock", async () => {
  const { store, other } = await open((file) => new DatabaseSync(`file:${file}?cache=shared`), {
    lockTimeout: 50,
  });
  other.exec("begin immediate");
  await expect(store.create(newSession("one"))).rejects.toThrow("locked for longer than lockTimeout");
  other.exec("commit");
  expect(await store.create(newSession("one"))).toBe("created");
});
