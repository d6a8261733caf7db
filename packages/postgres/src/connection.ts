import { type PooledClient, type PostgresPool, type Query, type Row, rowsOf, unprepared } from "./driver.ts";
import { isUnprepared, keepsConnection } from "./failure.ts";

/** Runs one statement as a transaction of its own. Resolves to what `read` makes of the rows. Rejects with what the driver or `read` threw. */
export type Run = <Result>(
  query: Query,
  read: (rows: readonly Row[]) => Result,
  isolation?: "read committed",
) => Promise<Result>;

export function runOn(pool: PostgresPool): Run {
  let named = true;
  surviveIdleErrors(pool);

  return async function run(query, read, isolation) {
    // Several calls may fail together: the first of them must not make the others look as if they had been unnamed.
    const wasNamed = named;
    const attempt = (isNamed: boolean) =>
      borrow(pool, keepsConnection, (client) => {
        const ask = async () => read(await rowsOf(client, query, isNamed));
        return isolation === undefined ? ask() : inReadCommitted(client, ask);
      });
    try {
      return await attempt(wasNamed);
    } catch (error) {
      if (!wasNamed || !isUnprepared(error)) throw error;
      // A pooler in transaction mode without prepared statements (PgBouncer before 1.21, or with
      // max_prepared_statements = 0). From here on every statement is parsed each time.
      named = false;
      return await attempt(false);
    }
  };
}

/** Uses a connection of the pool and gives it back: to be used again if `keeps` is true of the error. */
export async function borrow<Result>(
  pool: PostgresPool,
  keeps: (error: unknown) => boolean,
  use: (client: PooledClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  // While a client is checked out, an error of its connection would otherwise end the process.
  client.on("error", ignore);
  let destroy = false;
  try {
    return await use(client);
  } catch (error) {
    destroy = !keeps(error);
    throw error;
  } finally {
    client.removeListener("error", ignore);
    client.release(destroy);
  }
}

/** Runs a transaction in which each statement sees what was committed before it, whatever the server's default is. */
export async function inReadCommitted<Result>(
  client: PooledClient,
  work: () => Promise<Result>,
): Promise<Result> {
  await command(client, "begin isolation level read committed");
  try {
    const result = await work();
    await command(client, "commit");
    return result;
  } catch (error) {
    if (keepsConnection(error)) await command(client, "rollback");
    throw error;
  }
}

export function command(client: PooledClient, text: string, values: unknown[] = []): Promise<readonly Row[]> {
  return rowsOf(client, { statement: unprepared(text), values }, false);
}

/**
 * A pool emits `error` when an idle connection breaks, which ends a process that does not listen. The pool replaces it.
 *
 * A new connection belongs to nobody until the promise of `connect` has resolved. If the packet that says that it is ready also holds
 * the server's farewell, as from a server that is killed, its error comes before {@link borrow} can listen.
 */
function surviveIdleErrors(pool: PostgresPool): void {
  if (surviving.has(pool)) return;
  surviving.add(pool);
  pool.on("error", ignore);
  pool.on("connect", (client) => client.on("error", ignore));
}

const surviving = new WeakSet<PostgresPool>();

function ignore(): void {}
