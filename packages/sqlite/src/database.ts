/**
 * What the store needs of a connection to SQLite. `DatabaseSync` of `node:sqlite` and the `Database` of better-sqlite3 both have
 * it, so neither is imported.
 */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
}

/**
 * A prepared statement. Strings, numbers and nulls are bound to `?` in order (better-sqlite3 has no `?1`); a row is an object with a
 * property for each column. `any`, because the two drivers have different types for what they bind.
 */
export interface SqliteStatement {
  /** The first row, or `undefined`. */
  get(...values: any[]): unknown;
  all(...values: any[]): unknown[];
  run(...values: any[]): unknown;
}

/** @throws TypeError for a value that is not a synchronous connection to SQLite */
export function assertDatabase(database: SqliteDatabase): void {
  // The package sqlite3 has both methods too, but takes callbacks. It also has `each`, which the other two lack.
  const has = (name: string): boolean =>
    typeof (database as unknown as Record<string, unknown> | null)?.[name] === "function";
  if (!has("exec") || !has("prepare") || has("each")) {
    throw new TypeError(
      'database must be a DatabaseSync of node:sqlite, or a Database of better-sqlite3: new DatabaseSync("sessions.db")',
    );
  }
}

/** Ends a transaction that failed. SQLite has already ended it after some errors, such as a full disk. */
export function rollBack(database: SqliteDatabase): void {
  try {
    database.exec("rollback");
  } catch {
    // There was no transaction anymore.
  }
}
