import { migrate, sqliteStore } from "@tenure/sqlite";
import { expect, test } from "vitest";
import { drivers } from "./drivers.ts";
import { newFiles } from "./files.ts";
import { newSession } from "./new-session.ts";

const newFile = newFiles();

test.each(drivers)(
  "with %s, a scan that meets invalid rows yields every live session of all pages, and then rejects",
  async (_name, connect) => {
    const database = connect(newFile());
    await migrate(database);
    const store = sqliteStore(database);
    // A page has 100 rows.
    const ids = Array.from({ length: 250 }, (_, index) => `session ${index}`);
    await Promise.all(ids.map((id) => store.create(newSession(id))));
    // Edits by hand. JavaScript numbers cannot hold these integers.
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
  },
);

test.each(drivers)(
  "with %s, a row with an instant that JavaScript numbers cannot hold breaks no call on other sessions",
  async (_name, connect) => {
    const database = connect(newFile());
    await migrate(database);
    const store = sqliteStore(database);
    for (const id of ["one", "two"]) await store.create(newSession(id));
    for (const instant of ["9223372036854775807", "-9223372036854775808"]) {
      database.exec(`update tenure_sessions set expires_at = ${instant}, sweep_at = 0 where id = 'one'`);
      await expect(store.update("two", { data: "new" })).resolves.toBe("updated");
    }
    await store.create(newSession("three"));
    database.exec("update tenure_sessions set expires_at = 9223372036854775807 where id = 'three'");
    await expect(store.revokeUser("ada")).resolves.toBe(2);
  },
);
