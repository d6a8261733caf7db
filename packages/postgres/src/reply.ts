import type { Row } from "./driver.ts";
import { hiddenRows, ReplyError, STANDBY } from "./failure.ts";
import type { AGAIN, Operation } from "./operations.ts";

/**
 * The results of the calls of one statement, in their order. A row that is not a session rejects its own call alone.
 *
 * @throws ReplyError if the reply is not to these calls, or says that the server cannot be relied on
 */
export function resultsOf<Call, Result>(
  operation: Operation<Call, Result>,
  calls: readonly Call[],
  rows: readonly Row[],
  table: string,
): (Result | Error | typeof AGAIN)[] {
  const rowsOf = new Map<string | null, Row[]>();
  if (!Array.isArray(rows)) throw new ReplyError(NOT_TO_THIS);
  for (const row of rows) {
    if (!Array.isArray(row)) throw new ReplyError(NOT_TO_THIS);
    const [state, key = null] = row;
    // A revoked session could still be there on a standby, which replies as of some while ago.
    if (state === "standby") throw new ReplyError(STANDBY);
    if (state === "hidden") throw new ReplyError(hiddenRows(table));
    const others = rowsOf.get(key);
    if (others) others.push(row);
    else rowsOf.set(key, [row]);
  }
  let strangers = rowsOf.size;
  const seen = new Set<string>();
  const results = calls.map((call) => {
    const key = operation.keyOf(call);
    const its = rowsOf.get(key);
    if (!its) throw new ReplyError(NOT_TO_THIS);
    if (!seen.has(key)) strangers -= 1;
    seen.add(key);
    try {
      return operation.result(its, call);
    } catch (error) {
      if (error instanceof ReplyError) return error;
      throw error;
    }
  });
  if (strangers > 0) throw new ReplyError(NOT_TO_THIS);
  return results;
}

const NOT_TO_THIS = "the reply is to another call: something between pg and PostgreSQL mixes replies up";
