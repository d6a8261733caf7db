import { StoreError } from "@tenure/core";
import { Fault } from "@tenure/core/store";
import { NOT_PG, type PostgresClient, type Row, rowsOf, unprepared } from "./driver.ts";
import { toStoreError } from "./failure.ts";
import type { Bind } from "./joined.ts";
import { repeated, type Operation, resultsOf } from "./operation.ts";

/**
 * Makes calls on one client, inside its open transaction, one statement at a time. No failed statement is
 * repeated, because an error aborts the transaction. None is prepared by name, because a pooler may be in
 * between.
 */
export function inTransaction(client: PostgresClient, table: string): Bind {
  let last: Promise<unknown> = Promise.resolve();

  return function bind(operation) {
    return (call) => {
      const result = last.then(() => resultOf(operation, call));
      last = result.catch(() => undefined);
      return result;
    };
  };

  async function resultOf<Call, Result>(operation: Operation<Call, Result>, call: Call): Promise<Result> {
    try {
      const present = await rowsOf(client, { statement: PRESENT, values: [] }, false);
      // An ORM's transaction may have a `query` of its own, which returns the rows.
      if (!Array.isArray(present)) throw new Fault(NOT_PG);
      const [seesThePresent] = present as readonly Row[];
      if (seesThePresent?.[0] !== "true") throw new StoreError(operation.name, NOT_READ_COMMITTED);
      return await repeated(operation, async () =>
        resultsOf(operation, [call], await rowsOf(client, operation.query([call], null), false), table),
      );
    } catch (error) {
      throw toStoreError(operation.name, table, error);
    }
  }
}

/**
 * Above READ COMMITTED, a transaction sees sessions as of its first statement. Outside a transaction, every
 * statement is the first.
 */
const PRESENT = unprepared(
  "select (current_setting('transaction_isolation') = 'read committed' or now() = statement_timestamp())::text",
);

const NOT_READ_COMMITTED =
  "this transaction sees sessions as of its start and could miss some: begin it with `isolation level read committed`";
