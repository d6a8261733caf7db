import { readFileSync } from "node:fs";
import { server } from "@tenure/servers";
import type { Pool } from "pg";
import { beforeAll, expect, test } from "vitest";
import { migrate, type PostgresStore, postgresStore } from "@tenure/postgres";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const HOUR = 3_600_000;
const blocks = [
  ...readFileSync(new URL("../README.md", import.meta.url), "utf8").matchAll(/```sql\n(.*?)```/gs),
].map(([, sql]) => sql!);

postgres.describe("the SQL of the README", () => {
  let pool: Pool;
  let store: PostgresStore;
  const columns = async (): Promise<unknown[]> =>
    (
      await pool.query(
        "select column_name, data_type, is_nullable, collation_name from information_schema.columns where table_schema = current_schema() and table_name = 'tenure_sessions' order by 1",
      )
    ).rows;

  beforeAll(async () => {
    const schema = `readme_${process.pid}`;
    await pools.open({ max: 1 }).query(`create schema ${schema}`);
    pool = pools.open({ max: 1, options: `-c search_path=${schema}` });
    await migrate(pool);
    store = postgresStore(pool);
  });

  test("creates the table that migrate makes", async () => {
    const made = await columns();
    expect(made).toHaveLength(11);
    await pool.query("alter table tenure_sessions rename to made");
    await pool.query("alter table tenure_sessions_schema rename to made_schema");
    await pool.query("alter index tenure_sessions_user_id rename to made_user_id");
    await pool.query("alter index tenure_sessions_pkey rename to made_pkey");
    await pool.query(blocks[0]!);
    expect(await columns()).toEqual(made);
    const { rows } = await pool.query(
      "select relname, reloptions from pg_class where relnamespace = current_schema()::regnamespace and relname in ('made', 'tenure_sessions') order by 1",
    );
    const reloptions = ["fillfactor=80", "vacuum_truncate=off"];
    expect(rows).toEqual([
      { relname: "made", reloptions },
      { relname: "tenure_sessions", reloptions },
    ]);
    await pool.query(
      "drop table tenure_sessions, tenure_sessions_schema; alter table made rename to tenure_sessions",
    );
    await pool.query("alter table made_schema rename to tenure_sessions_schema");
  });

  test("sweeps what has expired, and nothing else", async () => {
    await store.create({ id: "dead", userId: null, data: "", idle: 1, lifetime: HOUR });
    await store.create({ id: "live", userId: "ada", data: "", idle: HOUR, lifetime: HOUR });
    const [, sql] = /\$\$(.*)\$\$/s.exec(blocks[1]!)!;
    const minute = "extract(minute from now())::int";
    expect(sql).toContain(minute);
    for (let each = 0; each < 60; each += 1) await pool.query(sql!.replace(minute, String(each)));
    const { rows } = await pool.query("select id from tenure_sessions where revoked_at is null");
    expect(rows).toEqual([{ id: "live" }]);
  });

  test("looks at sessions, and logs everybody out for good", async () => {
    const [who, counts, oldest, everybody] = blocks[2]!.split(";").slice(0, 4);
    await store.create({ id: "anonymous", userId: null, data: "", idle: HOUR, lifetime: HOUR });
    await store.revoke("revoked");
    expect((await pool.query(who!)).rows).toMatchObject([{ user_id: "ada", sessions: "1" }]);
    expect((await pool.query(counts!)).rows).toEqual([
      { live: "2", anonymous: "1", tombstones: "2", expired: "0" },
    ]);
    expect((await pool.query(oldest!)).rows).toMatchObject([{ id: "live" }, { id: "anonymous" }]);
    await pool.query(everybody!);
    expect(await store.read("live")).toBeNull();
    expect(await store.update("live", {})).toBe("gone");
    expect(await store.create({ id: "live", userId: null, data: "", idle: HOUR, lifetime: HOUR })).toBe(
      "taken",
    );
    expect(await store.listUser("ada")).toEqual([]);
  });
});
