import { setTimeout as sleep } from "node:timers/promises";
import { batched } from "@tenure/core/store";
import { runOn } from "./connection.ts";
import type { PostgresPool, Row } from "./driver.ts";
import { isLocked, isOutOfTime, mayBeOneCall, toStoreError, wasUndone } from "./failure.ts";
import { AGAIN, repeated, type Operation, type Outcome, resultsOf } from "./operation.ts";

/** Turns an operation into a function that makes its calls, on the pool or on the application's client. */
export type Bind = <Call, Result>(operation: Operation<Call, Result>) => (call: Call) => Promise<Result>;

/**
 * Makes calls on the pool. Concurrent calls of one kind share a statement.
 *
 * An application's transaction that locks one session must not delay calls about others. So a statement waits
 * {@link PATIENCE} for a lock. If that is too short, or if one call makes the batch fail, its calls are made
 * one by one. Of these, those whose own row is locked then wait as long as the server allows, on two
 * connections.
 */
export function joinedOn(pool: PostgresPool, table: string): Bind {
  const run = runOn(pool);
  const alone = inLine();
  const waiting = inLine();

  return function bind<Call, Result>(operation: Operation<Call, Result>): (call: Call) => Promise<Result> {
    const { name, joins, slots = 1, lengthOf, keyOf } = operation;
    const join = batched<Call, Result | typeof AGAIN>({
      slots,
      limit: joins === "none" ? 1 : MAX_BATCH,
      isOutOfTime,
      ...(lengthOf && { maxBytes: MAX_BATCH_LENGTH, sizeOf: lengthOf }),
      ...(joins === "different keys" && { key: keyOf }),
      async run(calls) {
        try {
          return await attempt(operation, calls, PATIENCE, 3);
        } catch (error) {
          if (mayBeOneCall(error)) return calls.map(() => AGAIN);
          throw error;
        }
      },
    });
    return async (call) => {
      const settle = (patience: string | null) =>
        repeated(operation, () => attempt(operation, [call], patience, MAX_ATTEMPTS));
      try {
        const result = await join(call);
        if (result !== AGAIN) return result;
        return await alone(() => settle(BRIEF_PATIENCE)).catch((error: unknown) => {
          if (!isLocked(error)) throw error;
          return waiting(() => settle(null));
        });
      } catch (error) {
        throw toStoreError(name, table, error);
      }
    };
  };

  /**
   * Runs a statement, and repeats it if a deadlock or serialization failure rolled it back. Above READ
   * COMMITTED, a statement that writes many busy rows would fail every time, so it is repeated in READ
   * COMMITTED.
   */
  async function attempt<Call, Result>(
    operation: Operation<Call, Result>,
    calls: readonly Call[],
    patience: string | null,
    attempts: number,
  ): Promise<Outcome<Result>[]> {
    const query = operation.query(calls, patience);
    const read = (rows: readonly Row[]) => resultsOf(operation, calls, rows, table);
    for (let failures = 0; ;) {
      try {
        const results = await run(query, read, failures === 0 ? undefined : "read committed");
        return results.map((result) =>
          result instanceof Error ? toStoreError(operation.name, table, result) : result,
        );
      } catch (error) {
        failures += 1;
        if (failures >= attempts || !wasUndone(error)) throw error;
        await sleep(Math.random() * Math.min(2 ** failures, 100));
      }
    }
  }
}

/** Returns a queue that makes two calls at a time. */
function inLine(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  const line = batched<() => Promise<unknown>, unknown>({
    slots: 2,
    limit: 1,
    isOutOfTime,
    run: async ([work]) => [await work!()],
  });
  return <Result>(work: () => Promise<Result>) => line(work) as Promise<Result>;
}

/** A `lock_timeout`. */
const PATIENCE = "100ms";
/** Short, because one call has waited already, and up to 499 others only shared its statement. */
const BRIEF_PATIENCE = "20ms";
const MAX_BATCH = 500;
/** UTF-16 code units of data, each of which takes one to three bytes. */
const MAX_BATCH_LENGTH = 4_000_000;
/** With pauses of up to 100 ms between them. */
const MAX_ATTEMPTS = 20;
