import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { migrate, type PostgresStore, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import type { Pool } from "pg";
import { beforeEach, expect, test } from "vitest";
import { operationsOn } from "../src/operations.ts";
import { statementsFor } from "../src/statements.ts";
import { tableOf } from "../src/table.ts";
import { fakePool } from "./intercepted-pool.ts";
import { end, poolsOn } from "./pools.ts";
import { HOUR, insertSessions, newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);

postgres.describe("postgresStore, sweeping", () => {
  let table: string;
  let pool: Pool;
  let store: PostgresStore;
  beforeEach(async () => {
    table = `swept_${process.pid}_${process.hrtime.bigint()}`;
    pool = pools.open();
    await migrate(pool, { table });
    store = postgresStore(pool, { table, tombstoneMinimum: HOUR });
  });

  test("sweep deletes expired sessions, and tombstones after their time, but no other rows", async () => {
    for (const id of ["live", "idle", "old", "revoked", "revoked long ago"]) {
      await store.create(newSession({ id }));
    }
    expect(await store.revokeUser("fenced")).toBe(0);
    const began = (await store.now()) - 1000;
    expect(await store.revoke("revoked")).toBe(true);
    expect(await store.revoke("revoked long ago")).toBe(true);
    expect(await store.revoke("unknown")).toBe(false);
    const expire = async (id: string, columns: string): Promise<void> => {
      await pool.query(`update ${table} set ${columns} where id = $1`, [id]);
    };
    await expire("idle", "expires_at = now()");
    await expire("old", "expires_at = now(), ends_at = now()");
    await expire("revoked long ago", "expires_at = now()");
    expect(await store.sweep()).toBe(3);
    expect(await ids()).toEqual(["\u0001ufenced", "live", "revoked", "unknown"]);
    expect(await store.create(newSession({ userId: "fenced", authenticatedAt: began }))).toBe("fenced");
    expect(await store.create(newSession({ id: "revoked" }))).toBe("taken");
  });

  test("sweep skips rows that another transaction has locked", async () => {
    await insertExpired(1000);
    const client = await pools.begin();
    await client.query(`select from ${table} where id in ('id 1', 'id 999') for update`);
    expect(await store.sweep()).toBe(998);
    await end(client, "rollback");
    expect(await store.sweep()).toBe(2);
  });

  test("a login does not wait for a statement of sweep, even if its transaction has not ended", async () => {
    await insertExpired(100);
    const client = await pools.begin();
    const { statement, values } = operationsOn(statementsFor(tableOf({ table }), HOUR)).sweep.query(
      [{ from: 0, to: 1000, limit: 1000, inTurn: false }],
      null,
    );
    expect(
      (await client.query({ text: statement.text, values: [...values], rowMode: "array" })).rows,
    ).toEqual([
      [null, "sweep", "true", "100", expect.stringMatching(/^\d+/), expect.stringMatching(/^\d+$/)],
    ]);
    // Its commit does not wait for the disk either.
    expect((await client.query("show synchronous_commit")).rows).toEqual([{ synchronous_commit: "off" }]);
    // The store sets a lock_timeout for two attempts; the third has this one, so a call that has to wait fails.
    const impatient = postgresStore(pools.open({ options: "-c lock_timeout=1" }), { table });
    const session = newSession({ userId: "user" });
    expect(await impatient.create(session)).toBe("created");
    expect(await impatient.update(session.id, { data: "new" })).toBe("updated");
    expect(await impatient.revokeUser("user")).toBe(1);
    await end(client, "rollback");
  });

  test("two stores that sweep at once delete each row once", async () => {
    await insertExpired(20_000);
    const other = postgresStore(pools.open(), { table });
    const [one, two] = await Promise.all([store.sweep(), other.sweep()]);
    expect(one + two).toBe(20_000);
    expect(await ids()).toEqual([]);
  });

  test("sweep reads fewer pages per statement while the server is slow, and more again once it is fast", async () => {
    const widths: number[] = [];
    const pages = 2000;
    const slow = new Map([
      [3, 40],
      [4, 11],
      [5, 7],
    ]);
    const busy = fakePool(async ({ values = [] }) => {
      const [from, to] = values.map((tid) => Number(/\d+/.exec(String(tid))?.[0]));
      widths.push(to! - from!);
      return {
        rows: [[null, "sweep", "true", "0", String(slow.get(widths.length) ?? 1), String(pages)]],
      };
    });
    expect(await postgresStore(busy, { table: "any" }).sweep()).toBe(0);
    expect(widths.slice(0, 12)).toEqual([4, 8, 16, 8, 4, 4, 8, 16, 32, 64, 128, 128]);
    expect(widths.reduce((sum, width) => sum + width)).toBeGreaterThanOrEqual(pages);
  });

  test("the timer sweeps until it is stopped", async () => {
    const sweeping = store.startSweeping({ every: 1000 });
    await insertExpired(10);
    while ((await ids()).length > 0) await sleep(20);
    await sweeping.stop();
    await insertExpired(10);
    // The next sweep would begin at most 1250 ms after the last.
    await sleep(1500);
    expect(await ids()).toHaveLength(10);
  });

  test("the timer does not keep the process alive", async () => {
    const program = `
      import { postgresStore } from "@tenure/postgres";
      postgresStore({ connect: () => Promise.reject(new Error("not yet")), on() {} }).startSweeping();
      console.log("started");`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--conditions=@tenure/source", "--input-type=module", "--eval", program],
      { cwd: new URL("..", import.meta.url), timeout: 20_000 },
    );
    expect(stdout).toBe("started\n");
  });

  test("the timer skips its turn while another instance sweeps", async () => {
    await insertExpired(10);
    const client = await pools.begin();
    await client.query("select pg_advisory_xact_lock($1, $2::regclass::oid::int)", [0x7e4e5e, table]);
    const sweeping = store.startSweeping({ every: 1000 });
    // The first sweep begins within 1000 ms.
    await sleep(1500);
    expect(await ids()).toHaveLength(10);
    await end(client, "rollback");
    while ((await ids()).length > 0) await sleep(20);
    await sweeping.stop();
  });

  test("the timer sweeps again after a sweep has failed and onError has thrown", async () => {
    const errors: unknown[] = [];
    await pool.query(`alter table ${table} rename to ${table}_away`);
    const onError = (error: unknown) => {
      errors.push(error);
      throw new Error("the listener fails too");
    };
    const sweeping = store.startSweeping({ every: 1000, onError });
    while (errors.length === 0) await sleep(20);
    expect(String(errors[0])).toContain("is missing or older");
    await pool.query(`alter table ${table}_away rename to ${table}`);
    await insertExpired(1);
    while ((await ids()).length > 0) await sleep(20);
    await sweeping.stop();
  });

  test.each([0, 10, Number.NaN, 1e12])("startSweeping refuses to sweep every %d ms", async (every) => {
    expect(() => store.startSweeping({ every })).toThrow(TypeError);
  });

  test("sweep deletes the expired sessions of every partition, and no live session", async () => {
    await pool.query(`
      create table ${table}_parts (like ${table} including defaults, primary key (id)) partition by hash (id);
      drop table ${table};
      alter table ${table}_parts rename to ${table}`);
    for (const at of [0, 1, 2])
      await pool.query(
        `create table ${table}_${at} partition of ${table} for values with (modulus 3, remainder ${at})`,
      );
    await insertExpired(500);
    await insertSessions(pool, table, "live", 500, { size: 900 });
    expect(await store.sweep()).toBe(500);
    const left = await ids();
    expect(left).toHaveLength(500);
    expect(left.filter((id) => id.startsWith("live"))).toHaveLength(500);
  });

  async function ids(): Promise<string[]> {
    const { rows } = await pool.query<{ id: string }>(`select id from ${table} order by id`);
    return rows.map(({ id }) => id);
  }

  function insertExpired(sessions: number): Promise<void> {
    return insertSessions(pool, table, "id", sessions, { size: 900, expired: true });
  }
});
