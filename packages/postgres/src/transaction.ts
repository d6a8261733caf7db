import { StoreError } from "@tenure/core";
import type { Ask } from "./coalesce.ts";
import { type PostgresClient, type Query, type Rows, toDriverQuery, toRows, unprepared } from "./driver.ts";
import { toStoreError } from "./failure.ts";
import { BUSY, type Operation } from "./operations.ts";

/**
 * Asks on one client, inside whatever transaction is open there: one statement at a time, in the order of the calls. Nothing
 * is tried again, since after an error the transaction is over, and no statement is named, since a pooler may be between.
 */
export function askOn(client: PostgresClient, table: string): Ask {
  let last: Promise<unknown> = Promise.resolve();

  return function ask(operation, _key, call) {
    const mine = last.then(() => answerOf(operation, call));
    last = mine.catch(() => undefined);
    return mine;
  };

  async function answerOf<Call, Answer>(operation: Operation<Call, Answer>, call: Call): Promise<Answer> {
    try {
      const [seesThePresent] = await run({ statement: PRESENT, values: [] });
      if (seesThePresent?.[0] !== "true") throw new StoreError(operation.name, NOT_READ_COMMITTED);
      for (;;) {
        const rows = await run(operation.patient?.(call) ?? operation.one(call));
        const [answer] = operation.answers(rows, [call]);
        if (answer !== BUSY) return answer!;
      }
    } catch (error) {
      throw error instanceof StoreError ? error : toStoreError(operation.name, table, error);
    }
  }

  async function run(query: Query): Promise<Rows> {
    return toRows((await client.query(toDriverQuery(query, false))).rows);
  }
}

/** Above READ COMMITTED a transaction sees sessions as of its first statement; outside of one, every statement is the first. */
const PRESENT = unprepared(
  "select (current_setting('transaction_isolation') = 'read committed' or now() = statement_timestamp())::text",
);

const NOT_READ_COMMITTED =
  "this transaction sees sessions as of its start and could miss some: begin it with `isolation level read committed`";
