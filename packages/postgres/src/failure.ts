import { StoreError, type StoreOperation } from "@tenure/core";
import { Fault } from "@tenure/core/store";
import { NOT_PG } from "./driver.ts";

/** Whether the statement was rolled back as a whole, so that repeating it applies it only once. */
export function wasUndone(error: unknown): boolean {
  return /^(40001|40P01)$/.test(sqlState(error) ?? "");
}

/**
 * Whether one call of a batch may have caused the error, so that others can succeed. The batch was rolled
 * back.
 */
export function mayBeOneCall(error: unknown): boolean {
  return wasUndone(error) || isLocked(error) || OF_ONE_CALL.test(sqlState(error) ?? "");
}

/** Whether the statement waited for a lock longer than `lock_timeout`. */
export function isLocked(error: unknown): boolean {
  return sqlState(error) === "55P03";
}

/** Whether another attempt may take as long: the statement timed out, or no connection or no reply came. */
export function isOutOfTime(error: unknown): boolean {
  const state = sqlState(error);
  const isOurs = error instanceof StoreError || error instanceof Fault;
  return state === "57014" || (state === undefined && !isOurs);
}

/**
 * Whether a pooler sent the statement to a connection that has not prepared it, or has already. Nothing ran.
 */
export function isUnprepared(error: unknown): boolean {
  return /^(26000|42P05)$/.test(sqlState(error) ?? "");
}

/**
 * Whether the connection can be used again: the server replied with an error, keeps the connection open, and
 * is not known to be read-only.
 */
export function keepsConnection(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && !OF_CONNECTION.test(state);
}

/** Converts an error to a `StoreError` without session data. */
export function toStoreError(operation: StoreOperation, table: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof Fault) return new StoreError(operation, error.message);
  return new StoreError(operation, explain(error, table), {
    cause: isServers(error) ? withoutData(error) : error,
  });
}

export const STANDBY = "the server is a standby or read-only: connect the pool to the primary";

export function hiddenRows(table: string): string {
  return `row level security applies to this role on the table ${table} and may hide rows: disable it there, or give the role BYPASSRLS`;
}

function explain(error: unknown, table: string): string {
  const state = sqlState(error);
  switch (state) {
    case undefined:
      // With a `code`, Node refused an address. Without one, a method is missing, or got an argument that it
      // does not know.
      if (error instanceof TypeError && !("code" in error)) return `${NOT_PG}; see the cause`;
      return "PostgreSQL could not be reached, or the connection was lost or timed out: see the cause";
    case "42P01":
    case "3F000":
    case "42703":
      return `the table ${table} is missing or older than this release: run \`await migrate(pool)\` of @tenure/postgres, with the same schema and table, or its migrations/*.sql`;
    case "42501":
      return `the role may not use the table ${table}: grant it select, insert, update and delete, and do not apply row level security to it`;
    case "25006":
      return STANDBY;
    case "22P05":
      return "the database's encoding cannot hold the text: use a UTF-8 database";
    case "55P03":
      return `another transaction kept a row of ${table} locked for longer than lock_timeout: look for a long transaction`;
    case "57014":
      return `the statement was cancelled, usually by statement_timeout: look for a long transaction that holds a lock on ${table}`;
    default:
      return `PostgreSQL reported SQLSTATE ${state}: see the cause`;
  }
}

/**
 * Copies an error of PostgreSQL without session data, which it may quote in `detail`, `where` and some
 * messages. The copy keeps the names, and the message if it quotes no value. `where` is set for errors of
 * functions and triggers, which can be of any class.
 */
function withoutData(error: ServersError): Error {
  const { code, severity, schema, table, column, dataType, constraint, where } = error;
  const isSafe = where === undefined && NAMES_OBJECTS_ONLY.test(code);
  const cause = new Error(
    isSafe ? error.message : `SQLSTATE ${code}; the message is omitted because it may quote data`,
  );
  cause.name = "PostgresError";
  const names = { code, severity, schema, table, column, dataType, constraint };
  return Object.assign(
    cause,
    Object.fromEntries(Object.entries(names).filter(([, name]) => name !== undefined)),
  );
}

// Classes of SQLSTATEs. https://www.postgresql.org/docs/current/errcodes-appendix.html

/**
 * Data exceptions, violated constraints, exceeded limits, errors of a trigger, and a damaged page or index.
 */
const OF_ONE_CALL = /^(22|23|54|P0|XX00[12])/;
/**
 * Connection exceptions, prepared statements whose columns have changed ("cached plan must not change result
 * type"), invalid transaction states (such as a read-only server), refused authorization, exhausted
 * resources, a missing database, shutdowns, internal errors.
 */
const OF_CONNECTION = /^(08|0A|25|28|53|57P|3D|XX)/;
/** Classes whose messages name only objects, settings and limits. */
const NAMES_OBJECTS_ONLY = /^(08|0A|23|25|26|28|3D|3F|40|42|53|54|55|57|58)/;

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

/**
 * Whether PostgreSQL reported the error. Node's errors have a `code` too, even of five characters (`EPIPE`),
 * but no `severity`.
 */
function isServers(error: unknown): error is ServersError {
  return error instanceof Error && "severity" in error && "code" in error && typeof error.code === "string";
}

function sqlState(error: unknown): string | undefined {
  return isServers(error) && error.code.length === 5 ? error.code : undefined;
}
