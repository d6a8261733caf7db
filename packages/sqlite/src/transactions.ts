import { setTimeout as sleep } from "node:timers/promises";
import { StoreError, type StoreOperation } from "@tenure/core";
import { batched } from "@tenure/core/store";
import { rollBack, type SqliteDatabase } from "./database.ts";
import { isLocked, toStoreError } from "./failure.ts";
import type { Sessions } from "./sessions.ts";

/** What a call does, inside a transaction. It throws a `StoreError` only before its first write. */
export type Work<Result> = (sessions: Sessions, now: number) => Result;

/** Runs `work` in a transaction, together with the other calls of this turn of the event loop. */
export type Run = <Result>(
  operation: StoreOperation,
  work: Work<Result>,
  details?: Details,
) => Promise<Result>;

export interface Details {
  /** Whether a power cut may undo it although it has resolved. */
  readonly mayBeLost?: boolean;
  /** How many characters of data it writes. */
  readonly size?: number;
}

export interface Transactions {
  /** Works on one snapshot of the database. Needs no lock. */
  readonly read: Run;
  /** Holds the write lock, from before the check of anything until the commit. */
  readonly write: Run;
}

/**
 * Each transaction begins and ends in one turn of the event loop, because both drivers are synchronous. So no two transactions of this
 * process overlap, and another process waits for no JavaScript but the work of one batch.
 *
 * @param open prepares the connection, at the first call
 */
export function transactionsOn(
  database: SqliteDatabase,
  lockTimeout: number,
  open: () => Sessions,
): Transactions {
  let opened: Sessions | undefined;

  return {
    read: joined((calls) => inTransaction("begin", calls)),
    write: joined((calls) => {
      // The commit of touches alone does not wait for the disk.
      const isDurable = calls.some(({ mayBeLost }) => !mayBeLost);
      database.exec(`pragma synchronous = ${isDurable ? "full" : "normal"}`);
      return inTransaction("begin immediate", calls);
    }),
  };

  function inTransaction(begin: "begin" | "begin immediate", calls: readonly Call[]): Outcome[] {
    const sessions = (opened ??= open());
    database.exec(begin);
    try {
      // Now that the lock is ours: a call that waited for it could find a session alive that has expired meanwhile.
      const now = Date.now();
      const outcomes = calls.map(({ work }) => outcomeOf(() => work(sessions, now)));
      if (begin === "begin immediate") sessions.sweep(now, calls.length);
      database.exec("commit");
      return outcomes;
    } catch (error) {
      rollBack(database);
      throw error;
    }
  }

  function joined(transaction: (calls: readonly Call[]) => Outcome[]): Run {
    const call = batched<Call, undefined>({
      slots: 1,
      limit: MAX_CALLS,
      maxBytes: MAX_SIZE,
      sizeOf: ({ size }) => size,
      run: (calls) => settled(transaction, calls),
    });
    return async <Result>(operation: StoreOperation, work: Work<Result>, details: Details = {}) => {
      const { mayBeLost = false, size = 0 } = details;
      const giveUpAt = performance.now() + lockTimeout;
      let result: Result | undefined;
      const keep: Work<void> = (sessions, now) => {
        result = work(sessions, now);
      };
      await call({ operation, mayBeLost, size, giveUpAt, work: keep });
      return result as Result;
    };
  }
}

/** Retries while another process holds the lock; the event loop goes on meanwhile. */
async function settled(
  transaction: (calls: readonly Call[]) => Outcome[],
  calls: readonly Call[],
): Promise<readonly Outcome[]> {
  // The last call's: those before it wait longer than lockTimeout, by at most the time that one batch may wait.
  const { giveUpAt } = calls.at(-1)!;
  for (;;) {
    try {
      return transaction(calls);
    } catch (error) {
      if (isLocked(error) && performance.now() < giveUpAt) {
        await sleep(1 + Math.random() * LONGEST_PAUSE);
        continue;
      }
      if (calls.length === 1 || isLocked(error)) {
        return calls.map(({ operation }) => toStoreError(operation, error));
      }
    }
    // Nothing was written. Only the calls that fail by themselves shall reject.
    const outcomes: Outcome[] = [];
    for (const call of calls) outcomes.push(...(await settled(transaction, [call])));
    return outcomes;
  }
}

interface Call {
  readonly operation: StoreOperation;
  readonly mayBeLost: boolean;
  readonly size: number;
  /** Of `performance.now()`. */
  readonly giveUpAt: number;
  readonly work: Work<void>;
}

type Outcome = StoreError | undefined;

function outcomeOf(work: () => void): Outcome {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
}

/** A transaction of so many calls, or characters of data, takes a few milliseconds, during which nothing else of the process runs. */
const MAX_CALLS = 64;
const MAX_SIZE = 512 * 1024;

/** Milliseconds between two tries to get the lock, of random length, so that processes do not try in step. */
const LONGEST_PAUSE = 5;
