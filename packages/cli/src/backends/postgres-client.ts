import pg from "pg";
import type { PostgresAddress } from "../address.ts";

/** Connects with short timeouts, because a person is waiting. Rejects with the driver's error. */
export async function connectPostgres({ url }: PostgresAddress): Promise<pg.Pool> {
  const pool = new pg.Pool({
    connectionString: url,
    connectionTimeoutMillis: 5000,
    query_timeout: 120_000,
    max: 4,
    application_name: "tenure",
  });
  pool.on("error", () => undefined);
  try {
    await pool.query("select 1");
    return pool;
  } catch (error) {
    await pool.end();
    throw error;
  }
}

export interface TableName {
  readonly schema: string | undefined;
  readonly table: string;
}

/** Quotes a name for SQL. */
export function quotedName({ schema, table }: TableName): string {
  const names = schema === undefined ? [table] : [schema, table];
  return names.map(pg.escapeIdentifier).join(".");
}
