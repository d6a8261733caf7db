import { readFileSync } from "node:fs";
import { server } from "@tenure/servers";
import type { Pool } from "pg";
import { beforeAll, expect, test } from "vitest";
import { migrate, type PostgresStore, postgresStore } from "@tenure/postgres";
import { poolsOn } from "./pools.ts";
import { newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const blocks = [
  ...readFileSync(new URL("../README.md", import.meta.url), "utf8").matchAll(/```sql\n(.*?)```/gs),
].map(([, sql]) => sql!);

postgres.describe("the SQL of the README", () => {
  let pool: Pool;
  let store: PostgresStore;
  const columns = async (): Promise<unknown[]> => {
    const { rows } = await pool.query(
      "select column_name, data_type, is_nullable, collation_name from information_schema.columns where table_schema = current_schema() and table_name = 'tenure_sessions' order by 1",
    );
    return rows;
  };

  beforeAll(async () => {
    const schema = `readme_${process.pid}`;
    await pools.open({ max: 1 }).query(`create schema ${schema}`);
    pool = pools.open({ max: 1, options: `-c search_path=${schema}` });
    await migrate(pool);
    store = postgresStore(pool);
  });

  test("creates the same table as migrate", async () => {
    const migrated = await columns();
    expect(migrated).toHaveLength(11);
    await pool.query("alter table tenure_sessions rename to migrated");
    await pool.query("alter table tenure_sessions_schema rename to migrated_schema");
    await pool.query("alter index tenure_sessions_user_id rename to migrated_user_id");
    await pool.query("alter index tenure_sessions_pkey rename to migrated_pkey");
    await pool.query(blocks[0]!);
    expect(await columns()).toEqual(migrated);
    const { rows } = await pool.query(
      "select relname, reloptions from pg_class where relnamespace = current_schema()::regnamespace and relname in ('migrated', 'tenure_sessions') order by 1",
    );
    const reloptions = ["fillfactor=80", "vacuum_truncate=off"];
    expect(rows).toEqual([
      { relname: "migrated", reloptions },
      { relname: "tenure_sessions", reloptions },
    ]);
    await pool.query(
      "drop table tenure_sessions, tenure_sessions_schema; alter table migrated rename to tenure_sessions",
    );
    await pool.query("alter table migrated_schema rename to tenure_sessions_schema");
  });

  test("sweeps expired rows and no others", async () => {
    await store.create(newSession({ id: "dead", idle: 1 }));
    await store.create(newSession({ id: "live", userId: "ada" }));
    const [, sql] = /\$\$(.*)\$\$/s.exec(blocks[1]!)!;
    const minute = "extract(minute from now())::int";
    expect(sql).toContain(minute);
    for (let value = 0; value < 60; value += 1) await pool.query(sql!.replace(minute, String(value)));
    const { rows } = await pool.query("select id from tenure_sessions where revoked_at is null");
    expect(rows).toEqual([{ id: "live" }]);
  });

  test("lists and counts sessions, and logs everybody out permanently", async () => {
    const [users, counts, oldest, logEverybodyOut] = blocks[2]!.split(";").slice(0, 4);
    await store.create(newSession({ id: "anonymous" }));
    await store.revoke("revoked");
    expect((await pool.query(users!)).rows).toMatchObject([{ user_id: "ada", sessions: "1" }]);
    expect((await pool.query(counts!)).rows).toEqual([
      { live: "2", anonymous: "1", tombstones: "2", expired: "0" },
    ]);
    expect((await pool.query(oldest!)).rows).toMatchObject([{ id: "live" }, { id: "anonymous" }]);
    await pool.query(logEverybodyOut!);
    expect(await store.read("live")).toBeNull();
    expect(await store.update("live", {})).toBe("gone");
    expect(await store.create(newSession({ id: "live" }))).toBe("taken");
    expect(await store.listUser("ada")).toEqual([]);
  });
});
