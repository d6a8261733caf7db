import { setTimeout as sleep } from "node:timers/promises";
import type { StoreOperation } from "@tenure/core";
import { batched, Fault } from "@tenure/core/store";
import { rollBack, type SqliteDatabase } from "./database.ts";
import { isLocked, toStoreError } from "./failure.ts";
import type { Sessions } from "./sessions.ts";

/** The work of a call inside a transaction. */
export type Work<Result> = (sessions: Sessions, now: number) => Result;

/** Runs `work` in a transaction, together with the other calls of this turn of the event loop. */
export type Run = <Result>(
  operation: StoreOperation,
  work: Work<Result>,
  details?: Details,
) => Promise<Result>;

export interface Details {
  /** Whether a power cut may undo the change after it has resolved. */
  readonly mayBeLost?: boolean;
  /** Characters of data that the call writes. */
  readonly size?: number;
}

export interface Transactions {
  /** Works on one snapshot of the database, without a lock. */
  readonly read: Run;
  /** Holds the write lock from before the first check until the commit. */
  readonly write: Run;
}

/** What the first call prepares. */
export interface Opened {
  readonly sessions: Sessions;
  readonly files: { assertInPlace(): void };
}

/**
 * Runs calls in transactions. Both drivers are synchronous, so each transaction begins and ends in one turn
 * of the event loop. Transactions of this process never overlap, and another process waits for the work of
 * one batch at most.
 *
 * @param open prepares the connection, at the first call
 */
export function transactionsOn(
  database: SqliteDatabase,
  lockTimeout: number,
  open: () => Opened,
): Transactions {
  let opened: Opened | undefined;

  return {
    read: joined((calls) => inTransaction("begin", calls)),
    write: joined((calls) => {
      // The commit of touches alone does not wait for the disk.
      const isDurable = calls.some(({ mayBeLost }) => !mayBeLost);
      database.exec(`pragma synchronous = ${isDurable ? "full" : "normal"}`);
      return inTransaction("begin immediate", calls);
    }),
  };

  function inTransaction(begin: "begin" | "begin immediate", calls: readonly Call[]): unknown[] {
    const { sessions, files } = (opened ??= open());
    database.exec(begin);
    try {
      // After `begin`, which fails on a closed connection: closing deletes the -wal and -shm files.
      files.assertInPlace();
      // Read after the lock is held: a session may have expired while the call waited for it.
      const now = Date.now();
      const outcomes = calls.map((call) => outcomeOf(call, sessions, now));
      if (begin === "begin immediate") sessions.sweep(now, calls.length);
      database.exec("commit");
      return outcomes;
    } catch (error) {
      rollBack(database);
      throw error;
    }
  }

  function joined(transaction: (calls: readonly Call[]) => unknown[]): Run {
    const call = batched<Call, unknown>({
      slots: 1,
      limit: MAX_CALLS,
      maxBytes: MAX_SIZE,
      sizeOf: ({ size }) => size,
      run: (calls) => settled(transaction, calls),
    });
    return <Result>(operation: StoreOperation, work: Work<Result>, details: Details = {}) => {
      const { mayBeLost = false, size = 0 } = details;
      const giveUpAt = performance.now() + lockTimeout;
      return call({ operation, mayBeLost, size, giveUpAt, work }) as Promise<Result>;
    };
  }
}

/** Retries while another process holds the lock, without blocking the event loop. */
async function settled(
  transaction: (calls: readonly Call[]) => unknown[],
  calls: readonly Call[],
): Promise<readonly unknown[]> {
  // That of the last call. Earlier calls exceed lockTimeout by at most the time that one batch may wait.
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
    // Nothing was written. Run each call alone, so that only those that fail by themselves reject.
    const outcomes: unknown[] = [];
    for (const call of calls) outcomes.push(...(await settled(transaction, [call])));
    return outcomes;
  }
}

interface Call {
  readonly operation: StoreOperation;
  readonly mayBeLost: boolean;
  readonly size: number;
  /** By `performance.now()`. */
  readonly giveUpAt: number;
  readonly work: Work<unknown>;
}

/** Returns the result. A `Fault` rejects this call alone. */
function outcomeOf({ operation, work }: Call, sessions: Sessions, now: number): unknown {
  try {
    return work(sessions, now);
  } catch (error) {
    if (error instanceof Fault) return toStoreError(operation, error);
    throw error;
  }
}

/**
 * Calls, and characters of data, per transaction: a few milliseconds, in which the process does nothing else.
 */
const MAX_CALLS = 64;
const MAX_SIZE = 512 * 1024;

/** Milliseconds between attempts to get the lock, random so that processes do not retry in step. */
const LONGEST_PAUSE = 5;
