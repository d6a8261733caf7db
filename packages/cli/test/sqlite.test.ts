import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findingsOf, testCommands } from "./commands.ts";
import { tenure } from "./tenure.ts";

const folder = mkdtempSync(join(tmpdir(), "tenure-cli-"));
const file = join(folder, "sessions.db");
const args = ["--store", `sqlite://${file}`];

describe("SQLite", () => {
  const database = new DatabaseSync(file);
  beforeAll(() => migrate(database));
  afterAll(() => {
    database.close();
    rmSync(folder, { recursive: true });
  });
  testCommands(() => ({ args, store: sqliteStore(database) }));

  test("doctor reports no problem with the tables that migrate created", async () => {
    await expect(findingsOf(["--store", file])).resolves.toMatchObject({
      version: expect.stringMatching(/^ok: SQLite 3\./),
      "file system": expect.stringMatching(/^(?:ok|unknown): /),
      rights: "ok: the file and its folder are writable",
      schema: "ok: the tables are up to date, in WAL",
    });
  });

  test("doctor reports a file without tables and a file that is not in WAL mode, and migrate repairs both", async () => {
    const other = join(folder, "other.db");
    new DatabaseSync(other).exec("vacuum");
    const before = await tenure(["doctor", "--store", other]);
    expect(before).toMatchObject({ code: 1, out: expect.stringContaining("-> run tenure migrate") });
    await tenure(["migrate", "--store", other]);
    await expect(findingsOf(["--store", other])).resolves.toMatchObject({
      schema: expect.stringMatching(/^ok/),
    });
    const connection = new DatabaseSync(other);
    connection.exec("pragma journal_mode = delete");
    connection.close();
    await expect(findingsOf(["--store", other])).resolves.toMatchObject({
      schema: "problem: the journal mode is delete: reads wait for writes",
    });
    await tenure(["migrate", "--store", other]);
    await expect(findingsOf(["--store", other])).resolves.toMatchObject({
      schema: expect.stringMatching(/^ok/),
    });
  });

  test("only migrate creates a file that does not exist", async () => {
    const missing = join(folder, "missing.db");
    for (const command of [["count"], ["doctor"], ["list", "ada"]]) {
      const ran = await tenure([...command, "--store", missing]);
      expect(ran).toMatchObject({
        code: 1,
        out: "",
        err: expect.stringContaining("tenure migrate creates it"),
      });
    }
    expect(existsSync(missing)).toBe(false);
    await expect(tenure(["migrate", "--store", missing])).resolves.toMatchObject({ code: 0 });
    await expect(tenure(["count", "--store", missing])).resolves.toMatchObject({ code: 0 });
  });

  test("migrate refuses a database of another application, and does not change it", async () => {
    const theirs = join(folder, "theirs.db");
    const connection = new DatabaseSync(theirs);
    connection.exec("create table users (id integer)");
    const refused = await tenure(["migrate", "--store", theirs]);
    expect(refused).toMatchObject({
      code: 1,
      err: expect.stringContaining("belongs to another application"),
    });
    expect(connection.prepare("select count(*) as n from sqlite_schema").get()).toEqual({ n: 1 });
  });
});
