import { type PooledClient, type PostgresPool, type Query, type Row, rowsOf, unprepared } from "./driver.ts";
import { isUnprepared, keepsConnection } from "./failure.ts";

/** Runs one statement as its own transaction, and resolves to what `read` returns for the rows. */
export type Run = <Result>(
  query: Query,
  read: (rows: readonly Row[]) => Result,
  isolation?: "read committed",
) => Promise<Result>;

export function runOn(pool: PostgresPool): Run {
  let named = true;
  surviveIdleErrors(pool);

  return async function run(query, read, isolation) {
    // Several calls may fail together. After the first has cleared `named`, the others must still be tried
    // again.
    const wasNamed = named;
    const attempt = (isNamed: boolean) =>
      borrow(pool, keepsConnection, (client) => {
        const execute = async () => read(await rowsOf(client, query, isNamed));
        return isolation === undefined ? execute() : inReadCommitted(client, execute);
      });
    try {
      return await attempt(wasNamed);
    } catch (error) {
      if (!wasNamed || !isUnprepared(error)) throw error;
      // A pooler in transaction mode does not support prepared statements (PgBouncer before 1.21, or with
      // max_prepared_statements = 0). From here on, each statement is parsed every time.
      named = false;
      return await attempt(false);
    }
  };
}

/**
 * Runs `use` on a connection of the pool. After an error the connection is destroyed, unless `keeps` accepts
 * the error.
 */
export async function borrow<Result>(
  pool: PostgresPool,
  keeps: (error: unknown) => boolean,
  use: (client: PooledClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  // An error on the connection of a checked-out client would otherwise end the process.
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

/** Runs a transaction in READ COMMITTED, whatever the default isolation level is. */
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
 * Keeps connection errors between calls from ending the process. The pool replaces idle connections that
 * break.
 *
 * A new connection has no owner until the promise of `connect` resolves. If the packet that reports it as
 * ready also holds the shutdown message of a server that is being killed, its error comes before
 * {@link borrow} can listen.
 */
function surviveIdleErrors(pool: PostgresPool): void {
  if (surviving.has(pool)) return;
  surviving.add(pool);
  pool.on("error", ignore);
  pool.on("connect", (client) => client.on("error", ignore));
}

const surviving = new WeakSet<PostgresPool>();

function ignore(): void {}
