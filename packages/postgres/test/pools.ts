import { migrate, type PostgresStoreOptions, postgresStore, type PostgresStore } from "@tenure/postgres";
import { Pool, type PoolConfig } from "pg";
import { afterAll } from "vitest";

/** A table of a test file's own, by pools of its own, which end with the file. */
export interface Pools {
  readonly open: (config?: PoolConfig) => Pool;
  /** A store on a table that is made anew at the first call, on a pool with this configuration. */
  readonly store: (config?: PoolConfig, options?: PostgresStoreOptions) => Promise<PostgresStore>;
  readonly table: string;
}

export function poolsOn(connectionString: string): Pools {
  const opened: Pool[] = [];
  const table = `sessions_${process.hrtime.bigint()}_${process.pid}`;
  let migrated: Promise<void> | undefined;
  afterAll(() => Promise.all(opened.map((pool) => pool.end())));

  const open = (config: PoolConfig = {}): Pool => {
    const pool = new Pool({ connectionString, ...config });
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
