export type { SqliteDatabase, SqliteStatement } from "./database.ts";
export { migrate } from "./schema.ts";
export { sqliteStore, type SqliteStoreOptions } from "./store.ts";
