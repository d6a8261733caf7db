import { setTimeout as sleep } from "node:timers/promises";
import { migrate, type PostgresStore, postgresStore, type TableName } from "@tenure/postgres";
import { Client, Pool, type PoolConfig } from "pg";
import { afterAll, onTestFailed } from "vitest";
import { tableOf } from "../src/table.ts";
import type { Watch } from "./intercepted-pool.ts";

/**
 * A test file's own table, and pools that end with the file. Their `application_name` is the table's name.
 */
export interface Pools {
  readonly table: string;
  readonly open: (config?: PoolConfig) => Pool;
  /** Returns a store on the table, on a new pool with this configuration. */
  readonly store: (config?: PoolConfig) => Promise<PostgresStore>;
  /** Begins a transaction on a new connection. */
  readonly begin: (isolation?: string) => Promise<Client>;
  /** Begins a transaction that locks these sessions, as an administrator may in psql. */
  readonly hold: (...ids: string[]) => Promise<Client>;
  /**
   * Waits until this many statements of the pools wait for a lock, or the signal is aborted. `forGood`: until
   * as many of this pool's statements wait without `lock_timeout`.
   */
  readonly lockWaits: (options?: {
    statements?: number;
    forGood?: Watch;
    signal?: AbortSignal;
  }) => Promise<void>;
  /** Creates a role that owns nothing and has only these privileges on a table. */
  readonly asRole: (privileges: string, name: TableName) => Promise<PoolConfig>;
}

export function poolsOn(connectionString: string): Pools {
  const opened: Pool[] = [];
  const table = `sessions_${process.hrtime.bigint()}_${process.pid}`;
  let shared: Pool | undefined;
  let migrated: Promise<void> | undefined;
  let roles = 0;
  // Not awaited: after a failed test, a client may never be released.
  afterAll(() => void opened.map((pool) => pool.end()));

  const open = (config: PoolConfig = {}): Pool => {
    const pool = new Pool({ connectionString, application_name: table, ...config });
    opened.push(pool);
    return pool;
  };
  const admin = (): Pool => (shared ??= open({ max: 1 }));
  const begin = async (isolation = "read committed"): Promise<Client> => {
    const client = new Client({ connectionString, application_name: table });
    // The locks of a failed test must not make other tests fail.
    onTestFailed(() => client.end());
    await client.connect();
    await client.query(`begin isolation level ${isolation}`);
    return client;
  };

  return {
    table,
    open,
    async store(config) {
      await (migrated ??= migrate(admin(), { table }));
      return postgresStore(open(config), { table });
    },
    begin,
    async hold(...ids) {
      const client = await begin();
      await client.query(`select from ${table} where id = any($1) for update`, [ids]);
      return client;
    },
    async lockWaits({ statements = 1, forGood, signal } = {}) {
      const waiting =
        "select from pg_locks join pg_stat_activity using (pid) where not granted and application_name = $1";
      for (;;) {
        if (signal?.aborted === true) return;
        if (forGood === undefined || forGood.patient >= statements) {
          const { rows } = await admin().query(waiting, [table]);
          if (rows.length >= statements) return;
        }
        await sleep(5);
      }
    },
    async asRole(privileges, name) {
      const role = `${table}_role_${(roles += 1)}`;
      const { sql, schema } = tableOf(name);
      await admin().query(`create role ${role}; grant ${privileges} on ${sql} to ${role}`);
      if (schema !== null) await admin().query(`grant usage on schema ${schema} to ${role}`);
      return { options: `-c role=${role}` };
    },
  };
}

/** Ends a transaction, and its connection. */
export async function end(client: Client, how: "commit" | "rollback"): Promise<void> {
  await client.query(how);
  await client.end();
}
