import { setTimeout as sleep } from "node:timers/promises";
import { migrate, type PostgresPool, postgresStore } from "@tenure/postgres";
import { canStart, startPostgres } from "@tenure/servers";
import { Pool } from "pg";
import { expect, test } from "vitest";
import { intercepted } from "./intercepted-pool.ts";

const here = await canStart("postgres");
const HOUR = 3_600_000;
const MILLION = 1_000_000;
/** Milliseconds. */
const SHORT = 50;
const PAUSE = 2;

here.describe("sweep", () => {
  test("a million expired sessions are swept by statements of less than 50 ms, and no login waits for one", async () => {
    await using own = await startPostgres({
      settings: { fsync: "off", max_wal_size: "4GB", shared_buffers: "256MB" },
    });
    const pool = new Pool({ connectionString: own.url });
    await migrate(pool);
    await pool.query(
      `insert into tenure_sessions
       select 'id ' || i, 'user ' || i % 100000, t, repeat('x', 100), 1, t, '1 hour', t + interval '1 hour', t, t + interval '1 hour', null
       from generate_series(1, $1::int) i, (select now() - interval '2 hours' as t) clock`,
      [MILLION],
    );
    // A login that waits for a lock, even briefly, fails.
    const impatient = new Pool({ connectionString: own.url, options: "-c lock_timeout=1" });
    const store = postgresStore(impatient);
    const login = (count: number) =>
      store.create({ id: `login ${count}`, userId: "u", data: "{}", idle: HOUR, lifetime: HOUR });
    // As much work as half of the sweep's statements do, but on no table: only the machine can delay it.
    const control = () => pool.query("select count(*) from generate_series(1, 25000)");
    const swept = new Pool({
      connectionString: own.url,
      max: 1,
      options: "-c log_statement_stats=on -c client_min_messages=log",
    });
    const statements: Took[] = [];
    const sweeping = postgresStore(timed(swept, (took) => statements.push(took)));
    // Connect first, because connecting is not measured.
    await Promise.all([swept.query("select"), login(-1), control()]);

    const done = new AbortController();
    const logins = meanwhile(login, done.signal);
    const controls = meanwhile(control, done.signal);
    const began = performance.now();
    expect(await sweeping.sweep()).toBe(MILLION);
    const took = performance.now() - began;
    done.abort();

    const machine = of(await controls);
    const statement = of(statements.map(({ wall }) => wall));
    const worked = of(statements.map(({ work }) => work));
    console.log(
      [
        `swept in ${took.toFixed()} ms; milliseconds, the median, 99 of 100, the slowest:`,
        `${statement.count} statements of the sweep ${shown(statement)}`,
        `what the server itself worked at them ${shown(worked)}`,
        `logins ${shown(of(await logins))}`,
        `controls ${shown(machine)}`,
      ].join("\n  "),
    );
    // When the machine is busy, statements are delayed, and so are the controls. The server's own work per
    // statement stays the same.
    expect(worked.median).toBeGreaterThan(0);
    expect(worked.slowest).toBeLessThan(SHORT);
    // Some statements do twice the work of a control, and so are delayed twice as often.
    expect(statement.most).toBeLessThan(SHORT + 2 * machine.most);
    await Promise.all([pool.end(), swept.end(), impatient.end()]);
  }, 900_000);
});

/** The milliseconds that a statement took. */
interface Took {
  /** From sending to reply. */
  readonly wall: number;
  /** CPU time of the server. */
  readonly work: number;
}

interface Times {
  readonly count: number;
  readonly median: number;
  /** 99 of 100 take less. */
  readonly most: number;
  readonly slowest: number;
}

function of(times: readonly number[]): Times {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (times.length - 1))]!;
  return { count: times.length, median: at(0.5), most: at(0.99), slowest: at(1) };
}

function shown({ median, most, slowest }: Times): string {
  return [median, most, slowest].map((time) => time.toFixed(1)).join(", ");
}

/** Returns the milliseconds of each of the calls, made one after another until `end`. */
async function meanwhile(call: (count: number) => Promise<unknown>, end: AbortSignal): Promise<number[]> {
  const times: number[] = [];
  for (let count = 0; !end.aborted; count += 1) {
    const began = performance.now();
    await call(count);
    times.push(performance.now() - began);
    await sleep(PAUSE);
  }
  return times;
}

/** Reports how long each statement took, on a pool of one connection. The server reports its CPU time. */
function timed(pool: Pool, hear: (took: Took) => void): PostgresPool {
  let work = 0;
  pool.on("connect", (client) => {
    client.on("notice", ({ detail = "" }) => {
      const [, user, system] = /([\d.]+) s user, ([\d.]+) s system/.exec(detail) ?? [];
      if (user !== undefined) work += (Number(user) + Number(system)) * 1000;
    });
  });
  return intercepted(pool, async (query, next) => {
    const began = performance.now();
    work = 0;
    const result = await next(query);
    hear({ wall: performance.now() - began, work });
    return result;
  });
}
