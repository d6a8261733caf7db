import { existsSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { migrate, sqliteStore } from "@tenure/sqlite";
import type { SqliteAddress } from "../address.ts";
import type { Backend, StoreOptions } from "../backend.ts";
import { UsageError } from "../usage-error.ts";
import { checkSqlite } from "./sqlite-checks.ts";

export async function sqliteBackend(
  { path, label }: SqliteAddress,
  { tombstoneMinimum }: StoreOptions,
): Promise<Backend> {
  const connect = await driver();
  // SQLite would create a missing file. Only migrate may do that.
  let database = existsSync(path) ? connect(path) : undefined;
  const opened = (): DatabaseSync => {
    if (database === undefined) throw new Error(`The file ${path} does not exist: tenure migrate creates it`);
    return database;
  };
  return {
    label,
    get store() {
      return sqliteStore(opened(), tombstoneMinimum === undefined ? {} : { tombstoneMinimum });
    },
    check: async () => checkSqlite(opened(), path),
    async migrate() {
      database ??= connect(path);
      await migrate(database);
      return "The tables are up to date.";
    },
    sweep: async () => ({
      swept: null,
      text: "The store deletes expired rows when it writes: nothing to do.",
    }),
    // Includes tombstones. If the tables are missing, the store's own error says what to do.
    async estimate() {
      try {
        return Number(opened().prepare("select count(*) as n from tenure_sessions").get()?.["n"]) || null;
      } catch {
        return null;
      }
    },
    [Symbol.asyncDispose]: async () => database?.close(),
  };
}

async function driver(): Promise<(path: string) => DatabaseSync> {
  try {
    const sqlite = await import("node:sqlite");
    return (path) => {
      try {
        return new sqlite.DatabaseSync(path);
      } catch (error) {
        throw new Error(`${path} cannot be opened: its folder must exist, and this user must have access`, {
          cause: error,
        });
      }
    };
  } catch {
    throw new UsageError("A SQLite store needs Node 22.13 or later, which has node:sqlite");
  }
}
