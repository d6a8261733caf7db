import { migrate, type PostgresStoreOptions, postgresStore, type PostgresStore } from "@tenure/postgres";
import { Pool, type PoolConfig } from "pg";
import { afterAll } from "vitest";

/**
 * A test file's own table, and pools that end with the file. Their `application_name` is the table's name.
 */
export interface Pools {
  readonly open: (config?: PoolConfig) => Pool;
  /** Returns a store on the table, on a new pool with this configuration. */
  readonly store: (config?: PoolConfig, options?: PostgresStoreOptions) => Promise<PostgresStore>;
  readonly table: string;
}

export function poolsOn(connectionString: string): Pools {
  const opened: Pool[] = [];
  const table = `sessions_${process.hrtime.bigint()}_${process.pid}`;
  let migrated: Promise<void> | undefined;
  // Not awaited: after a failed test, a client may never be released.
  afterAll(() => void opened.map((pool) => pool.end()));

  const open = (config: PoolConfig = {}): Pool => {
    const pool = new Pool({ connectionString, application_name: table, ...config });
    opened.push(pool);
    return pool;
  };
  return {
    open,
    table,
    async store(config, options = {}) {
      await (migrated ??= migrate(open({ max: 1 }), { table }));
      return postgresStore(open(config), { table, ...options });
    },
  };
}
