import { StoreError, type StoreOperation } from "@tenure/core";
import { Fault, orError } from "@tenure/core/store";
import { NOT_PG, type Query, type Row } from "./driver.ts";
import { hiddenRows, STANDBY } from "./failure.ts";
import { mixedUp } from "./reply.ts";

/**
 * One kind of call: its statement, and how its reply is decoded. Its keys are already encoded (`text.ts`).
 */
export interface Operation<Call, Result> {
  readonly name: StoreOperation;
  /** The key of the call, which each row of the reply repeats in its second column. */
  readonly keyOf: (call: Call) => string;
  /**
   * @param patience how long to wait for each lock, as `lock_timeout`; `null`: as long as the server allows
   */
  readonly query: (calls: readonly Call[], patience: string | null) => Query;
  /**
   * Which concurrent calls share a statement. `"different keys"`: calls with the same key run in turn, because
   * the result of one depends on the other.
   */
  readonly joins: "all" | "different keys" | "none";
  /** How many statements may run at the same time. Default 1. */
  readonly slots?: number;
  /** The length of the call's data in UTF-16 code units, if it counts towards the limit of a batch. */
  readonly lengthOf?: (call: Call) => number;
  /** Decodes the rows of the call's key, of which there is at least one. Throws a `Fault`. */
  readonly result: (rows: readonly Row[], call: Call) => Result | typeof AGAIN;
}

/** The row could be neither read nor written, because another transaction has just created or ended it. */
export const AGAIN: unique symbol = Symbol("again");

export type Outcome<Result> = Result | Error | typeof AGAIN;

/**
 * Returns the results of the calls of one statement, in order. A row that is not a session rejects only its
 * own call.
 *
 * @throws Fault if the reply belongs to other calls, or comes from a standby or through row level security
 */
export function resultsOf<Call, Result>(
  operation: Operation<Call, Result>,
  calls: readonly Call[],
  rows: readonly Row[],
  table: string,
): Outcome<Result>[] {
  if (!Array.isArray(rows)) throw new Fault(NOT_PG);
  const rowsOf = new Map<string | null, Row[]>();
  for (const row of rows) {
    if (!Array.isArray(row)) throw mixedUp();
    const [state, key = null] = row;
    // A standby replies with older data, in which a revoked session may be alive.
    if (state === "standby") throw new Fault(STANDBY);
    if (state === "hidden") throw new Fault(hiddenRows(table));
    const others = rowsOf.get(key);
    if (others) others.push(row);
    else rowsOf.set(key, [row]);
  }
  const keys = new Set<string>();
  const results = calls.map((call) => {
    const key = operation.keyOf(call);
    const found = rowsOf.get(key);
    if (!found) throw mixedUp();
    keys.add(key);
    return orError(() => operation.result(found, call));
  });
  if (rowsOf.size > keys.size) throw mixedUp();
  return results;
}

/** Makes one call, and repeats it while the result is {@link AGAIN}. */
export async function repeated<Result>(
  { name }: Operation<never, Result>,
  attempt: () => Promise<Outcome<Result>[]>,
): Promise<Result> {
  for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts += 1) {
    const [result] = await attempt();
    if (result instanceof Error) throw result;
    if (result !== AGAIN) return result as Result;
  }
  throw new StoreError(
    name,
    "the row can be neither read nor written: check the table for a trigger or rule that cancels writes",
  );
}

const MAX_ATTEMPTS = 3;
