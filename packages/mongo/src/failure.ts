import { StoreError, type StoreOperation } from "@tenure/core";
import { Fault } from "@tenure/core/store";

/**
 * The error that a store rejects with when the driver or the server failed.
 *
 * One kind stays the driver's own: `withTransaction` runs a transaction again only for an error that is
 * `instanceof MongoError` and has the label `TransientTransactionError`. A `StoreError` would end it.
 */
export function toStoreError(operation: StoreOperation, error: unknown): unknown {
  if (error instanceof StoreError || hasLabel(error, "TransientTransactionError")) return error;
  if (error instanceof Fault) return new StoreError(operation, error.message);
  const { name, codeName, code } = read(error);
  return new StoreError(operation, explain(name, code, codeName), { cause: withoutData(error) });
}

/**
 * A copy of an error without what may hold a document: the server's messages quote values (E11000, validation), and the
 * driver's errors hold the operations of a bulk write. Only the messages of the driver itself are kept.
 */
function withoutData(error: unknown): Error {
  const { name, code, codeName } = read(error);
  const { message = "", stack = "" } = error instanceof Error ? error : {};
  const safe = new Error(OF_DRIVER.test(name) ? message : (codeName ?? ""));
  safe.name = name;
  const frames = stack.split("\n").filter((line) => /^ {4}at /.test(line));
  safe.stack = [`${name}: ${safe.message}`, ...frames].join("\n");
  return Object.assign(safe, code === undefined ? {} : { code }, codeName === undefined ? {} : { codeName });
}

/** Errors of the driver itself, which know of connections, options and transactions, and not of documents. */
const OF_DRIVER =
  /^(PoolCleared|Mongo(?!Server|BulkWrite|ClientBulkWrite|WriteConcern|UnexpectedServerResponse)|MongoServer(Selection|Closed))/;

function explain(name: string, code: number | undefined, codeName: string | undefined): string {
  switch (code ?? name) {
    case 13:
      return "the user may not do this on the collection: the README lists the actions to grant";
    case 18:
      return "MongoDB refused the client's user or password";
    case "MongoServerSelectionError":
      return "no primary could be reached: the cause says more";
    default:
      return `MongoDB failed (${codeName ?? [name, code].filter((part) => part !== undefined).join(" ")}): the cause says more`;
  }
}

/**
 * Whether the command may have been executed though no reply came, and sending it again at once can help: the connection
 * broke, or the primary stepped down. Not if the client's own time limit has passed, which would then pass twice.
 */
export function isAnswerLost(error: unknown): boolean {
  const { name, code } = read(error);
  return CUT_OFF.has(name) || MOVED_ON.has(code) || hasLabel(error, "RetryableWriteError");
}

/** The reply did not arrive within the client's limits. */
export class NoReply extends Fault {}

/** Whether other calls would fail as well, each after as long a wait. Not if the server may have refused this one write. */
export function failsAll(error: unknown): error is Error {
  if (error instanceof Fault) return error instanceof NoReply;
  const { code } = read(error);
  return error instanceof Error && (isAnswerLost(error) || code === undefined || OF_THE_COMMAND.has(code));
}

/** The server refused an insert because of a unique index, that of `_id` or another. */
export function isDuplicate(error: unknown): boolean {
  return read(error).code === 11000;
}

/** Another command makes the same index or collection at this moment, or has just made it. */
export function isMadeByOthers(error: unknown): boolean {
  return RACES.has(read(error).code);
}

/** The collection does not exist yet. */
export function isNamespaceMissing(error: unknown): boolean {
  return read(error).code === 26;
}

export function isUnauthorized(error: unknown): boolean {
  return read(error).code === 13;
}

/**
 * NamespaceExists, IndexAlreadyExists, IndexOptionsConflict, IndexKeySpecsConflict, WriteConflict,
 * ConflictingOperationInProgress, IndexBuildAborted, BackgroundOperationInProgressForNamespace; 11000: FerretDB 2.7.
 */
const RACES = new Set<number | undefined>([48, 68, 85, 86, 112, 117, 276, 11000, 12587]);

/** `PoolClearedOnNetworkError`: the driver's monitor got no reply and ended the commands under way. */
const CUT_OFF = new Set(["MongoNetworkError", "MongoPoolClearedError", "PoolClearedOnNetworkError"]);

/** Not allowed (13, 18), too late (50), not confirmed by a majority in time or at all (64, 79, 100). */
const OF_THE_COMMAND = new Set([13, 18, 50, 64, 79, 100]);

/** Codes of a server that is no longer primary or about to end (MongoDB's specification of retryable writes). */
const MOVED_ON = new Set<number | undefined>([
  6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436,
]);

interface Facts {
  readonly name: string;
  readonly code: number | undefined;
  readonly codeName: string | undefined;
}

/** The driver is a peer dependency that may be installed twice, so its errors are recognized by name and code, not by class. */
function read(error: unknown): Facts {
  if (!(error instanceof Error)) return { name: "unknown", code: undefined, codeName: undefined };
  const { code, codeName, errorResponse, result } = error as Error & {
    readonly code?: unknown;
    readonly codeName?: unknown;
    readonly errorResponse?: unknown;
    readonly result?: { readonly writeConcernError?: { readonly code?: unknown } };
  };
  // A bulk write wraps a network error in one without name or code of it.
  if (errorResponse instanceof Error) return read(errorResponse);
  const number = result?.writeConcernError?.code ?? code;
  return {
    name: error.name,
    code: typeof number === "number" ? number : undefined,
    codeName: typeof codeName === "string" ? codeName : undefined,
  };
}

function hasLabel(error: unknown, label: string): boolean {
  if (!(error instanceof Error) || !("errorLabels" in error)) return false;
  return Array.isArray(error.errorLabels) && error.errorLabels.includes(label);
}
