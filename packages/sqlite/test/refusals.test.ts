import { readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { type SessionStore, StoreError } from "@tenure/core";
import { migrate, type SqliteDatabase, sqliteStore } from "@tenure/sqlite";
import BetterSqlite3 from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { newFiles } from "./files.ts";

const newFile = newFiles();
const HOUR = 3_600_000;
const session = (id: string, data = "{}") => ({ id, userId: "ada", data, idle: HOUR, lifetime: HOUR });

const drivers: Readonly<Record<string, (file: string, options?: { readonly?: boolean }) => Closable>> = {
  "node:sqlite": (file, { readonly = false } = {}) => new DatabaseSync(file, { readOnly: readonly }),
  "better-sqlite3": (file, options) => new BetterSqlite3(file, options),
};

interface Closable extends SqliteDatabase {
  close(): unknown;
}

describe.each(Object.entries(drivers))("what is refused, on %s:", (_name, connect) => {
  test("a read-only file is refused by migrate and by each write, and can be read", async () => {
    const file = newFile();
    const writable = connect(file);
    await migrate(writable);
    await sqliteStore(writable).create(session("one"));
    const readonly = connect(file, { readonly: true });
    await expect(migrate(readonly)).rejects.toThrow(
      "the database cannot be written: it was opened read-only",
    );
    const store = sqliteStore(readonly);
    for (const write of [
      () => store.create(session("two")),
      () => store.update("one", {}),
      () => store.update("one", { data: "new" }),
      () => store.revoke("one"),
      () => store.revokeUser("ada"),
    ]) {
      await expect(write()).rejects.toBeInstanceOf(StoreError);
      await expect(write()).rejects.toThrow("the database cannot be written: it was opened read-only");
    }
    expect(await store.listUser("ada")).toMatchObject([{ id: "one", data: "{}", version: 1 }]);
  });

  test.each<[whose: string, sql: string]>([
    ["with a table", "create table users (id integer)"],
    ["with an application id", "pragma application_id = 1"],
    ["with a schema version of its own", "pragma user_version = 7"],
  ])("a database of another application, %s, is refused and left as it is", async (_whose, sql) => {
    const file = newFile();
    const theirs = connect(file);
    theirs.exec(sql);
    theirs.close();
    const before = readFileSync(file);
    const database = connect(file);
    await expect(migrate(database)).rejects.toThrow(
      "belongs to another application: give Tenure its own file",
    );
    await expectEachRefused(sqliteStore(database), "belongs to another application");
    expect(readFileSync(file)).toEqual(before);
  });

  test("a file that is not a database is refused and left as it is", async () => {
    const file = newFile();
    const text = "This is a text and not a database. ".repeat(200);
    writeFileSync(file, text);
    const database = connect(file);
    await expect(migrate(database)).rejects.toThrow("the file is not a SQLite database");
    await expectEachRefused(sqliteStore(database), "the file is not a SQLite database");
    expect(readFileSync(file, "utf8")).toBe(text);
  });

  test("a database without tables is an error that names the command to run, and works after it", async () => {
    const database = connect(newFile());
    const store = sqliteStore(database);
    await expectEachRefused(store, "run `await migrate(database)`");
    await migrate(database);
    expect(await store.create(session("one"))).toBe("created");
  });

  test("a connection that was closed makes every call reject with a StoreError", async () => {
    const database = connect(newFile());
    await migrate(database);
    const store = sqliteStore(database);
    const closedBefore = sqliteStore(database);
    expect(await store.create(session("one"))).toBe("created");
    database.close();
    await expectEachRefused(store, "the connection is closed");
    await expectEachRefused(closedBefore, "the connection is closed");
  });

  test("a full disk in the middle of a save is a StoreError of that save alone, and leaves nothing half written", async () => {
    const database = connect(newFile());
    await migrate(database);
    const store = sqliteStore(database);
    await store.create(session("one"));
    await store.create(session("two"));
    const { page_count: pages } = database.prepare("pragma page_count").get() as { page_count: number };
    database.exec(`pragma max_page_count = ${pages + 1}`);
    const [before] = await store.listUser("ada");
    const large = "x".repeat(100_000);
    const [save, created, small] = await Promise.allSettled([
      store.update("one", { data: large, userId: "grace" }),
      store.create(session("three", large)),
      store.update("two", { data: "small" }),
    ]);
    for (const outcome of [save, created]) {
      expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
      expect(String(outcome.status === "rejected" && outcome.reason)).toContain("is full");
    }
    expect(small).toEqual({ status: "fulfilled", value: "updated" });
    expect(await store.read("one")).toEqual(before);
    expect(await store.read("two")).toMatchObject({ data: "small" });
    expect(await store.read("three")).toBeNull();
    // With more room, the same save succeeds.
    database.exec("pragma max_page_count = 1000000");
    expect(await store.update("one", { data: large })).toBe("updated");
  });
});

test("what is not a synchronous connection is a TypeError", () => {
  const asynchronous = { exec: () => undefined, prepare: () => undefined, each: () => undefined };
  for (const wrong of [undefined, null, {}, "sessions.db", asynchronous]) {
    expect(() => sqliteStore(wrong as never)).toThrow("database must be a DatabaseSync of node:sqlite");
  }
});

test("an option out of range is a TypeError", () => {
  const database = new DatabaseSync(":memory:");
  for (const wrong of [0, -1, 1.5, Number.NaN, "1h"]) {
    expect(() => sqliteStore(database, { tombstoneMinimum: wrong as never })).toThrow(
      "tombstoneMinimum must be",
    );
  }
  expect(() => sqliteStore(database, { lockTimeout: -1 })).toThrow("lockTimeout must be");
  expect(() => sqliteStore(database, { lockTimout: 1 } as object)).toThrow(
    new TypeError("Unknown option lockTimout. Known options: tombstoneMinimum, lockTimeout"),
  );
});

async function expectEachRefused(store: SessionStore, reason: string): Promise<void> {
  const calls = {
    create: store.create(session("new")),
    read: store.read("one"),
    update: store.update("one", { data: "new" }),
    revoke: store.revoke("one"),
    revokeUser: store.revokeUser("ada"),
    listUser: store.listUser("ada"),
    scan: Array.fromAsync(store.scan()),
  };
  const outcomes = await Promise.allSettled(Object.values(calls));
  for (const [at, operation] of Object.keys(calls).entries()) {
    const outcome = outcomes[at]!;
    expect(outcome).toMatchObject({ status: "rejected", reason: { name: "StoreError", operation } });
    expect(String(outcome.status === "rejected" && outcome.reason)).toContain(reason);
  }
}
