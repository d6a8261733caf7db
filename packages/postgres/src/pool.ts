import { borrow, inReadCommitted, survive } from "./connection.ts";
import {
  type PooledClient,
  type PostgresPool,
  type Query,
  type Rows,
  toDriverQuery,
  toRows,
} from "./driver.ts";
import { isUnprepared, keepsConnection } from "./failure.ts";

/**
 * Runs one statement as a transaction of its own, in the connection's default isolation or as it is named, and answers what
 * `read` makes of the rows. Rejects with what the driver or `read` threw.
 */
export type Run = <Answer>(
  query: Query,
  read: (rows: Rows) => Answer,
  isolation?: "read committed",
) => Promise<Answer>;

/** Runs statements on connections of the pool, each held for one statement. */
export function runOn(pool: PostgresPool): Run {
  let named = true;
  survive(pool);

  return async function run(query, read, isolation) {
    // Of several that fail together, the first to be told must not look to the others as if they had been unnamed.
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
      // A pooler in transaction mode that doesn't know prepared statements (PgBouncer before 1.21, or with
      // max_prepared_statements = 0). From here on every statement is parsed anew.
      named = false;
      return await attempt(false);
    }
  };
}

async function rowsOf(client: PooledClient, query: Query, isNamed: boolean): Promise<Rows> {
  return toRows((await client.query(toDriverQuery(query, isNamed))).rows);
}
