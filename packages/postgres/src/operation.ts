import { StoreError, type StoreOperation } from "@tenure/core";
import { Fault } from "@tenure/core/store";
import type { Query, Row } from "./driver.ts";
import { hiddenRows, STANDBY } from "./failure.ts";
import { mixedUp, orFault } from "./reply.ts";

/** One kind of call, as a statement and its reply. Keys in it are encoded already. */
export interface Operation<Call, Result> {
  readonly name: StoreOperation;
  /** What the call is about, as each row of its reply says in the second column. */
  readonly keyOf: (call: Call) => string;
  /** @param patience how long to wait for each lock, as PostgreSQL writes it; `null`: as long as the server lets it */
  readonly query: (calls: readonly Call[], patience: string | null) => Query;
  /** How many calls one statement makes at most. */
  readonly limit: number;
  /** How many statements may be under way at once. */
  readonly slots: number;
  /** Calls with the same key get the same result, so that they may share a statement. Otherwise they go one after another. */
  readonly shares: boolean;
  /** How many bytes of data the call carries, where that matters. */
  readonly sizeOf?: (call: Call) => number;
  /** What the rows of the call's key say: at least one. Throws a `Fault`. */
  readonly result: (rows: readonly Row[], call: Call) => Result | typeof AGAIN;
}

/** The row could be neither read nor written, because another transaction has just made or ended it. The next statement sees that. */
export const AGAIN: unique symbol = Symbol("again");

/** What one statement says about one of its calls. */
export type Outcome<Result> = Result | Error | typeof AGAIN;

/**
 * The results of the calls of one statement, in their order. A row that is not a session rejects its own call alone.
 *
 * @throws Fault if the reply is not to these calls, or says that the server cannot be relied on
 */
export function resultsOf<Call, Result>(
  operation: Operation<Call, Result>,
  calls: readonly Call[],
  rows: readonly Row[],
  table: string,
): Outcome<Result>[] {
  if (!Array.isArray(rows)) throw mixedUp();
  const rowsOf = new Map<string | null, Row[]>();
  for (const row of rows) {
    if (!Array.isArray(row)) throw mixedUp();
    const [state, key = null] = row;
    // A revoked session could still be there on a standby, which replies as of some while ago.
    if (state === "standby") throw new Fault(STANDBY);
    if (state === "hidden") throw new Fault(hiddenRows(table));
    const others = rowsOf.get(key);
    if (others) others.push(row);
    else rowsOf.set(key, [row]);
  }
  const keys = new Set<string>();
  const results = calls.map((call) => {
    const key = operation.keyOf(call);
    const its = rowsOf.get(key);
    if (!its) throw mixedUp();
    keys.add(key);
    return orFault(() => operation.result(its, call));
  });
  if (rowsOf.size > keys.size) throw mixedUp();
  return results;
}

/** Makes one call, again as long as the result is {@link AGAIN}. */
export async function decided<Result>(
  { name }: Operation<never, Result>,
  look: () => Promise<Outcome<Result>[]>,
): Promise<Result> {
  for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
    const [result] = await look();
    if (result instanceof Error) throw result;
    if (result !== AGAIN) return result as Result;
  }
  throw new StoreError(
    name,
    "the row can be neither read nor written: look for a trigger or a rule on the table that cancels writes",
  );
}

const MAX_LOOKS = 3;
