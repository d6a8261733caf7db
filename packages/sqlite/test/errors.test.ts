import { copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { type SessionStore, StoreError } from "@tenure/core";
import { migrate, sqliteStore } from "@tenure/sqlite";
import BetterSqlite3 from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { drivers } from "./drivers.ts";
import { newFiles } from "./files.ts";
import { newSession } from "./new-session.ts";

const newFile = newFiles();

describe.each(drivers)("with %s,", (_name, connect) => {
  test("migrate and every write reject on a read-only file, which can still be read", async () => {
    const file = newFile();
    const writable = connect(file);
    await migrate(writable);
    await sqliteStore(writable).create(newSession("one"));
    const readonly = connect(file, { readonly: true });
    await expect(migrate(readonly)).rejects.toThrow(
      "the database cannot be written: it was opened read-only",
    );
    const store = sqliteStore(readonly);
    for (const write of [
      () => store.create(newSession("two")),
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

  test.each<[mark: string, sql: string]>([
    ["a table", "create table users (id integer)"],
    ["an application id", "pragma application_id = 1"],
    ["a schema version", "pragma user_version = 7"],
  ])(
    "every call rejects on a database of another application, which has %s, and does not change it",
    async (_mark, sql) => {
      const file = newFile();
      const foreign = connect(file);
      foreign.exec(sql);
      foreign.close();
      const before = readFileSync(file);
      const database = connect(file);
      await expect(migrate(database)).rejects.toThrow(
        "belongs to another application: give Tenure its own file",
      );
      await expectEveryCallToReject(sqliteStore(database), "belongs to another application");
      expect(readFileSync(file)).toEqual(before);
    },
  );

  test("every call rejects on a file that is not a database, and does not change it", async () => {
    const file = newFile();
    const text = "This is a text and not a database. ".repeat(200);
    writeFileSync(file, text);
    const database = connect(file);
    await expect(migrate(database)).rejects.toThrow("the file is not a SQLite database");
    await expectEveryCallToReject(sqliteStore(database), "the file is not a SQLite database");
    expect(readFileSync(file, "utf8")).toBe(text);
  });

  test("every call rejects on a database without tables and names the command to run, after which the store works", async () => {
    const database = connect(newFile());
    const store = sqliteStore(database);
    await expectEveryCallToReject(store, "run `await migrate(database)`");
    await migrate(database);
    expect(await store.create(newSession("one"))).toBe("created");
  });

  test.each([
    ["database file was deleted", (file: string) => rmSync(file)],
    ["database file was replaced", replace],
    ["-wal file was deleted", (file: string) => rmSync(`${file}-wal`)],
    ["-wal file was replaced", (file: string) => replace(`${file}-wal`)],
    ["-shm file was deleted", (file: string) => rmSync(`${file}-shm`)],
  ])(
    "every call rejects once the %s, because no other process would see the sessions",
    async (_how, change) => {
      const file = newFile();
      const database = connect(file);
      await migrate(database);
      const store = sqliteStore(database);
      expect(await store.create(newSession("one"))).toBe("created");
      change(file);
      await expectEveryCallToReject(store, DELETED_OR_REPLACED);
    },
  );

  test("a call in rollback mode, which has no -wal or -shm file, works", async () => {
    const file = newFile();
    const database = connect(file);
    await migrate(database);
    database.exec("pragma journal_mode = delete");
    const store = sqliteStore(database);
    expect(await store.create(newSession("one"))).toBe("created");
    expect(await store.revoke("one")).toBe(true);
  });

  test.each([
    ["deleted", (file: string) => rmSync(file)],
    ["replaced", replace],
  ])("every call rejects if the file was %s before the first one", async (_how, change) => {
    const file = newFile();
    const database = connect(file);
    await migrate(database);
    expect(await sqliteStore(database).create(newSession("one"))).toBe("created");
    const store = sqliteStore(database);
    change(file);
    await expectEveryCallToReject(store, DELETED_OR_REPLACED);
  });

  test("a store can be made on a locked database, before the tables exist", async () => {
    const file = newFile();
    const [database, other] = [connect(file), connect(file)];
    other.exec("begin exclusive");
    const store = sqliteStore(database);
    other.exec("commit");
    await migrate(database);
    expect(await store.create(newSession("one"))).toBe("created");
  });

  test("every call on a closed connection rejects with a StoreError", async () => {
    const database = connect(newFile());
    await migrate(database);
    const store = sqliteStore(database);
    const unusedStore = sqliteStore(database);
    expect(await store.create(newSession("one"))).toBe("created");
    database.close();
    await expectEveryCallToReject(store, "the connection is closed");
    await expectEveryCallToReject(unusedStore, "the connection is closed");
  });

  test("if the disk is full, the writes that do not fit reject with a StoreError and write nothing, and others succeed", async () => {
    const database = connect(newFile());
    await migrate(database);
    const store = sqliteStore(database);
    await store.create(newSession("one"));
    await store.create(newSession("two"));
    const { page_count: pages } = database.prepare("pragma page_count").get() as { page_count: number };
    database.exec(`pragma max_page_count = ${pages + 1}`);
    const before = await store.read("one");
    const large = "x".repeat(100_000);
    const [save, created, small] = await Promise.allSettled([
      store.update("one", { data: large, userId: "grace" }),
      store.create(newSession("three", { data: large })),
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

test("sqliteStore throws a TypeError for a value that is not a synchronous connection", () => {
  const asynchronous = { exec: () => undefined, prepare: () => undefined, each: () => undefined };
  for (const wrong of [undefined, null, {}, "sessions.db", asynchronous]) {
    expect(() => sqliteStore(wrong as never)).toThrow(TypeError);
    expect(() => sqliteStore(wrong as never)).toThrow("database must be a DatabaseSync of node:sqlite");
  }
});

test("sqliteStore throws a TypeError for an option that is out of range or unknown", () => {
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

const DELETED_OR_REPLACED =
  "the database file, or its -wal or -shm file, was deleted or replaced while it was open";

function replace(file: string): void {
  copyFileSync(file, `${file}.copy`);
  renameSync(`${file}.copy`, file);
}

async function expectEveryCallToReject(store: SessionStore, reason: string): Promise<void> {
  const calls = {
    create: store.create(newSession("new")),
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

test.each([
  ["node:sqlite with readBigInts", () => new DatabaseSync(newFile(), { readBigInts: true })],
  ["node:sqlite with returnArrays", () => new DatabaseSync(newFile(), { returnArrays: true })],
  ["better-sqlite3 with defaultSafeIntegers", () => new BetterSqlite3(newFile()).defaultSafeIntegers(true)],
])("on a new file opened by %s, every call rejects and names the setting", async (_name, open) => {
  const database = open();
  await expect(migrate(database)).rejects.toThrow("open node:sqlite without readBigInts");
  await expectEveryCallToReject(sqliteStore(database), "open node:sqlite without readBigInts");
});
