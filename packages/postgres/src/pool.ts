import { type PostgresPool, type Query, type Rows, toDriverQuery, toRows } from "./driver.ts";
import { isUnprepared, keepsConnection } from "./failure.ts";

/** Runs one statement as a transaction of its own. Rejects with what the driver threw. */
export type Run = (query: Query) => Promise<Rows>;

/** Runs statements on connections of the pool, each held for one statement. */
export function runOn(pool: PostgresPool): Run {
  let named = true;
  survive(pool);

  return async function run(query) {
    try {
      return await attempt(query);
    } catch (error) {
      if (!named || !isUnprepared(error)) throw error;
      // A pooler in transaction mode that doesn't know prepared statements (PgBouncer before 1.21, or with
      // max_prepared_statements = 0). From here on every statement is parsed anew.
      named = false;
      return await attempt(query);
    }
  };

  async function attempt(query: Query): Promise<Rows> {
    const client = await pool.connect();
    // While a client is checked out, an error of its connection would otherwise end the process.
    client.on("error", ignore);
    let destroy = false;
    try {
      return toRows((await client.query(toDriverQuery(query, named))).rows);
    } catch (error) {
      destroy = !keepsConnection(error);
      throw error;
    } finally {
      client.removeListener("error", ignore);
      client.release(destroy);
    }
  }
}

/** A pool emits `error` when an idle connection breaks, which ends a process that does not listen. The pool replaces it. */
function survive(pool: PostgresPool): void {
  if (surviving.has(pool)) return;
  surviving.add(pool);
  pool.on("error", ignore);
}

const surviving = new WeakSet<PostgresPool>();

function ignore(): void {}
