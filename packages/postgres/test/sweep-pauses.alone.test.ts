import { setTimeout as sleep } from "node:timers/promises";
import { migrate, type PostgresPool, postgresStore } from "@tenure/postgres";
import { canStart, startPostgres } from "@tenure/servers";
import { Pool } from "pg";
import { expect, test } from "vitest";

const here = await canStart("postgres");
const HOUR = 3_600_000;
const MILLION = 1_000_000;
/** Milliseconds. */
const SHORT = 50;
const PAUSE = 2;

here.describe("sweep", () => {
  test("a million expired sessions are swept by statements of less than 50 ms, and no login takes longer", async () => {
    await using own = await startPostgres({
      settings: { fsync: "off", max_wal_size: "4GB", shared_buffers: "256MB" },
    });
    const pool = new Pool({ connectionString: own.url });
    await migrate(pool);
    await pool.query(
      `insert into tenure_sessions
       select 'id ' || i, 'user ' || i % 100000, repeat('x', 100), 1, t, '1 hour', t + interval '1 hour', t, t + interval '1 hour', null
       from generate_series(1, $1::int) i, (select now() - interval '2 hours' as t) clock`,
      [MILLION],
    );
    const store = postgresStore(pool);
    const login = (count: number) =>
      store.create({ id: `login ${count}`, userId: "u", data: "{}", idle: HOUR, lifetime: HOUR });
    // As much work as half of the sweep's statements are, and none of it on a table: what holds this up is the machine. It
    // counts the pause as well, so that no moment is left in which the machine could stand still unseen.
    const control = async () => {
      await sleep(PAUSE);
      await pool.query("select count(*) from generate_series(1, 25000)");
    };
    const swept = new Pool({ connectionString: own.url });
    // To connect is no part of what is measured.
    await Promise.all([swept.query("select"), login(-1), control()]);

    const statements: number[] = [];
    const sweeping = postgresStore(timed(swept, (took) => statements.push(took)));
    const done = new AbortController();
    const logins = meanwhile(login, PAUSE, done.signal);
    const controls = meanwhile(control, 0, done.signal);
    const began = performance.now();
    expect(await sweeping.sweep()).toBe(MILLION);
    const took = performance.now() - began;
    done.abort();

    const machine = of(await controls);
    const statement = of(statements);
    const created = of(await logins);
    const lost = machine.slowest - machine.median;
    console.log(
      [
        `swept in ${took.toFixed()} ms; milliseconds, median and slowest:`,
        `${statement.count} statements of the sweep ${shown(statement)}`,
        `${created.count} logins ${shown(created)}`,
        `${machine.count} controls ${shown(machine)}: the machine itself added up to ${lost.toFixed(1)}`,
      ].join("\n  "),
    );
    expect(statement.slowest).toBeLessThan(SHORT + lost);
    expect(created.slowest).toBeLessThan(SHORT + lost);
    await Promise.all([pool.end(), swept.end()]);
  }, 900_000);
});

interface Times {
  readonly count: number;
  readonly median: number;
  readonly slowest: number;
}

function of(times: readonly number[]): Times {
  const sorted = times.toSorted((a, b) => a - b);
  return { count: times.length, median: sorted[sorted.length >> 1]!, slowest: sorted.at(-1)! };
}

function shown({ median, slowest }: Times): string {
  return `${median.toFixed(1)} and ${slowest.toFixed(1)}`;
}

/** Milliseconds of each of the calls that were made one after another until the end. */
async function meanwhile(
  call: (count: number) => Promise<unknown>,
  pause: number,
  end: AbortSignal,
): Promise<number[]> {
  const times: number[] = [];
  for (let count = 0; !end.aborted; count += 1) {
    const began = performance.now();
    await call(count);
    times.push(performance.now() - began);
    if (pause > 0) await sleep(pause);
  }
  return times;
}

/** Says how long each statement took, from its sending to its answer. */
function timed(pool: Pool, hear: (took: number) => void): PostgresPool {
  return {
    on: (event, listener) => pool.on(event, listener),
    async connect() {
      const client = await pool.connect();
      return {
        on: (event, listener) => client.on(event, listener),
        removeListener: (event, listener) => client.removeListener(event, listener),
        query: async (query) => {
          const began = performance.now();
          const result = await client.query(query);
          hear(performance.now() - began);
          return result;
        },
        release: (destroy) => client.release(destroy),
      };
    },
  };
}
