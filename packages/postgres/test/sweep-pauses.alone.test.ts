import { setTimeout as sleep } from "node:timers/promises";
import { migrate, type PostgresPool, postgresStore } from "@tenure/postgres";
import { canStart, startPostgres } from "@tenure/servers";
import { Pool } from "pg";
import { expect, test } from "vitest";
import { operationsOn } from "../src/operations.ts";
import { statementsFor } from "../src/statements.ts";
import { tableOf } from "../src/table.ts";
import { intercepted } from "./intercepted-pool.ts";
import { HOUR, insertSessions, newSession } from "./sessions.ts";

const here = await canStart("postgres");
const SESSIONS = 250_000;
/** Milliseconds. */
const SHORT = 50;
const LOCK_TIMEOUT = 5;
const PAUSE = 2;

here.describe("sweep", () => {
  test(`deletes ${SESSIONS} expired sessions by statements of less than ${SHORT} ms, and no login waits for their locks`, async () => {
    await using own = await startPostgres({
      settings: { fsync: "off", max_wal_size: "4GB", shared_buffers: "256MB" },
    });
    const pool = new Pool({ connectionString: own.url });
    await migrate(pool);
    await insertSessions(pool, "tenure_sessions", "id", SESSIONS, {
      userId: "'user ' || i % 100000",
      expired: true,
    });
    // The store's statement and not its call, which would be made again after a short wait for a lock.
    const { create } = operationsOn(statementsFor(tableOf({}), HOUR));
    const login = () => {
      const { statement, values } = create.query([newSession({ userId: "user" })], `${LOCK_TIMEOUT}ms`);
      return pool.query({ name: statement.name!, text: statement.text, values });
    };
    // As much work as half of the sweep's statements do, but without a table: only the machine can delay it.
    const control = () => pool.query("select count(*) from generate_series(1, 25000)");
    const sweepPool = new Pool({
      connectionString: own.url,
      max: 1,
      options: "-c log_statement_stats=on -c client_min_messages=log",
    });
    const statements: Took[] = [];
    const store = postgresStore(timed(sweepPool, (took) => statements.push(took)));
    // Connect first, because connecting is not measured.
    await Promise.all([sweepPool.query("select"), login(), control()]);

    const done = new AbortController();
    const beganAt = performance.now();
    const [swept, logins, controls] = await Promise.all([
      store.sweep().finally(() => done.abort()),
      repeatedUntil(done.signal, login),
      repeatedUntil(done.signal, control),
    ]);
    const took = performance.now() - beganAt;
    expect(swept).toBe(SESSIONS);

    const machine = summaryOf(controls);
    const statement = summaryOf(statements.map(({ wall }) => wall));
    const worked = summaryOf(statements.map(({ work }) => work));
    console.log(
      [
        `swept in ${took.toFixed()} ms; milliseconds, the median, 99 of 100, the slowest:`,
        `${statement.count} statements of the sweep ${shown(statement)}`,
        `the server's CPU time for them ${shown(worked)}`,
        `logins ${shown(summaryOf(logins))}`,
        `controls ${shown(machine)}`,
      ].join("\n  "),
    );
    // When the machine is busy, statements are delayed, and so are the controls. The server's own work per
    // statement stays the same.
    expect(worked.median).toBeGreaterThan(0);
    expect(worked.slowest).toBeLessThan(SHORT);
    // Some statements do twice the work of a control, and so are delayed twice as often.
    expect(statement.most).toBeLessThan(SHORT + 2 * machine.most);
    await Promise.all([pool.end(), sweepPool.end()]);
  }, 900_000);
});

/** The milliseconds that a statement took. */
interface Took {
  /** From sending to reply. */
  readonly wall: number;
  /** CPU time of the server. */
  readonly work: number;
}

interface Summary {
  readonly count: number;
  readonly median: number;
  /** 99 of 100 take less. */
  readonly most: number;
  readonly slowest: number;
}

function summaryOf(times: readonly number[]): Summary {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (times.length - 1))]!;
  return { count: times.length, median: at(0.5), most: at(0.99), slowest: at(1) };
}

function shown({ median, most, slowest }: Summary): string {
  return [median, most, slowest].map((time) => time.toFixed(1)).join(", ");
}

/** Makes calls one after another until `done`, and returns the milliseconds that each took. */
async function repeatedUntil(done: AbortSignal, call: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  while (!done.aborted) {
    const beganAt = performance.now();
    await call();
    times.push(performance.now() - beganAt);
    await sleep(PAUSE);
  }
  return times;
}

/** Reports how long each statement took, on a pool of one connection. The server reports its CPU time. */
function timed(pool: Pool, report: (took: Took) => void): PostgresPool {
  let work = 0;
  pool.on("connect", (client) => {
    client.on("notice", ({ detail = "" }) => {
      const [, user, system] = /([\d.]+) s user, ([\d.]+) s system/.exec(detail) ?? [];
      if (user !== undefined) work += (Number(user) + Number(system)) * 1000;
    });
  });
  return intercepted(pool, async (query, next) => {
    const beganAt = performance.now();
    work = 0;
    const result = await next(query);
    report({ wall: performance.now() - beganAt, work });
    return result;
  });
}
