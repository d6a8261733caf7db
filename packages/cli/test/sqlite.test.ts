import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Sessions } from "@tenure/core";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { findingsOf, testCommands } from "./commands.ts";
import { json, tenure } from "./tenure.ts";

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

  test("count and revoke-all print what they did to the sessions around a damaged one, and exit with code 1", async () => {
    const other = join(folder, "damaged.db");
    const connection = new DatabaseSync(other);
    await migrate(connection);
    const sessions = new Sessions({ store: sqliteStore(connection) });
    for (const userId of ["ada", "bob", "eve"]) await sessions.create({}, { userId });
    connection.exec(`update tenure_sessions set version = ${2 ** 60} where user_id = 'bob'`);
    const err = "tenure: scan: a row of tenure_sessions is not a session\n";
    const counted = { code: 1, out: "At least 2 live: 2 of users, 0 anonymous.\n", err };
    await expect(tenure(["count", "--store", other])).resolves.toEqual(counted);
    await expect(json(["count", "--store", other])).resolves.toMatchObject({ live: 2 });
    const ended = { code: 1, out: "Ended 2 sessions, but not all.\n", err };
    await expect(tenure(["revoke-all", "--yes", "--store", other])).resolves.toEqual(ended);
    // Nothing is left that could be counted or ended.
    for (const command of [["count"], ["revoke-all", "--yes"]]) {
      await expect(tenure([...command, "--store", other])).resolves.toEqual({ code: 1, out: "", err });
    }
  });

  test.each([
    ["without tables", "", "run `await migrate(database)`"],
    ["of another application", "create table users (id integer)", "belongs to another application"],
  ])("each command says that a database %s is not a store", async (_which, sql, reason) => {
    const other = join(folder, `${reason.length}.db`);
    new DatabaseSync(other).exec(sql);
    for (const command of [["count"], ["list", "ada"], ["revoke-all", "--yes"]]) {
      const ran = await tenure([...command, "--store", other]);
      expect(ran).toMatchObject({ code: 1, err: expect.stringContaining(reason) });
    }
  });

  test("doctor reports a file that is not a database, or is another application's, and does not advise migrate", async () => {
    const text = join(folder, "text.db");
    writeFileSync(text, "This is a text and not a database. ".repeat(200));
    await expect(findingsOf(["--store", text])).resolves.toMatchObject({
      schema: "problem: read: the file is not a SQLite database",
    });
    const foreign = join(folder, "foreign.db");
    new DatabaseSync(foreign).exec("create table users (id integer)");
    for (const path of [text, foreign]) {
      const { out } = await tenure(["doctor", "--store", path]);
      expect(out).toContain("-> name another file");
      expect(out).not.toContain("tenure migrate");
    }
  });

  test("doctor warns of a file that every user of the machine can open", async () => {
    const open = mkdtempSync(join(tmpdir(), "tenure-cli-open-"));
    onTestFinished(() => rmSync(open, { recursive: true }));
    chmodSync(open, 0o755);
    const readable = join(open, "sessions.db");
    await tenure(["migrate", "--store", readable]);
    chmodSync(readable, 0o604);
    expect((await findingsOf(["--store", readable]))["privacy"]).toMatch(/^warning: every user/);
    chmodSync(readable, 0o660);
    expect((await findingsOf(["--store", readable]))["privacy"]).toMatch(/^ok/);
    chmodSync(readable, 0o604);
    chmodSync(open, 0o700);
    expect((await findingsOf(["--store", readable]))["privacy"]).toMatch(/^ok/);
  });

  test("an error about a file that cannot be opened names it, with the escapes of its URL decoded", async () => {
    const ran = await tenure(["migrate", "--store", `sqlite://${folder}/no%20folder/sessions.db`]);
    expect(ran).toMatchObject({
      code: 1,
      err: expect.stringContaining("/no folder/sessions.db cannot be opened"),
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
