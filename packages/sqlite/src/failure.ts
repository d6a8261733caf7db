import { StoreError, type StoreOperation } from "@tenure/core";
import { Fault } from "@tenure/core/store";

/** The primary result codes of SQLite that the store treats in a special way. https://www.sqlite.org/rescode.html */
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
  BUSY: "another process kept the database locked for longer than lockTimeout: look for a long transaction, or a shell that is open in one",
  READONLY:
    "the database cannot be written: it was opened read-only, its file or folder is not writable, or the file was moved",
  IOERR: "the disk failed: the cause says more",
  CORRUPT: "the database file is damaged: restore it from a backup, or start with a new one",
  FULL: "the disk, or the database's max_page_count, is full: nothing of this call was written",
  CANTOPEN: "the database file, or its -wal or -shm file, cannot be opened: the folder must be writable",
  CONSTRAINT: "a constraint or a trigger on Tenure's tables refused the write: remove what is not Tenure's",
  NOTADB: "the file is not a SQLite database",
};

/** Whether another connection holds a lock, so that the same may succeed later. Nothing happened. */
export function isLocked(error: unknown): boolean {
  const code = codeOf(error);
  return code === "BUSY" || code === "LOCKED";
}

/**
 * SQLite's own errors name tables and columns and quote no values, so the driver's error can be the cause. What a trigger raises may quote
 * anything.
 */
export function toStoreError(operation: StoreOperation, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof Fault) return new StoreError(operation, error.message);
  const isSafe = codeOf(error) !== "CONSTRAINT";
  return new StoreError(operation, reasonOf(error), isSafe ? { cause: error } : undefined);
}

/** One line: what SQLite refused, and the remedy where there is one. */
export function reasonOf(error: unknown): string {
  return REASONS[codeOf(error) ?? ""] ?? "SQLite refused, or the connection is closed: the cause says more";
}

/** `node:sqlite` gives the extended result code as a number in `errcode`, better-sqlite3 its name in `code`, as in SQLITE_BUSY_RECOVERY. */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("errcode" in error && typeof error.errcode === "number") return CODES[error.errcode & 0xff];
  if ("code" in error && typeof error.code === "string") return /^SQLITE_([A-Z]+)/.exec(error.code)?.[1];
  return undefined;
}
