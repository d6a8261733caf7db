import { DatabaseSync } from "node:sqlite";
import { migrate, sqliteStore } from "@tenure/sqlite";
import BetterSqlite3 from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { newFiles } from "./files.ts";

const newFile = newFiles();
const HOUR = 3_600_000;

const drivers = {
  "node:sqlite": () => new DatabaseSync(newFile()),
  "better-sqlite3": () => new BetterSqlite3(newFile()),
};

describe.each(Object.entries(drivers))("a scan, on %s,", (_name, open) => {
  test("has every live session of all pages beside rows that are not sessions, and rejects at its end", async () => {
    const database = open();
    await migrate(database);
    const store = sqliteStore(database);
    // A page has 100 rows.
    const ids = Array.from({ length: 250 }, (_, index) => `session ${index}`);
    await Promise.all(
      ids.map((id) => store.create({ id, userId: "ada", data: "{}", idle: HOUR, lifetime: HOUR })),
    );
    // Written by hand. JavaScript numbers cannot hold these integers.
    const edits = new Map([
      [10, "authenticated_at = null"],
      [20, "ends_at = 9223372036854775807, expires_at = 9223372036854775807"],
      [120, "created_at = -9223372036854775808"],
      [240, "user_id = null"],
    ]);
    for (const [at, columns] of edits) {
      database.exec(`update tenure_sessions set ${columns} where id = '${ids[at]}'`);
    }
    await store.revoke(ids[0]!);
    const found: string[] = [];
    const scanning = async () => {
      for await (const { id } of store.scan()) found.push(id);
    };
    await expect(scanning()).rejects.toMatchObject({ name: "StoreError", operation: "scan" });
    expect(found).toEqual(ids.filter((_, at) => at > 0 && !edits.has(at)));
  });
});

test.each(Object.entries(drivers))(
  "an instant that JavaScript's numbers do not hold, written by hand, keeps no call about others from being made, on %s",
  async (_name, open) => {
    const database = open();
    await migrate(database);
    const store = sqliteStore(database);
    const session = (id: string) => ({ id, userId: "ada", data: "{}", idle: HOUR, lifetime: HOUR });
    for (const id of ["one", "two"]) await store.create(session(id));
    for (const instant of ["9223372036854775807", "-9223372036854775808"]) {
      database.exec(`update tenure_sessions set expires_at = ${instant}, sweep_at = 0 where id = 'one'`);
      await expect(store.update("two", { data: "new" })).resolves.toBe("updated");
    }
    await store.create(session("three"));
    database.exec("update tenure_sessions set expires_at = 9223372036854775807 where id = 'three'");
    await expect(store.revokeUser("ada")).resolves.toBe(2);
  },
);
