import { setTimeout as sleep } from "node:timers/promises";
import { migrate, postgresStore } from "@tenure/postgres";
import { canStart, type OwnServer, startPostgres } from "@tenure/servers";
import { Client, Pool } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { END_BATCH, operationsOn } from "../src/operations.ts";
import { statementsFor } from "../src/statements.ts";
import { tableOf } from "../src/table.ts";
import { HOUR, insertSessions, newSession } from "./sessions.ts";

const here = await canStart("postgres");
const MILLION = 1_000_000;
const HEAVY = 50_000;
/** In SQL: ten sessions per user. */
const USER = "'user ' || i % 100000";
/** Milliseconds. Long, so that a slow machine does not fail the test. */
const PATIENCE = 900_000;

const STATEMENTS = Object.entries(everyStatement("any")).map(([name, { allowed }]) => ({ name, allowed }));

here.describe(
  "postgresStore with a million sessions",
  () => {
    const table = `million_${process.pid}`;
    let own: OwnServer;
    let pool: Pool;
    let prepared: Client;

    // Prepared while the table is empty, as at an application's first start, and never planned again.
    beforeAll(async () => {
      // Needs its own server, without autovacuum: another long transaction, such as an automatic analyze, would
      // keep rows that touches leave behind from being reused, and an analyze would replace the plans.
      own = await startPostgres({
        settings: { autovacuum: "off", fsync: "off", max_wal_size: "4GB", shared_buffers: "256MB" },
      });
      pool = new Pool({ connectionString: own.url });
      await migrate(pool, { table });
      prepared = new Client({ connectionString: own.url });
      await prepared.connect();
      await prepared.query("set plan_cache_mode = force_generic_plan");
      for (const [name, { text, values }] of Object.entries(everyStatement(table))) {
        await prepared.query(`prepare ${name} as ${text}`);
        await prepared.query(`explain execute ${name} ${literals(values)}`);
      }
      await insertSessions(pool, table, "id", MILLION, { userId: USER });
    }, PATIENCE);

    afterAll(async () => {
      await Promise.all([prepared.end(), pool.end()]);
      await own[Symbol.asyncDispose]();
    });

    const scansIn = async (name: string): Promise<string[]> => {
      const { named, text, values } = everyStatement(table)[name]!;
      if (!named) await prepared.query(`deallocate ${name}; prepare ${name} as ${text}`);
      return scansOf(await planOf(prepared, `(format json) execute ${name} ${literals(values)}`));
    };

    test.each(STATEMENTS)(
      "$name, if planned while the table was empty, reads only the rows it is about",
      async ({ name, allowed }) => {
        expect(await scansIn(name)).toEqual(allowed);
      },
    );

    describe("after analyze", () => {
      beforeAll(async () => {
        await insertSessions(pool, table, "heavy", HEAVY, { userId: "'heavy'", size: 1 });
        await pool.query(`vacuum analyze ${table}`);
      }, PATIENCE);

      for (const mode of ["force_custom_plan", "force_generic_plan"]) {
        test.each(["end_unlocked", "end_all"])(
          `%s of a user with ${HEAVY} sessions reads fewer than three batches of them with ${mode}`,
          async (name) => {
            const client = new Client({ connectionString: own.url });
            await client.connect();
            await client.query(`set plan_cache_mode = ${mode}; begin`);
            await client.query(`prepare heavy as ${everyStatement(table)[name]!.text}`);
            const plan = await planOf(
              client,
              `(analyze, format json) execute heavy ${literals([...everyStatement(table)[name]!.values].with(0, "heavy").with(2, Date.now()))}`,
            );
            await client.query("rollback");
            await client.end();
            const rowsRead = plan.map((node) => {
              const rows = ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter"];
              return (
                Number(node["Actual Loops"]) * rows.reduce((sum, key) => sum + Number(node[key] ?? 0), 0)
              );
            });
            expect(scansOf(plan)).toEqual(["Index Scan"]);
            expect(Math.max(...rowsRead)).toBeGreaterThanOrEqual(END_BATCH);
            expect(Math.max(...rowsRead)).toBeLessThan(3 * END_BATCH);
          },
        );
      }

      test.each(STATEMENTS)("$name reads only the rows it is about", async ({ name, allowed }) => {
        expect(await scansIn(name)).toEqual(allowed);
      });
    });

    test("touches are HOT updates and write less than 256 bytes of WAL", async () => {
      const touched = `touched_${process.pid}`;
      await migrate(pool, { table: touched });
      await insertSessions(pool, touched, "id", 50_000, { userId: USER, size: 900 });
      await pool.query(`vacuum analyze ${touched}`);
      const touchPool = new Pool({ connectionString: own.url, application_name: touched });
      const store = postgresStore(touchPool, { table: touched });
      const randomId = () => `id ${1 + Math.floor(Math.random() * 50_000)}`;
      const user = async (): Promise<void> => {
        for (let touch = 0; touch < 1000; touch += 1) {
          expect(await store.update(randomId(), {})).toBe("updated");
        }
      };
      await Promise.all(Array.from({ length: 64 }, user));
      await touchPool.end();
      const bytes: number[] = [];
      for (let touch = 0; touch < 21; touch += 1) {
        const { rows } = await pool.query<Record<string, string>>(explainedTouch(touched, randomId()));
        const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
        bytes.push(Number(/WAL: records=\d+ (?:fpi=\d+ )?bytes=(\d+)/.exec(plan)?.[1]));
      }
      const updates = await updatesOf(pool, touched);
      console.log(
        `${updates.all} touches, ${updates.hot} of them HOT; the median touch writes ${median(bytes)} bytes of WAL`,
      );
      expect(updates.hot / updates.all).toBeGreaterThan(0.97);
      // The lock, the update, and occasionally a pruned page.
      expect(median(bytes)).toBeLessThan(256);
    });
  },
  PATIENCE,
);

