import { StoreError, type StoreOperation } from "@tenure/core";
import { Fault } from "@tenure/core/store";

/** SQLite's primary result codes that need special treatment. https://www.sqlite.org/rescode.html */
const CODES: Readonly<Record<number, string>> = {
  5: "BUSY",
  6: "LOCKED",
  8: "READONLY",
  10: "IOERR",
  11: "CORRUPT",
  13: "FULL",
  14: "CANTOPEN",
  19: "CONSTRAINT",
  26: "NOTADB",
};

const REASONS: Readonly<Record<string, string>> = {
  READONLY:
    "the database cannot be written: it was opened read-only, its file or folder is not writable, or the file was moved",
  IOERR: "the disk failed: see the cause",
  CORRUPT: "the database file is damaged: restore it from a backup, or start with a new one",
  FULL: "the disk or the database (max_page_count) is full: this call wrote nothing",
  CANTOPEN: "the database file, or its -wal or -shm file, cannot be opened: make the folder writable",
  CONSTRAINT:
    "a constraint or a trigger on Tenure's tables refused the write: remove those that are not Tenure's",
  NOTADB: "the file is not a SQLite database",
};

/**
 * Whether another connection holds a lock. Nothing was changed, and a later attempt may succeed. LOCKED is
 * the code for a connection of the same shared cache.
 */
export function isLocked(error: unknown): boolean {
  const code = codeOf(error);
  return code === "BUSY" || code === "LOCKED";
}

/**
 * Wraps a driver's error. SQLite's errors name tables and columns but quote no values, so the error can be
 * the cause, unless a trigger may have raised it, which can quote anything.
 */
export function toStoreError(operation: StoreOperation, error: unknown): StoreError {
  if (error instanceof Fault) return new StoreError(operation, error.message);
  const isSafe = codeOf(error) !== "CONSTRAINT";
  return new StoreError(operation, reasonOf(error, "lockTimeout"), isSafe ? { cause: error } : undefined);
}

/**
 * Returns one line: what SQLite refused, and the remedy if there is one.
 *
 * @param patience how long the caller retried to get a lock
 */
export function reasonOf(error: unknown, patience: string): string {
  if (isLocked(error)) {
    return `another connection kept the database locked for longer than ${patience}: look for a long transaction, or a shell with an open one`;
  }
  return REASONS[codeOf(error) ?? ""] ?? "SQLite refused, or the connection is closed: see the cause";
}

/**
 * `node:sqlite` has the extended code in `errcode`, better-sqlite3 its name in `code`: SQLITE_BUSY_RECOVERY.
 */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("errcode" in error && typeof error.errcode === "number") return CODES[error.errcode & 0xff];
  if ("code" in error && typeof error.code === "string") return /^SQLITE_([A-Z]+)/.exec(error.code)?.[1];
  return undefined;
}
