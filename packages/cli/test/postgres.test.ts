import { randomUUID } from "node:crypto";
import { migrate, postgresStore } from "@tenure/postgres";
import { canStart, server, startPostgres } from "@tenure/servers";
import { Client, Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findingsOf, testCommands } from "./commands.ts";
import { json, tenure } from "./tenure.ts";

const postgres = await server("postgres");
const own = await canStart("postgres");

postgres.describe("PostgreSQL", () => {
  const schema = `cli_${randomUUID().slice(0, 8)}`;
  const table = 'the "sessions"';
  const args = ["--store", postgres.url, "--schema", schema, "--table", table];
  const quoted = `"${schema}"."the ""sessions"""`;
  let pool: Pool;
  beforeAll(async () => {
    pool = new Pool({ connectionString: postgres.url });
    await migrate(pool, { schema, table });
  });
  afterAll(async () => {
    await pool?.query(`drop schema "${schema}" cascade`);
    await pool?.end();
  });
  testCommands(() => ({ args, store: postgresStore(pool, { schema, table }) }));

  test("doctor reports a missing table, and migrate creates it", async () => {
    const other = ["--store", postgres.url, "--schema", schema, "--table", "other"];
    const before = await tenure(["doctor", ...other]);
    expect(before).toMatchObject({ code: 1, out: expect.stringContaining("-> run tenure migrate") });
    await expect(tenure(["migrate", ...other])).resolves.toMatchObject({ code: 0 });
    await expect(findingsOf(other)).resolves.toMatchObject({ schema: "ok: version 1" });
  });

  test("doctor reports missing rights, row security, a trigger, a missing index and an unlogged table", async () => {
    const name = `role_${randomUUID().slice(0, 8)}`;
    const target = ["--schema", schema, "--table", "broken"];
    await migrate(pool, { schema, table: "broken" });
    await pool.query(`
      create role ${name} login password 's3cret';
      grant usage on schema "${schema}" to ${name};
      grant select, insert, update on "${schema}".broken to ${name};
      alter table "${schema}".broken enable row level security;
      drop index "${schema}".broken_user_id;
      alter table "${schema}".broken set unlogged;
      create function "${schema}".nothing() returns trigger language plpgsql as 'begin return new; end';
      create trigger watch before update on "${schema}".broken for each row execute function "${schema}".nothing()`);
    const url = new URL(postgres.url);
    url.username = name;
    url.password = "s3cret";
    await expect(findingsOf(["--store", url.href, ...target])).resolves.toMatchObject({
      privileges: "problem: this role may not delete",
      "row security": expect.stringMatching(/^problem/),
      indexes: expect.stringMatching(/^problem/),
      triggers: expect.stringMatching(/^warning: watch/),
      table: expect.stringMatching(/^problem: is not logged/),
    });
    const ran = await tenure(["list", "ada", "--store", url.href, ...target]);
    expect(ran).toMatchObject({ code: 1, out: "" });
    expect(ran.err).not.toContain("s3cret");
    await pool.query(`drop owned by ${name}; drop role ${name}`);
  });

  test("doctor warns of a table with a version that this release does not know", async () => {
    await migrate(pool, { schema, table: "newer" });
    await pool.query(`update "${schema}".newer_schema set version = 99`);
    await expect(
      findingsOf(["--store", postgres.url, "--schema", schema, "--table", "newer"]),
    ).resolves.toMatchObject({ schema: expect.stringMatching(/^warning: version 99/) });
  });

  test("doctor warns of other roles with rights on the table, unless row level security hides its rows from them", async () => {
    const name = `role_${randomUUID().slice(0, 8)}`;
    const target = ["--store", postgres.url, "--schema", schema, "--table", "granted"];
    await migrate(pool, { schema, table: "granted" });
    await expect(findingsOf(target)).resolves.toMatchObject({
      "other roles": "ok: have no rights on the table",
    });
    await pool.query(`create role ${name}; grant select, insert on "${schema}".granted to ${name}`);
    await pool.query(`grant select on "${schema}".granted to public`);
    const expected = `warning: public, ${name} may also read or change the table, and so sessions`;
    await expect(findingsOf(target)).resolves.toMatchObject({ "other roles": expected });
    await pool.query(`alter table "${schema}".granted enable row level security`);
    await expect(findingsOf(target)).resolves.toMatchObject({
      "other roles": "ok: have no rights on the table",
      "row security": "ok: does not apply to this role",
    });
    await pool.query(`drop owned by ${name}; drop role ${name}`);
  });

  test("doctor says what to insert if the schema was restored without its version", async () => {
    await migrate(pool, { schema, table: "empty" });
    await pool.query(`delete from "${schema}".empty_schema`);
    const ran = await tenure(["doctor", "--store", postgres.url, "--schema", schema, "--table", "empty"]);
    expect(ran).toMatchObject({
      code: 1,
      out: expect.stringContaining(`such as insert into "${schema}"."empty_schema" values (1)`),
    });
  });

  test("sweep deletes expired sessions, and reports how many", async () => {
    const store = postgresStore(pool, { schema, table });
    for (let at = 0; at < 3; at += 1) {
      await store.create({ id: randomUUID(), userId: null, data: "", idle: 1, lifetime: 1 });
    }
    await pool.query(`update ${quoted} set expires_at = now() - interval '1 hour' where expires_at <= now()`);
    const { swept } = await json<{ swept: number }>(["sweep", ...args]);
    expect(swept).toBeGreaterThanOrEqual(3);
    await expect(json(["sweep", ...args])).resolves.toEqual({ swept: 0 });
  });
});

own.describe("a PostgreSQL server with fsync and UTF-8", () => {
  test("doctor reports no problem with a table that migrate created", async () => {
    await using safe = await startPostgres({ settings: { fsync: "on" } });
    const admin = new Pool({ connectionString: safe.url, max: 1 });
    // A server's own databases may have another encoding.
    await admin.query("create database app template template0 encoding 'UTF8' locale 'C'");
    await admin.end();
    const args = ["--store", safe.url.replace(/postgres$/, "app")];
    await expect(tenure(["migrate", ...args])).resolves.toMatchObject({ code: 0, err: "" });
    const ran = await tenure(["doctor", ...args]);
    expect(ran.out).not.toMatch(/^(?:warning|problem|unknown)/m);
    expect(ran).toMatchObject({ code: 0, err: "" });
  });

  test("doctor reports a standby, although it does not tell the store the time", async () => {
    await using standby = await startPostgres();
    await expect(tenure(["migrate", "--store", standby.url])).resolves.toMatchObject({ code: 0 });
    const admin = new Client({ connectionString: standby.url });
    await admin.connect();
    // With this file in its data directory, the server starts as a standby.
    await admin.query(
      `do $$ begin execute format('copy (select) to %L', current_setting('data_directory') || '/standby.signal'); end $$`,
    );
    await admin.end();
    await standby.stop();
    await standby.start();
    await expect(findingsOf(["--store", standby.url])).resolves.toMatchObject({
      role: expect.stringMatching(/^problem: this is a standby/),
      clock: expect.stringMatching(/^unknown: .*connect the pool to the primary$/),
    });
  });
});
