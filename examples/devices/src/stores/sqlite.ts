import { mkdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { cacheFolder } from "../cache-folder.ts";
import type { OpenedStore } from "./open-store.ts";

/** Opens a file in the demo's folder, with the sessions of the previous run. */
export async function openSqlite(): Promise<OpenedStore> {
  const folder = cacheFolder();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(fileURLToPath(new URL("sessions.db", folder)));
  try {
    await migrate(database);
  } catch (error) {
    database.close();
    throw error;
  }
  return { store: sqliteStore(database), place: "a SQLite file", close: async () => database.close() };
}
