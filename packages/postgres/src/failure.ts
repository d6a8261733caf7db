import { StoreError, type StoreOperation } from "@tenure/core";

/** The reply is not one to go by: of a standby, with rows hidden, of another call. Its message holds nothing from the reply. */
export class ReplyError extends Error {
  override readonly name: string = "ReplyError";
}

/** The statement was undone as a whole: to run it again is to run it once. */
export function wasUndone(error: unknown): boolean {
  return SERIALIZATION_FAILURES.has(sqlState(error) ?? "");
}

/** The error may come from one call of a batch, and the other calls may succeed without it. Nothing of the batch happened. */
export function mayBeOneCalls(error: unknown): boolean {
  const state = sqlState(error) ?? "";
  return wasUndone(error) || state === LOCK_TIMEOUT || CALL_CLASSES.has(state.slice(0, 2));
}

/** The statement waited for a lock for longer than `lock_timeout`. */
export function isLocked(error: unknown): boolean {
  return sqlState(error) === LOCK_TIMEOUT;
}

/** A further try may take as long: the statement timed out, or there was no connection or no reply. */
export function isOutOfTime(error: unknown): boolean {
  const state = sqlState(error);
  return state === "57014" || (state === undefined && !(error instanceof StoreError));
}

/** A pooler gave the statement to a connection that has not prepared it, or has so already. Nothing ran. */
export function isUnprepared(error: unknown): boolean {
  const state = sqlState(error);
  return state === "26000" || state === "42P05";
}

/** The server replied with an error, goes on listening on this connection, and is a primary as far as one knows. */
export function keepsConnection(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && !CONNECTION_CLASSES.has(state.slice(0, 2)) && !state.startsWith("57P");
}

/**
 * The store's error, without data. PostgreSQL's own error quotes the row that it refused: in `detail`, in `where`, and some
 * messages quote a value. So its cause is a copy with the names alone, and with the message only where PostgreSQL's text has no value
 * in it and no code of the application's wrote it.
 */
export function toStoreError(operation: StoreOperation, table: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof ReplyError) return new StoreError(operation, error.message);
  return new StoreError(operation, explain(error, table), {
    cause: isServers(error) ? withoutData(error) : error,
  });
}

export const STANDBY =
  "the server is a standby or read-only: sessions are read and written on the primary alone";

export function hiddenRows(table: string): string {
  return `row level security applies to this role on the table ${table} and may hide rows: disable it there, or give the role BYPASSRLS`;
}

function explain(error: unknown, table: string): string {
  const state = sqlState(error);
  switch (state) {
    case undefined:
      return "PostgreSQL could not be reached, or the connection was lost or timed out: the cause says more";
    case "42P01":
    case "3F000":
    case "42703":
      return `the table ${table} is missing or older than this release: run \`await migrate(pool)\` of @tenure/postgres, with the same schema and table, or its migrations/*.sql`;
    case "42501":
      return `the role may not use the table ${table}: grant it select, insert, update and delete, and do not apply row level security to it`;
    case "25006":
      return STANDBY;
    default:
      return `PostgreSQL refused with SQLSTATE ${state}: the cause says more`;
  }
}

function withoutData(error: ServersError): Error {
  const { code, severity, schema, table, column, dataType, constraint, where } = error;
  const isSafe = where === undefined && SAFE_CLASSES.has(code.slice(0, 2));
  const cause = new Error(
    isSafe ? error.message : `SQLSTATE ${code}; the message may quote data and is left out`,
  );
  cause.name = "PostgresError";
  const names = { code, severity, schema, table, column, dataType, constraint };
  return Object.assign(
    cause,
    Object.fromEntries(Object.entries(names).filter(([, name]) => name !== undefined)),
  );
}

const LOCK_TIMEOUT = "55P03";

const SERIALIZATION_FAILURES: ReadonlySet<string> = new Set(["40001", "40P01"]);

/** Data exceptions, violated constraints, exceeded limits, errors raised by a trigger. */
const CALL_CLASSES: ReadonlySet<string> = new Set(["22", "23", "54", "P0"]);

/** Connection exceptions, a wrong state or a read-only server, refused authorization, no more connections, no such database. */
const CONNECTION_CLASSES: ReadonlySet<string> = new Set(["08", "25", "28", "53", "3D", "XX"]);

/**
 * Classes whose messages name objects, settings and limits only. `where` is set for what a function or a trigger raised, in whatever
 * class and with whatever text.
 */
const SAFE_CLASSES: ReadonlySet<string> = new Set([
  "08",
  "23",
  "25",
  "26",
  "28",
  "3D",
  "3F",
  "40",
  "42",
  "53",
  "54",
  "55",
  "57",
  "58",
]);

interface ServersError extends Error {
  readonly code: string;
  readonly severity: string;
  readonly schema?: string;
  readonly table?: string;
  readonly column?: string;
  readonly dataType?: string;
  readonly constraint?: string;
  readonly where?: string;
}

/** Node's own errors have a code too, and `EPIPE` has five characters, but no severity. */
function isServers(error: unknown): error is ServersError {
  return error instanceof Error && "severity" in error && "code" in error && typeof error.code === "string";
}

function sqlState(error: unknown): string | undefined {
  return isServers(error) && error.code.length === 5 ? error.code : undefined;
}
