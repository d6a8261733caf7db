import { StoreError } from "@tenure/core";
import { type PostgresClient, type Query, type Row, rowsOf, unprepared } from "./driver.ts";
import { toStoreError } from "./failure.ts";
import { type Bind, MAX_LOOKS, UNDECIDED } from "./joined.ts";
import { AGAIN, type Operation } from "./operations.ts";
import { resultsOf } from "./reply.ts";

/**
 * Makes calls on one client, inside the transaction that is open there: one statement at a time, in the order of the calls.
 * Nothing is tried again, since an error ends the transaction, and no statement is named, since a pooler may be between.
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
      const [seesThePresent] = await run({ statement: PRESENT, values: [] });
      if (seesThePresent?.[0] !== "true") throw new StoreError(operation.name, NOT_READ_COMMITTED);
      for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
        const rows = await run(operation.one(call, null));
        const [result] = resultsOf(operation, [call], rows, table);
        if (result instanceof Error) throw result;
        if (result !== AGAIN) return result as Result;
      }
      throw new StoreError(operation.name, UNDECIDED);
    } catch (error) {
      throw toStoreError(operation.name, table, error);
    }
  }

  function run(query: Query): Promise<readonly Row[]> {
    return rowsOf(client, query, false);
  }
}

/** Above READ COMMITTED a transaction sees sessions as of its first statement; outside of one, every statement is the first. */
const PRESENT = unprepared(
  "select (current_setting('transaction_isolation') = 'read committed' or now() = statement_timestamp())::text",
);

const NOT_READ_COMMITTED =
  "this transaction sees sessions as of its start and could miss some: begin it with `isolation level read committed`";
