import { DatabaseSync } from "node:sqlite";
import { migrate, type SqliteDatabase, sqliteStore } from "@tenure/sqlite";
import { expect, onTestFinished, test, vi } from "vitest";
import { newFiles } from "./files.ts";
import { newSession } from "./new-session.ts";
import { messageOf, startProcess } from "./other-process.ts";

const newFile = newFiles();
const PROCESSES = 6;

test(`${PROCESSES} processes can migrate a new file concurrently, and can all write to it`, async () => {
  const file = newFile();
  const starting = Array.from({ length: PROCESSES }, () => startProcess("migrating.fixture.ts", [file]));
  await Promise.all(starting.map(messageOf));
  const created = Promise.all(starting.map(messageOf));
  for (const child of starting) child.send("go");
  expect(await created).toEqual(starting.map(() => "created"));
  expect(await sqliteStore(new DatabaseSync(file)).listUser("ada")).toHaveLength(PROCESSES);
});

test("migrate succeeds if another process migrates the same new file between any two of its statements", async () => {
  for (let nth = 1, isInterrupted = true; isInterrupted; nth += 1) {
    const file = newFile();
    let statements = 0;
    let other: Promise<void> | undefined;
    const database = callBeforeEach(new DatabaseSync(file), () => {
      statements += 1;
      if (statements === nth) other = migrate(new DatabaseSync(file));
    });
    await migrate(database);
    isInterrupted = other !== undefined;
    await other;
    expect(await sqliteStore(database).create(newSession("one"))).toBe("created");
  }
});

test("migrate changes neither the schema nor the data of a file that is up to date", async () => {
  const database = new DatabaseSync(newFile());
  await migrate(database);
  const store = sqliteStore(database);
  await store.create(newSession("one"));
  const schema = (): unknown => database.prepare("select * from sqlite_schema").all();
  const before = schema();
  await migrate(database);
  expect(schema()).toEqual(before);
  expect(await store.read("one")).toMatchObject({ userId: "ada" });
});

test("migrate takes over tables that were restored from a dump, with their sessions", async () => {
  const database = new DatabaseSync(newFile());
  await migrate(database);
  await sqliteStore(database).create(newSession("one"));
  // A dump contains neither number.
  database.exec("pragma application_id = 0; pragma user_version = 0; pragma journal_mode = delete; analyze");
  await expect(sqliteStore(database).read("one")).rejects.toThrow("run `await migrate(database)`");
  await migrate(database);
  expect(await sqliteStore(database).read("one")).toMatchObject({ userId: "ada" });
  expect(database.prepare("pragma user_version").get()).toEqual({ user_version: 1 });
});

test("migrate accepts a new file to which Litestream has added its own tables", async () => {
  const database = new DatabaseSync(newFile());
  database.exec("create table _litestream_seq (id integer primary key, seq integer)");
  database.exec("create table _litestream_lock (id integer)");
  await migrate(database);
  expect(await sqliteStore(database).create(newSession("one"))).toBe("created");
});

test("migrate does not change a file of a later release, and the store works on it", async () => {
  const database = new DatabaseSync(newFile());
  await migrate(database);
  database.exec("alter table tenure_sessions add column later text; pragma user_version = 2");
  await migrate(database);
  expect(database.prepare("pragma user_version").get()).toEqual({ user_version: 2 });
  expect(await sqliteStore(database).create(newSession("one"))).toBe("created");
});

test.each([
  ["a new file", async () => undefined],
  ["a file that is up to date", migrate],
])(
  "migrate of %s waits for a lock that another process holds, without blocking the event loop",
  async (_what, prepare) => {
    const file = newFile();
    const other = new DatabaseSync(file);
    await prepare(other);
    other.exec("begin immediate");
    setTimeout(() => other.exec("rollback"), 50);
    const database = new DatabaseSync(file, { timeout: 60_000 });
    await migrate(database);
    expect(await sqliteStore(database).create(newSession("one"))).toBe("created");
  },
);

test("migrate rejects if another process holds a lock for longer than 30 s, with an error that names this limit", async () => {
  const file = newFile();
  const other = new DatabaseSync(file);
  other.exec("begin immediate");
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => (now += 20_000));
  onTestFinished(() => void vi.restoreAllMocks());
  await expect(migrate(new DatabaseSync(file))).rejects.toThrow("locked for longer than 30 s:");
});

test("migrate turns on WAL, so that reads do not wait for writes", async () => {
  const file = newFile();
  await migrate(new DatabaseSync(file));
  expect(new DatabaseSync(file).prepare("pragma journal_mode").get()).toEqual({ journal_mode: "wal" });
});

/** Wraps a database, to call back before each statement. */
function callBeforeEach(database: SqliteDatabase, callback: () => void): SqliteDatabase {
  return {
    exec(sql) {
      callback();
      return database.exec(sql);
    },
    prepare(sql) {
      callback();
      return database.prepare(sql);
    },
  };
}
