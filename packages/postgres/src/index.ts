export type { PostgresClient, PostgresPool } from "./driver.ts";
export { migrate } from "./migrate.ts";
export { type Migration, migrations } from "./migrations.ts";
export { type PostgresStore, postgresStore, type PostgresStoreOptions } from "./store.ts";
export type { Sweeping, SweepingOptions } from "./sweep.ts";
export type { TableName } from "./table.ts";
