import { migrate, postgresStore } from "@tenure/postgres";
import type { PostgresAddress } from "../address.ts";
import type { Backend, StoreOptions } from "../backend.ts";
import { checkPostgres } from "./postgres-checks.ts";
import { connectPostgres, quotedName } from "./postgres-client.ts";

export async function postgresBackend(
  address: PostgresAddress,
  { schema, table = "tenure_sessions", tombstoneMinimum }: StoreOptions,
): Promise<Backend> {
  const name = { schema, table };
  const pool = await connectPostgres(address);
  const store = postgresStore(pool, tombstoneMinimum === undefined ? name : { ...name, tombstoneMinimum });
  return {
    label: `${address.label}, table ${schema === undefined ? "" : `${schema}.`}${table}`,
    store,
    check: () => checkPostgres(pool, name),
    async migrate() {
      await migrate(pool, name);
      return "The table is up to date.";
    },
    async sweep() {
      const swept = await store.sweep();
      return { swept, text: `Deleted ${swept} expired rows.` };
    },
    async estimate() {
      const query = "select reltuples::float8 as rows from pg_class where oid = to_regclass($1)";
      const { rows } = await pool.query<{ rows: number }>(query, [quotedName(name)]);
      const count = rows[0]?.rows ?? 0;
      return count > 0 ? count : null;
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}
