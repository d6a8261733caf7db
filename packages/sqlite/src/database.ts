import { statSync } from "node:fs";
import { Fault } from "@tenure/core/store";

/**
 * The members of a SQLite connection that the store uses. `DatabaseSync` of `node:sqlite` and `Database` of
 * better-sqlite3 both have them, so neither is imported.
 */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
}

/**
 * A prepared statement. It binds strings, numbers and nulls to `?` in order (better-sqlite3 has no `?1`). A
 * row is an object with a property for each column. Values are `any`, because the drivers type them
 * differently.
 */
export interface SqliteStatement {
  /** The first row, or `undefined`. */
  get(...values: any[]): unknown;
  all(...values: any[]): unknown[];
  run(...values: any[]): unknown;
}

/** @throws TypeError for a value that is not a synchronous connection to SQLite */
export function assertDatabase(database: SqliteDatabase): void {
  // The package sqlite3 has both methods too, but takes callbacks. Only it has `each`.
  const has = (name: string): boolean =>
    typeof (database as unknown as Record<string, unknown> | null)?.[name] === "function";
  if (!has("exec") || !has("prepare") || has("each")) {
    throw new TypeError(
      'database must be a DatabaseSync of node:sqlite, or a Database of better-sqlite3: new DatabaseSync("sessions.db")',
    );
  }
}

/** Rolls back a transaction that failed. */
export function rollBack(database: SqliteDatabase): void {
  try {
    database.exec("rollback");
  } catch {
    // SQLite rolls back by itself after some errors, such as a full disk.
  }
}

/** A file, and its inode when it was found. */
export interface FoundFile {
  readonly path: string;
  /** `undefined`: there was no such file. */
  readonly inode: number | undefined;
}

/** Returns the database's file. `undefined`: the database is in memory, or the connection is not open yet. */
export function fileIfOpen(database: SqliteDatabase): FoundFile | undefined {
  try {
    return fileOf(database);
  } catch {
    return undefined;
  }
}

/**
 * Returns a check that throws once one of the connection's files has been deleted or replaced. In WAL mode,
 * SQLite would continue with files that no other process can see: the database, the log (`-wal`) with changes
 * that are not yet in it, or the locks and the index of the log (`-shm`).
 *
 * Call it after the connection has read the database, which creates the last two. SQLite keeps them until the
 * last connection closes.
 *
 * @param earlier the database's file as it was found earlier, if it was. If it has been replaced since, the
 *   connection shares the log of the new file
 */
export function filesOf(database: SqliteDatabase, earlier: FoundFile | undefined): { assertInPlace(): void } {
  const main = earlier ?? fileOf(database);
  if (main === undefined) return { assertInPlace() {} };
  // A database that is not in WAL mode has no other files.
  const others = [found(`${main.path}-wal`), found(`${main.path}-shm`)].filter(
    ({ inode }) => inode !== undefined,
  );
  const files = [main, ...others];
  return {
    assertInPlace() {
      // Without an inode, the database had been deleted when it was found.
      if (files.every(({ path, inode }) => inode !== undefined && found(path).inode === inode)) return;
      throw new Fault(
        "the database file, or its -wal or -shm file, was deleted or replaced while it was open: restart the process",
      );
    },
  };
}

/** Reads nothing from the file, so that it works while the database is locked. */
function fileOf(database: SqliteDatabase): FoundFile | undefined {
  // The first row is that of the main database. A database in memory has no file.
  const { file } = database.prepare("pragma database_list").get() as { readonly file: string };
  return file === "" ? undefined : found(file);
}

function found(path: string): FoundFile {
  return { path, inode: statSync(path, { throwIfNoEntry: false })?.ino };
}
