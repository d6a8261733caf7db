import { batched } from "@tenure/core/store";
import { StoreError } from "@tenure/core";
import { type Run, runOn } from "./connection.ts";
import type { PostgresPool } from "./driver.ts";
import { isLocked, isOutOfTime, mayBeOneCalls, toStoreError, wasUndone } from "./failure.ts";
import { AGAIN, type Operation } from "./operations.ts";
import { resultsOf } from "./reply.ts";

/** How calls of one kind are made: on the pool, or on a client of the application's. */
export type Bind = <Call, Result>(operation: Operation<Call, Result>) => (call: Call) => Promise<Result>;

/**
 * Makes calls on the pool. Concurrent calls of one kind are one statement; a call that is alone is a plain statement.
 *
 * A transaction of the application's that holds one session must not delay calls about others. So a statement waits {@link PATIENCE}
 * for a lock. If that is not enough, or if one call made its batch fail, nothing of the batch has happened, and its calls are made one by
 * one. Only those whose own row is locked then wait for as long as the server lets them, on two connections that are kept for that.
 */
export function joinedOn(pool: PostgresPool, table: string): Bind {
  const run = runOn(pool);
  const alone = inLine();
  const waiting = inLine();

  return function bind<Call, Result>(operation: Operation<Call, Result>): (call: Call) => Promise<Result> {
    const join = batched<Call, Result | typeof AGAIN>({
      slots: operation.slots,
      limit: operation.many ? MAX_BATCH : 1,
      ...(operation.sizeOf && { maxBytes: MAX_BATCH_BYTES, sizeOf: operation.sizeOf }),
      ...(operation.shares ? {} : { key: operation.keyOf }),
      run: (calls) => together(operation, calls),
    });
    return async (call) => {
      const result = await join(call);
      if (result !== AGAIN) return result;
      try {
        return await alone(() => settle(operation, call, BRIEF_PATIENCE));
      } catch (error) {
        if (!isLocked(error)) throw toStoreError(operation.name, table, error);
      }
      try {
        return await waiting(() => settle(operation, call, null));
      } catch (error) {
        throw toStoreError(operation.name, table, error);
      }
    };
  };

  async function together<Call, Result>(
    operation: Operation<Call, Result>,
    calls: readonly Call[],
  ): Promise<readonly (Result | Error | typeof AGAIN)[]> {
    try {
      return await attempt(operation, calls, PATIENCE, 3);
    } catch (error) {
      if (mayBeOneCalls(error)) return calls.map(() => AGAIN);
      throw toStoreError(operation.name, table, error);
    }
  }

  async function settle<Call, Result>(
    operation: Operation<Call, Result>,
    call: Call,
    patience: string | null,
  ): Promise<Result> {
    for (let attempts = 0; attempts < MAX_LOOKS; attempts += 1) {
      const [result] = await attempt(operation, [call], patience, MAX_ATTEMPTS);
      if (result instanceof Error) throw result;
      if (result !== AGAIN) return result as Result;
    }
    throw new StoreError(operation.name, UNDECIDED);
  }

  async function attempt<Call, Result>(
    operation: Operation<Call, Result>,
    calls: readonly Call[],
    patience: string | null,
    attempts: number,
  ): Promise<(Result | Error | typeof AGAIN)[]> {
    const { one, many } = operation;
    const query = many && calls.length > 1 ? many(calls, patience) : one(calls[0]!, patience);
    const read = (rows: Parameters<Parameters<Run>[1]>[0]) => resultsOf(operation, calls, rows, table);
    const results = await undisturbed((isolation) => run(query, read, isolation), attempts);
    return results.map((result) =>
      result instanceof Error ? toStoreError(operation.name, table, result) : result,
    );
  }
}

/** A queue of single calls, for two connections. */
function inLine(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let timeouts = 0;
  let timedOutAt = 0;
  let lastTimeout: unknown;
  const line = batched<{ readonly since: number; readonly work: () => Promise<unknown> }, unknown>({
    slots: 2,
    limit: 1,
    async run([next]) {
      const { since, work } = next!;
      // It has waited for as long as the calls that timed out: to wait in turn would add their times up.
      if (timeouts >= MAX_TIMEOUTS && since <= timedOutAt) throw lastTimeout;
      const began = performance.now();
      try {
        const result = await work();
        timeouts = 0;
        return [result];
      } catch (error) {
        timeouts = isOutOfTime(error) ? timeouts + 1 : 0;
        timedOutAt = began;
        lastTimeout = error;
        throw error;
      }
    },
  });
  return <Result>(work: () => Promise<Result>) => line({ since: performance.now(), work }) as Promise<Result>;
}

/**
 * Runs again what was undone as a whole, by a deadlock or a serialization failure. Above READ COMMITTED, writing many rows that others
 * write all the time would fail each time, so further attempts are made in READ COMMITTED.
 */
async function undisturbed<Result>(
  attempt: (isolation?: "read committed") => Promise<Result>,
  attempts: number,
): Promise<Result> {
  for (let failures = 0; ;) {
    try {
      return await attempt(failures === 0 ? undefined : "read committed");
    } catch (error) {
      failures += 1;
      if (failures >= attempts || !wasUndone(error)) throw error;
      await pause(Math.random() * Math.min(2 ** failures, 100));
    }
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** As PostgreSQL writes it. */
const PATIENCE = "100ms";
/** Of a call that has waited already, and of up to 499 that only shared its statement. */
const BRIEF_PATIENCE = "20ms";
const MAX_BATCH = 500;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** With pauses of up to 100 ms between them. */
const MAX_ATTEMPTS = 20;
/** What another transaction has just made is seen at the second look. */
export const MAX_LOOKS = 3;
/** After so many timeouts in a row it is not one row that is held. */
const MAX_TIMEOUTS = 3;

export const UNDECIDED =
  "the row can be neither read nor written: look for a trigger or a rule on the table that cancels writes";
