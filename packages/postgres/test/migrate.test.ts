import { StoreError } from "@tenure/core";
import { migrate, type Migration, migrations, postgresStore, type TableName } from "@tenure/postgres";
import { server } from "@tenure/servers";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { tableOf } from "../src/table.ts";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const HOUR = 3_600_000;
const session = { id: "id", userId: "user", data: "{}", idle: HOUR, lifetime: HOUR };
let count = 0;
const fresh = () => ({
  schema: `migrate "${(count += 1)}" ${process.pid}`,
  table: `sessions ${process.hrtime.bigint()}`,
});

describe("migrations", () => {
  // `npx vitest run --project postgres -u` writes it.
  test("ship as files, which say what migrate runs", async () => {
    for (const { version, sql } of migrations()) {
      await expect(sql).toMatchFileSnapshot(`../migrations/${String(version).padStart(3, "0")}.sql`);
    }
  });

  test.each(["", "x".repeat(64), "a\0b", "\ud800", undefined as never])(
    "a table can't be named %j",
    (name) => {
      if (name !== undefined) expect(() => migrations({ table: name })).toThrow(TypeError);
      expect(() => migrations({ schema: name ?? "" })).toThrow(TypeError);
    },
  );
});

postgres.describe("migrate", () => {
  test("ten instances that start at once make one table, and calling it again changes nothing", async () => {
    const name = fresh();
    await Promise.all(Array.from({ length: 10 }, () => migrate(pools.open({ max: 1 }), name)));
    const store = postgresStore(pools.open(), name);
    expect(await store.create(session)).toBe("created");
    await migrate(pools.open({ max: 1 }), name);
    expect(await store.read("id")).toMatchObject({ id: "id", version: 1 });
  });

  test("instances that name the schema and instances that find it by search_path make one table at once", async () => {
    const table = `either_way_${process.pid}`;
    const names = Array.from({ length: 20 }, (_, at) =>
      at % 2 === 0 ? { table } : { schema: "public", table },
    );
    const connected = names.map(() => pools.open({ max: 1 }));
    await Promise.all(connected.map((pool) => pool.query("select")));
    await Promise.all(names.map((name, at) => migrate(connected[at]!, name)));
    expect(await postgresStore(pools.open({ max: 1 }), { table }).create(session)).toBe("created");
  });

  test("tables of one new schema that are migrated at once are all made", async () => {
    const { schema } = fresh();
    const tables = Array.from({ length: 10 }, (_, index) => `of application ${index}`);
    await Promise.all(tables.map((table) => migrate(pools.open({ max: 1 }), { schema, table })));
    for (const table of tables) {
      expect(await postgresStore(pools.open({ max: 1 }), { schema, table }).create(session)).toBe("created");
    }
  });

  test("the longest name that PostgreSQL holds is held whole, its index beside it", async () => {
    const name = { table: `${"ü".repeat(31)}x` };
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    const { rows } = await pool.query("select indexname from pg_indexes where tablename = $1 order by 1", [
      name.table,
    ]);
    expect(rows).toHaveLength(2);
  });

  test("what is up to date needs no right to create anything", async () => {
    const name = fresh();
    const admin = pools.open({ max: 1 });
    await migrate(admin, name);
    const plain = pools.open({ max: 1, ...(await role(name)) });
    await migrate(plain, name);
    await expect(migrate(plain, fresh())).rejects.toMatchObject({ code: "42501" });
  });

  test("a role with select, insert, update and delete can do all that a store does", async () => {
    const name = fresh();
    await migrate(pools.open({ max: 1 }), name);
    const store = postgresStore(pools.open(await role(name)), name);
    expect(await store.create(session)).toBe("created");
    expect(await store.create({ ...session, id: "gone", userId: null, idle: 1 })).toBe("created");
    expect(await store.read("id")).toMatchObject({ userId: "user" });
    expect(await store.update("id", {})).toBe("updated");
    expect(await store.update("id", { data: "new" })).toBe("updated");
    expect(await store.listUser("user")).toHaveLength(1);
    expect(await all(store.scan())).toHaveLength(1);
    expect(await store.revoke("unknown")).toBe(false);
    expect(await store.revokeUser("user")).toBe(1);
    expect(await store.sweep()).toBe(1);
    expect(await store.now()).toBeGreaterThan(0);
  });

  test("a table that is not Tenure's is refused and left as it is", async () => {
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

  test("a table of an earlier release is brought forward once, by whichever of ten comes first, with all that is in it", async () => {
    const name = fresh();
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

    const { sql } = tableOf(name);
    const { rows } = await pool.query(`select id, later from ${sql} where revoked_at is null`);
    expect(rows).toEqual([{ id: "id", later: "new" }]);
    // This release leaves the later schema alone, and works on it.
    await migrate(pool, name);
    expect(await pool.query(`select later from ${sql} where id = 'id'`)).toMatchObject({
      rows: [{ later: "new" }],
    });
    expect(await postgresStore(pool, name).update("id", { data: "after" })).toBe("updated");
  });

  test("a table that lacks what this release needs is an error that names the command to run", async () => {
    const name = fresh();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    await pool.query(`alter table ${tableOf(name).sql} drop column idle_timeout`);
    await expect(postgresStore(pool, name).read("id")).rejects.toThrow("run `await migrate(pool)`");
  });

  test("a newer table is left alone", async () => {
    const name = fresh();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    const { versionTable } = tableOf(name);
    await pool.query(`update ${versionTable} set version = 99`);
    await migrate(pool, name);
    expect((await pool.query(`select version from ${versionTable}`)).rows).toEqual([{ version: 99 }]);
  });

  test("a database that was restored without comments is up to date, and its users are logged in", async () => {
    const name = fresh();
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

  test("a table whose version table is gone is refused", async () => {
    const name = fresh();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    await pool.query(`drop table ${tableOf(name).versionTable}`);
    await expect(migrate(pool, name)).rejects.toThrow("restore both tables");
  });

  test("a table that is gone while its version table is left is refused", async () => {
    const name = fresh();
    const pool = pools.open({ max: 1 });
    await migrate(pool, name);
    await pool.query(`drop table ${tableOf(name).sql}`);
    await expect(migrate(pool, name)).rejects.toThrow("restore both tables");
  });

  test("a migration that fails leaves nothing behind, and the connection is no longer used", async () => {
    const pool = pools.open({ max: 1 });
    await pool.query(`create table taken_${process.pid}_user_id ()`);
    await expect(migrate(pool, { table: `taken_${process.pid}` })).rejects.toMatchObject({ code: "42P07" });
    expect((await pool.query("select to_regclass($1) as found", [`taken_${process.pid}`])).rows).toEqual([
      { found: null },
    ]);
  });

  const missing = {
    "a missing table": { table: "nowhere" },
    "a missing schema": { schema: "nowhere", table: "at all" },
  };
  for (const [what, name] of Object.entries(missing)) {
    test(`${what} is an error that names the command to run, from every call`, async () => {
      const store = postgresStore(pools.open({ max: 2 }), name);
      const calls = [
        store.create(session),
        store.read("id"),
        store.update("id", {}),
        store.update("id", { data: "" }),
        store.revoke("id"),
        store.revokeUser("user"),
        store.listUser("user"),
        all(store.scan()),
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

  describe("the table", () => {
    const table = `documented_${process.pid}`;
    beforeAll(() => migrate(pools.open({ max: 1 }), { table }));

    test("says of every column what it holds", async () => {
      const { rows } = await pools
        .open({ max: 1 })
        .query(
          "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and col_description(attrelid, attnum) is null",
          [table],
        );
      expect(rows).toEqual([]);
    });
  });

  /** Creates a role that owns nothing. */
  async function role(name: { schema: string; table: string }): Promise<{ user: string; password: string }> {
    const admin = pools.open({ max: 1 });
    const user = `plain_${process.pid}_${(count += 1)}`;
    const quoted = name.schema.replaceAll('"', '""');
    await admin.query(`create role ${user} login password 'plain'`);
    await admin.query(`grant usage on schema "${quoted}" to ${user}`);
    await admin.query(`grant select, insert, update, delete on "${quoted}"."${name.table}" to ${user}`);
    const { hostname: host, port, pathname } = new URL(postgres.url);
    // A connection string would override these.
    return {
      user,
      password: "plain",
      connectionString: undefined,
      host,
      port: Number(port),
      database: pathname.slice(1),
    } as never;
  }
});

async function all<Each>(each: AsyncIterable<Each>): Promise<Each[]> {
  const found: Each[] = [];
  for await (const one of each) found.push(one);
  return found;
}
