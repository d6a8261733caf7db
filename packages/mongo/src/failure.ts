import { StoreError, type StoreOperation } from "@tenure/core";
import { Fault } from "@tenure/core/store";

/**
 * Converts an error of the driver or the server to a `StoreError` without session data. Errors labelled
 * `TransientTransactionError` are passed on unchanged: `withTransaction` repeats a transaction only for a
 * `MongoError` with that label.
 */
export function toStoreError(operation: StoreOperation, error: unknown): unknown {
  if (error instanceof StoreError) return error;
  if (error instanceof Fault) return new StoreError(operation, error.message);
  const { name, codeName, code, labels } = read(error);
  if (labels.includes("TransientTransactionError")) return error;
  const reason = isOfSystem(error) ? UNREACHABLE : explain(name, code, codeName);
  return new StoreError(operation, reason, { cause: withoutData(error) });
}

/**
 * Copies an error without the documents that it may hold: the server's messages quote values (E11000,
 * validation), and bulk write errors hold the operations. Only messages of the driver itself and of the
 * operating system are kept.
 */
function withoutData(error: unknown): Error {
  const { name, code, codeName } = read(error);
  const { message = "", stack = "" } = error instanceof Error ? error : {};
  const safe = new Error(OF_DRIVER.test(name) || isOfSystem(error) ? message : (codeName ?? ""));
  safe.name = name;
  const frames = stack.split("\n").filter((line) => /^ {4}at /.test(line));
  safe.stack = [`${name}: ${safe.message}`, ...frames].join("\n");
  return Object.assign(safe, code === undefined ? {} : { code }, codeName === undefined ? {} : { codeName });
}

/** Errors of the driver itself, which concern connections, options and transactions, not documents. */
const OF_DRIVER =
  /^(PoolCleared|Mongo(?!Server|BulkWrite|ClientBulkWrite|WriteConcern|UnexpectedServerResponse)|MongoServer(Selection|Closed))/;

/** Such as that of a DNS query for mongodb+srv://, or of a missing file of certificates. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}

const UNREACHABLE = "no primary could be reached: see the cause";

function explain(name: string, code: number | undefined, codeName: string | undefined): string {
  switch (code ?? name) {
    case 13:
      return "the user lacks a privilege on the collection: the README lists the actions to grant";
    case 18:
      return "MongoDB refused the client's user or password";
    case 20:
      return "MongoDB refused (IllegalOperation): a transaction needs a replica set or a sharded cluster";
    case 121:
      return "the collection's validator refused the document: give sessions a collection without one";
    case 8000:
      return "Atlas refused: check the client's user, password and rights, and the limits of the cluster";
    case "MongoServerSelectionError":
      return UNREACHABLE;
    default:
      return `MongoDB failed (${codeName ?? [name, code].filter((part) => part !== undefined).join(" ")}): see the cause`;
  }
}

/**
 * Whether the reply may have been lost and resending the command can help: the connection broke, or the
 * primary stepped down. False if the client's time limit has passed, because it would pass a second time.
 */
export function isReplyLost(error: unknown): boolean {
  const { name, code, labels } = read(error);
  return CUT_OFF.has(name) || MOVED_ON.has(code) || labels.includes("RetryableWriteError");
}

/** No reply arrived within the client's limits. */
export class NoReply extends Fault {}

/**
 * Whether other calls would fail too, after as long a wait. False if the server may have refused only this
 * one.
 */
export function failsAll(error: unknown): error is Error {
  if (error instanceof Fault) return error instanceof NoReply;
  const { code } = read(error);
  return error instanceof Error && (isReplyLost(error) || code === undefined || OF_THE_COMMAND.has(code));
}

export function isDuplicate(error: unknown): boolean {
  return read(error).code === 11000;
}

/** Whether another command is creating the same index or collection, or has just created it. */
export function isMadeByOthers(error: unknown): boolean {
  return RACES.has(read(error).code);
}

export function isNamespaceMissing(error: unknown): boolean {
  return read(error).code === 26;
}

export function isUnauthorized(error: unknown): boolean {
  return read(error).code === 13;
}

/**
 * NamespaceExists, IndexAlreadyExists, IndexOptionsConflict, IndexKeySpecsConflict, WriteConflict,
 * ConflictingOperationInProgress, IndexBuildAborted, BackgroundOperationInProgressForNamespace; 11000:
 * FerretDB 2.7.
 */
const RACES = new Set<number | undefined>([48, 68, 85, 86, 112, 117, 276, 11000, 12587]);

/** `PoolClearedOnNetworkError`: the driver's monitor got no reply and ended the running commands. */
const CUT_OFF = new Set(["MongoNetworkError", "MongoPoolClearedError", "PoolClearedOnNetworkError"]);

/** Not allowed (13, 18), too late (50), not confirmed by a majority in time or at all (64, 79, 100). */
const OF_THE_COMMAND = new Set([13, 18, 50, 64, 79, 100]);

/**
 * Codes of a server that is no longer primary or is shutting down (MongoDB's retryable writes specification).
 */
const MOVED_ON = new Set<number | undefined>([
  6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436,
]);

interface Facts {
  readonly name: string;
  readonly code: number | undefined;
  readonly codeName: string | undefined;
  readonly labels: readonly unknown[];
}

/**
 * Recognizes errors by name and code, not by class: the driver is a peer dependency and may be installed
 * twice.
 */
function read(error: unknown): Facts {
  if (!(error instanceof Error)) return { name: "unknown", code: undefined, codeName: undefined, labels: [] };
  const { code, codeName, errorLabels, errorResponse, result } = error as Error & {
    readonly code?: unknown;
    readonly codeName?: unknown;
    readonly errorLabels?: unknown;
    readonly errorResponse?: unknown;
    readonly result?: { readonly writeConcernError?: { readonly code?: unknown } };
  };
  const labels: readonly unknown[] = Array.isArray(errorLabels) ? errorLabels : [];
  // A bulk write wraps a network error in one that lacks its name and code.
  if (errorResponse instanceof Error) return { ...read(errorResponse), labels };
  const number = result?.writeConcernError?.code ?? code;
  return {
    name: error.name,
    code: typeof number === "number" ? number : undefined,
    codeName: typeof codeName === "string" ? codeName : undefined,
    labels,
  };
}
