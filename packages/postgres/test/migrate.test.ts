import { StoreError } from "@tenure/core";
import { migrate, type Migration, migrations, postgresStore, type TableName } from "@tenure/postgres";
import { server } from "@tenure/servers";
import { describe, expect, test, vi } from "vitest";
import { tableOf } from "../src/table.ts";
import { poolsOn } from "./pools.ts";
import { newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const session = newSession({ id: "id", userId: "user" });
let count = 0;
const newName = () => ({
  schema: `migrate "${(count += 1)}" ${process.pid}`,
  table: `sessions ${process.hrtime.bigint()}`,
});

describe("migrations", () => {
  // `npx vitest run --project postgres -u` writes the files.
  test("are the same as the files that the package contains", async () => {
    for (const { version, sql } of migrations()) {
      await expect(sql).toMatchFileSnapshot(`../migrations/${String(version).padStart(3, "0")}.sql`);
    }
  });

  test.each(["", "x".repeat(64), "a\0b", "\ud800"])("refuse %j as the name of a table or schema", (name) => {
    expect(() => migrations({ table: name })).toThrow(TypeError);
    expect(() => migrations({ schema: name })).toThrow(TypeError);
  });
});

postgres.describe("migrate", () => {
  test("creates one table if ten instances call it at once, and changes nothing when called again", async () => {
    const name = newName();
    await Promise.all(Array.from({ length: 10 }, () => migrate(pools.open({ max: 1 }), name)));
    const store = postgresStore(pools.open(), name);
    expect(await store.create(session)).toBe("created");
    await migrate(pools.open({ max: 1 }), name);
    expect(await store.read("id")).toMatchObject({ id: "id", version: 1 });
  });

  test("creates one table if some instances name its schema and others find it by search_path", async () => {
    const table = `either_way_${process.pid}`;
    const names = Array.from({ length: 20 }, (_, at) =>
      at % 2 === 0 ? { table } : { schema: "public", table },
    );
    const connected = names.map(() => pools.open({ max: 1 }));
    await Promise.all(connected.map((pool) => pool.query("select")));
    await Promise.all(names.map((name, at) => migrate(connected[at]!, name)));
    expect(await postgresStore(pools.open({ max: 1 }), { table }).create(session)).toBe("created");
  });

  test("creates ten tables in one new schema at once", async () => {
    const { schema } = newName();
    const tables = Array.from({ length: 10 }, (_, index) => `of application ${index}`);
    await Promise.all(tables.map((table) => migrate(pools.open({ max: 1 }), { schema, table })));
    for (const table of tables) {
      expect(await postgresStore(pools.open({ max: 1 }), { schema, table }).create(session)).toBe("created");
    }
  });

  test("does not truncate the longest name that PostgreSQL can hold, and creates both indexes", async () => {
    const name = { table: `${"ü".repeat(31)}x` };
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    const { rows } = await pool.query("select indexname from pg_indexes where tablename = $1 order by 1", [
      name.table,
    ]);
    expect(rows).toHaveLength(2);
  });

  test("comments every column", async () => {
    const name = newName();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    const { rows } = await pool.query(
      "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and col_description(attrelid, attnum) is null",
      [tableOf(name).sql],
    );
    expect(rows).toEqual([]);
  });

  test("needs no right to create anything if the table is up to date", async () => {
    const name = newName();
    const admin = pools.open({ max: 1 });
    await migrate(admin, name);
    const restricted = pools.open({ max: 1, ...(await pools.asRole("select", name)) });
    await migrate(restricted, name);
    await expect(migrate(restricted, newName())).rejects.toMatchObject({ code: "42501" });
  });

  test("creates a table on which select, insert, update and delete are enough for every call of the store", async () => {
    const name = newName();
    await migrate(pools.open({ max: 1 }), name);
    const store = postgresStore(pools.open(await pools.asRole("select, insert, update, delete", name)), name);
    expect(await store.create(session)).toBe("created");
    expect(await store.create({ ...session, id: "gone", userId: null, idle: 1 })).toBe("created");
    expect(await store.read("id")).toMatchObject({ userId: "user" });
    expect(await store.update("id", {})).toBe("updated");
    expect(await store.update("id", { data: "new" })).toBe("updated");
    expect(await store.listUser("user")).toHaveLength(1);
    expect(await Array.fromAsync(store.scan())).toHaveLength(1);
    expect(await store.revoke("unknown")).toBe(false);
    expect(await store.revokeUser("user")).toBe(1);
    expect(await store.sweep()).toBe(1);
    expect(await store.now()).toBeGreaterThan(0);
  });

  test("refuses a table that is not Tenure's, and leaves it as it is", async () => {
    const pool = pools.open({ max: 1 });
    const table = `of_another_${process.pid}`;
    await pool.query(`create table ${table} (sid varchar primary key, sess json, expire timestamp)`);
    await pool.query(`insert into ${table} values ('sid', '{}', now())`);
    await expect(migrate(pool, { table })).rejects.toThrow("choose another name with the option `table`");
    expect((await pool.query(`select * from ${table}`)).rows).toHaveLength(1);
    const store = postgresStore(pool, { table });
    await expect(store.read("id")).rejects.toThrow("run `await migrate(pool)`");
    await expect(store.create(session)).rejects.toThrow("run `await migrate(pool)`");
  });

  test("upgrades a table of an earlier release once and keeps its rows, if ten instances call it at once", async () => {
    const name = newName();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    expect(await postgresStore(pool, name).create(session)).toBe("created");

    // A later release, with one more step.
    vi.resetModules();
    vi.doMock("../src/migrations.ts", async (original) => {
      const real = await original<typeof import("../src/migrations.ts")>();
      const version = real.migrations().length + 1;
      const next = (given: TableName): Migration => {
        const { sql, versionTable } = tableOf(given);
        const column = `alter table ${sql} add column later text default 'new'`;
        return { version, sql: `${column}; update ${versionTable} set version = ${version}` };
      };
      return {
        ...real,
        migrations: (given: TableName) => [...real.migrations(given), next(given)],
      };
    });
    const later = await import("../src/migrate.ts");
    await Promise.all(Array.from({ length: 10 }, () => later.migrate(pools.open({ max: 1 }), name)));
    vi.doUnmock("../src/migrations.ts");
    vi.resetModules();

    const { sql } = tableOf(name);
    const { rows } = await pool.query(`select id, later from ${sql} where revoked_at is null`);
    expect(rows).toEqual([{ id: "id", later: "new" }]);
    // This release leaves the later schema alone and works with it.
    await migrate(pool, name);
    expect(await pool.query(`select later from ${sql} where id = 'id'`)).toMatchObject({
      rows: [{ later: "new" }],
    });
    expect(await postgresStore(pool, name).update("id", { data: "after" })).toBe("updated");
  });

  test("leaves a newer table alone", async () => {
    const name = newName();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    const { versionTable } = tableOf(name);
    await pool.query(`update ${versionTable} set version = 99`);
    await migrate(pool, name);
    expect((await pool.query(`select version from ${versionTable}`)).rows).toEqual([{ version: 99 }]);
  });

  test("leaves a database alone that was restored without comments, and its users stay logged in", async () => {
    const name = newName();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    expect(await postgresStore(pool, name).create(session)).toBe("created");
    const { sql } = tableOf(name);
    const columns = await pool.query(
      "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0",
      [sql],
    );
    await pool.query(`comment on table ${sql} is null`);
    for (const { attname } of columns.rows) await pool.query(`comment on column ${sql}.${attname} is null`);
    await migrate(pool, name);
    expect(await postgresStore(pool, name).read("id")).toMatchObject({ userId: "user" });
  });

  test("refuses a table whose version table is missing", async () => {
    const name = newName();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    await pool.query(`drop table ${tableOf(name).versionTable}`);
    await expect(migrate(pool, name)).rejects.toThrow("restore both tables");
  });

  test("refuses a version table whose table is missing", async () => {
    const name = newName();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    await pool.query(`drop table ${tableOf(name).sql}`);
    await expect(migrate(pool, name)).rejects.toThrow("restore both tables");
  });

  test("says what to insert if the version table is empty, as after a dump of the schema only", async () => {
    const name = newName();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    const { versionTable } = tableOf(name);
    await pool.query(`delete from ${versionTable}`);
    await expect(migrate(pool, name)).rejects.toThrow(
      `${versionTable} has no row with the version of Tenure's schema, as after a dump of the schema only: insert the version`,
    );
    await pool.query(`insert into ${versionTable} values (1)`);
    await migrate(pool, name);
  });

  test("creates tables whose rows logical replication can publish, so that a later release can update them", async () => {
    const name = newName();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    const { sql, versionTable } = tableOf(name);
    await postgresStore(pool, name).create(session);
    const publication = `published_${process.hrtime.bigint()}`;
    await pool.query(`create publication ${publication} for table ${sql}, ${versionTable}`);
    await pool.query(`update ${versionTable} set version = 2`);
    await expect(postgresStore(pool, name).update("id", { data: "new" })).resolves.toBe("updated");
    await pool.query(`drop publication ${publication}`);
  });

  test("leaves nothing behind if it fails, and destroys the connection", async () => {
    const pool = pools.open({ max: 1 });
    await pool.query(`create table taken_${process.pid}_user_id ()`);
    await expect(migrate(pool, { table: `taken_${process.pid}` })).rejects.toMatchObject({ code: "42P07" });
    expect(pool.totalCount).toBe(0);
    expect((await pool.query("select to_regclass($1) as found", [`taken_${process.pid}`])).rows).toEqual([
      { found: null },
    ]);
  });
});

postgres.describe("postgresStore, without an up-to-date table", () => {
  const missing = {
    "a missing table": { table: "nowhere" },
    "a missing schema": { schema: "nowhere", table: "at all" },
  };
  for (const [what, name] of Object.entries(missing)) {
    test(`with ${what}, every call rejects with a StoreError that names the command to run`, async () => {
      const store = postgresStore(pools.open({ max: 2 }), name);
      const calls = [
        store.create(session),
        store.read("id"),
        store.update("id", {}),
        store.update("id", { data: "" }),
        store.revoke("id"),
        store.revokeUser("user"),
        store.listUser("user"),
        Array.fromAsync(store.scan()),
        store.sweep(),
      ];
      for (const outcome of await Promise.allSettled(calls)) {
        expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
        expect(String("reason" in outcome && outcome.reason)).toMatch(
          /is missing or older.*run `await migrate\(pool\)`.*migrations\/\*\.sql/,
        );
      }
    });
  }

  test("with a missing column, a read rejects with an error that names the command to run", async () => {
    const name = newName();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    await pool.query(`alter table ${tableOf(name).sql} drop column idle_timeout`);
    await expect(postgresStore(pool, name).read("id")).rejects.toThrow("run `await migrate(pool)`");
  });
});
