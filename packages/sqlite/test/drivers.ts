import { DatabaseSync } from "node:sqlite";
import type { SqliteDatabase } from "@tenure/sqlite";
import BetterSqlite3 from "better-sqlite3";

export interface Connection extends SqliteDatabase {
  close(): unknown;
}

export interface ConnectionOptions {
  readonly readonly?: boolean;
  /** Milliseconds that SQLite waits for a lock, without returning to the event loop. */
  readonly timeout?: number;
}

export type Connect = (file: string, options?: ConnectionOptions) => Connection;

/** Opens a file with each driver, by its name. */
export const drivers: readonly (readonly [name: string, connect: Connect])[] = [
  [
    "node:sqlite",
    (file, { readonly = false, timeout = 0 } = {}) => new DatabaseSync(file, { readOnly: readonly, timeout }),
  ],
  // Its default timeout is 5 s. The store must turn it off.
  ["better-sqlite3", (file, options) => new BetterSqlite3(file, options)],
];
