import { StoreError, type StoreOperation } from "@tenure/core";

/** The statement was undone as a whole: to run it again is to run it once. */
export function wasUndone(error: unknown): boolean {
  return SERIALIZATION_FAILURES.has(sqlState(error) ?? "");
}

/** The error may come from one row of a batch alone, and the other rows may do well without it. */
export function mayBeOneRows(error: unknown): boolean {
  const state = sqlState(error) ?? "";
  return wasUndone(error) || isOutOfTime(error) || ROW_CLASSES.has(state.slice(0, 2));
}

/** A timeout of the server's: each further try may take as long. */
export function isOutOfTime(error: unknown): boolean {
  const state = sqlState(error);
  return state === "57014" || state === "55P03";
}

/** No connection or no answer came within the pool's own limits, `connectionTimeoutMillis` and `query_timeout`: pg gives these no code. */
export function isUnanswered(error: unknown): boolean {
  return isUnsaid(error) && error instanceof Error && /timeout|timedout/i.test(error.message);
}

/** It is not the server's answer: the connection was not had, or lost, or did not answer. */
export function isUnsaid(error: unknown): boolean {
  return error !== undefined && sqlState(error) === undefined;
}

/** A pooler gave the statement to a connection that has not prepared it, or has so already. Nothing ran. */
export function isUnprepared(error: unknown): boolean {
  const state = sqlState(error);
  return state === "26000" || state === "42P05";
}

/** The server answered with an error, goes on listening on this connection, and is a primary as far as one knows. */
export function keepsConnection(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && !CONNECTION_CLASSES.has(state.slice(0, 2)) && !state.startsWith("57P");
}

/** A hot standby answers reads, but as of some while ago: a revoked session could still be there. */
export class StandbyError extends Error {
  override readonly name: string = "StandbyError";

  constructor() {
    super("pg_is_in_recovery() is true");
  }
}

export function toStoreError(operation: StoreOperation, table: string, cause: unknown): StoreError {
  return new StoreError(operation, explain(cause, table), { cause });
}

function explain(error: unknown, table: string): string {
  if (error instanceof StandbyError) return STANDBY;
  const state = sqlState(error);
  switch (state) {
    case undefined:
      return "PostgreSQL could not be reached, or the connection was lost or timed out: the cause says more";
    case "42P01":
    case "3F000":
    case "42703":
      return `the table ${table} is missing or older than this release: run \`await migrate(pool)\` of @tenure/postgres, with the same schema and table, or its migrations/*.sql`;
    case "42501":
      return `the role may not use the table ${table}: grant it select, insert, update and delete`;
    case "25006":
      return STANDBY;
    default:
      return `PostgreSQL refused with SQLSTATE ${state}: the cause says more`;
  }
}

const STANDBY = "the server is a standby or read-only: sessions are read and written on the primary alone";

const SERIALIZATION_FAILURES: ReadonlySet<string> = new Set(["40001", "40P01"]);

/** Data exceptions, violated constraints, exceeded limits, errors raised by a trigger. */
const ROW_CLASSES: ReadonlySet<string> = new Set(["22", "23", "54", "P0"]);

/** Connection exceptions, a wrong state or a read-only server, refused authorization, no more connections, no such database. */
const CONNECTION_CLASSES: ReadonlySet<string> = new Set(["08", "25", "28", "53", "3D", "XX"]);

/** `undefined` for what the server did not say: Node's own `EPIPE` has five characters too, but no severity. */
function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error && "code" in error && "severity" in error)) return undefined;
  return typeof error.code === "string" && error.code.length === 5 ? error.code : undefined;
}