interface Planned {
  /** Prepared by name; otherwise planned at each run. */
  readonly named: boolean;
  readonly text: string;
  readonly values: readonly unknown[];
  /** The scans that the plan may use. */
  readonly allowed: readonly string[];
}

function everyStatement(table: string): Record<string, Planned> {
  const operations = operationsOn(statementsFor(tableOf({ table }), HOUR));
  const { create, read, touch, update, revoke, fence, endUnlocked, end, listUser, scan, sweep } = operations;
  const sessions = ["new 1", "new 2"].map((id) => newSession({ id, userId: "u" }));
  const anonymous = sessions.map((session) => ({ ...session, userId: null }));
  const ids = Array.from({ length: 64 }, (_, index) => `id ${index * 1000 + 1}`);
  const one = ids[0]!;
  const changes = ids.map((id) => ({ id, data: "new", idle: HOUR, ifVersion: 1 }));
  const logins = ids.map((id) => ({ id, userId: "user 2", authenticatedAt: 1 }));
  const ending = { userId: "user 1", except: one, upTo: 1, all: true };
  const queries = {
    create_one: create.query([sessions[0]!], "1s"),
    create_many: create.query(sessions, "1s"),
    create_anonymous_one: create.query([anonymous[0]!], "1s"),
    create_anonymous_many: create.query(anonymous, "1s"),
    read_one: read.query([one], null),
    read_many: read.query(ids, null),
    touch_one: touch.query([one], "1s"),
    touch_many: touch.query(ids, "1s"),
    update_one: update.query([changes[0]!], "1s"),
    update_many: update.query(changes, "1s"),
    login_one: update.query([logins[0]!], "1s"),
    login_many: update.query(logins, "1s"),
    revoke_one: revoke.query([one], "1s"),
    revoke_many: revoke.query(ids, "1s"),
    fence: fence.query([{ userId: "user 1", upTo: 1 }], "1s"),
    end_unlocked: endUnlocked.query([ending], "1s"),
    end_all: end.query([ending], "1s"),
    list_user: listUser.query(["user 1", "user 2", "user 3"], null),
    scan: scan.query([""], null),
    sweep: sweep.query([{ from: 0, to: 8, limit: 1000, inTurn: true }], null),
  };
  const allowed: Record<string, string[]> = { fence: [], sweep: ["Tid Range Scan", "Tid Scan"] };
  return Object.fromEntries(
    Object.entries(queries).map(([key, { statement, values }]) => [
      key,
      {
        named: statement.name !== null,
        text: statement.text,
        values,
        allowed: allowed[key] ?? ["Index Scan"],
      },
    ]),
  );
}

type PlanNode = Readonly<Record<string, unknown>>;

/** Returns the kinds of scan in a plan. Bitmap scans count as scans of their index. */
function scansOf(plan: readonly PlanNode[]): string[] {
  const kinds = plan
    .filter((node) => "Relation Name" in node && node["Node Type"] !== "ModifyTable")
    .map((node) => String(node["Node Type"]).replace(/^Index Only Scan$|^Bitmap Heap Scan$/, "Index Scan"));
  return [...new Set(kinds)].toSorted();
}

async function planOf(client: Client, statement: string): Promise<PlanNode[]> {
  const { rows } = await client.query<{ "QUERY PLAN": unknown }>(`explain ${statement}`);
  const nodes: PlanNode[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (typeof value === "object" && value !== null) {
      if ("Node Type" in value) nodes.push(value);
      Object.values(value).forEach(visit);
    }
  };
  visit(rows.map((row) => row["QUERY PLAN"]));
  return nodes;
}

function literals(values: readonly unknown[]): string {
  const literal = (value: unknown): string => {
    if (Array.isArray(value))
      return `'{${value.map((each) => (each === null ? "null" : `"${String(each)}"`)).join(",")}}'`;
    return typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value);
  };
  return values.length === 0 ? "" : `(${values.map(literal).join(",")})`;
}

function explainedTouch(table: string, id: string): string {
  const { touch } = operationsOn(statementsFor(tableOf({ table }), HOUR));
  const { statement } = touch.query([id], null);
  return `explain (analyze, wal) ${statement.text.replaceAll("$1", `'${id}'`).replaceAll("$2", "null")}`;
}

/** Returns the counts of updates once no touching connection is left: each reports its counts before it ends. */
async function updatesOf(pool: Pool, table: string): Promise<{ all: number; hot: number }> {
  for (;;) {
    const { rows } = await pool.query<{ all: number; hot: number }>(
      `select n_tup_upd::int as "all", n_tup_hot_upd::int as hot from pg_stat_user_tables where relname = $1
       and n_tup_upd > 0 and not exists (select from pg_stat_activity where application_name = $1)`,
      [table],
    );
    if (rows[0] !== undefined) return rows[0];
    await sleep(50);
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
