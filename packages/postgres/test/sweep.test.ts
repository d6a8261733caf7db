import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { migrate, type PostgresStore, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import type { Pool } from "pg";
import { expect, test } from "vitest";
import { operationsOn } from "../src/operations.ts";
import { statementsFor } from "../src/statements.ts";
import { tableOf } from "../src/table.ts";
import { fakePool } from "./intercepted-pool.ts";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const HOUR = 3_600_000;

postgres.describe("sweep", () => {
  let table: string;
  let pool: Pool;
  let store: PostgresStore;
  const fresh = async (): Promise<void> => {
    table = `swept_${process.pid}_${process.hrtime.bigint()}`;
    pool = pools.open();
    await migrate(pool, { table });
    store = postgresStore(pool, { table, tombstoneMinimum: HOUR });
  };

  test("deletes what has expired and tombstones whose time is over, and nothing else", async () => {
    await fresh();
    const session = (id: string) => ({ id, userId: "u", data: "{}", idle: HOUR, lifetime: HOUR });
    for (const id of ["live", "idle", "old", "revoked", "revoked and over"]) {
      await store.create({ ...session(id), userId: null });
    }
    expect(await store.revokeUser("fenced")).toBe(0);
    const began = (await store.now()) - 1000;
    expect(await store.revoke("revoked")).toBe(true);
    expect(await store.revoke("revoked and over")).toBe(true);
    expect(await store.revoke("unknown")).toBe(false);
    const expire = async (id: string, columns: string): Promise<void> => {
      await pool.query(`update ${table} set ${columns} where id = $1`, [id]);
    };
    await expire("idle", "expires_at = now()");
    await expire("old", "expires_at = now(), ends_at = now()");
    await expire("revoked and over", "expires_at = now()");
    expect(await store.sweep()).toBe(3);
    expect(await ids()).toEqual(["\u0001ufenced", "live", "revoked", "unknown"]);
    expect(await store.create({ ...session("late"), userId: "fenced", authenticatedAt: began })).toBe(
      "fenced",
    );
    expect(await store.create(session("revoked"))).toBe("taken");
  });

  test("passes over what another transaction holds", async () => {
    await fresh();
    await fill(1000);
    const client = await pool.connect();
    await client.query("begin");
    await client.query(`select from ${table} where id in ('id 1', 'id 999') for update`);
    expect(await store.sweep()).toBe(998);
    await client.query("rollback");
    client.release();
    expect(await store.sweep()).toBe(2);
  });

  test("a login waits for no statement of it, not even for one that has not ended", async () => {
    await fresh();
    await fill(100);
    const client = await pool.connect();
    await client.query("begin");
    const { statement, values } = operationsOn(statementsFor(tableOf({ table })), HOUR).sweep.query(
      [{ from: 0, to: 1000, limit: 1000, inTurn: false }],
      null,
    );
    expect(
      (await client.query({ text: statement.text, values: [...values], rowMode: "array" })).rows,
    ).toEqual([
      [null, "sweep", "true", "100", expect.stringMatching(/^\d+/), expect.stringMatching(/^\d+$/)],
    ]);
    // Its commit does not wait for the disk either, which is left to logins.
    expect((await client.query("show synchronous_commit")).rows).toEqual([{ synchronous_commit: "off" }]);
    const impatient = postgresStore(pools.open({ options: "-c lock_timeout=1" }), { table });
    const session = { id: "login", userId: "user", data: "{}", idle: HOUR, lifetime: HOUR };
    expect(await impatient.create(session)).toBe("created");
    expect(await impatient.update("login", { data: "new" })).toBe("updated");
    expect(await impatient.revokeUser("user")).toBe(1);
    await client.query("rollback");
    client.release();
  });

  test("two at once delete each row once", async () => {
    await fresh();
    await fill(20_000);
    const other = postgresStore(pools.open(), { table });
    const [one, two] = await Promise.all([store.sweep(), other.sweep()]);
    expect(one + two).toBe(20_000);
    expect(await ids()).toEqual([]);
  });

  test("a server that is slow is asked for less at a time, and for more again once it is quick", async () => {
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
    await fresh();
    const sweeping = store.startSweeping({ every: 1000 });
    await fill(10);
    while ((await ids()).length > 0) await sleep(20);
    await sweeping.stop();
    await fill(10);
    await sleep(1500);
    expect(await ids()).toHaveLength(10);
  });

  test("the timer keeps no process alive", async () => {
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

  test("of instances with timers, who meets another that sweeps gives way", async () => {
    await fresh();
    await fill(10);
    const client = await pool.connect();
    await client.query("begin");
    await client.query("select pg_advisory_xact_lock($1, $2::regclass::oid::int)", [0x7e4e5e, table]);
    const sweeping = store.startSweeping({ every: 1000 });
    await sleep(1500);
    expect(await ids()).toHaveLength(10);
    await client.query("rollback");
    client.release();
    while ((await ids()).length > 0) await sleep(20);
    await sweeping.stop();
  });

  test("what goes wrong is heard, and the next time comes all the same", async () => {
    await fresh();
    const heard: unknown[] = [];
    await pool.query(`alter table ${table} rename to ${table}_away`);
    const onError = (error: unknown) => {
      heard.push(error);
      throw new Error("whoever listens is at fault too");
    };
    const sweeping = store.startSweeping({ every: 1000, onError });
    while (heard.length === 0) await sleep(20);
    expect(String(heard[0])).toContain("is missing or older");
    await pool.query(`alter table ${table}_away rename to ${table}`);
    await fill(1);
    while ((await ids()).length > 0) await sleep(20);
    await sweeping.stop();
  });

  test.each([0, 10, Number.NaN, 1e12])("a timer of %d ms is refused", async (every) => {
    await fresh();
    expect(() => store.startSweeping({ every })).toThrow(TypeError);
  });

  async function ids(): Promise<string[]> {
    const { rows } = await pool.query<{ id: string }>(`select id from ${table} order by id`);
    return rows.map(({ id }) => id);
  }

  /** Inserts sessions that expired an hour ago. */
  async function fill(sessions: number): Promise<void> {
    await pool.query(
      `insert into ${table} select 'id ' || i, null, null, repeat('x', 900), 1, t, '1 hour', t + interval '1 hour', t, t + interval '1 hour', null
       from generate_series(1, $1::int) i, (select now() - interval '2 hours' as t) clock`,
      [sessions],
    );
  }
});
