import { borrow, command, inReadCommitted } from "./connection.ts";
import type { PooledClient, PostgresPool } from "./driver.ts";
import { migrations, SCHEMA_VERSION, versionOf } from "./migrations.ts";
import { type TableName, tableOf } from "./table.ts";

/**
 * Makes the table, or brings it to this release's version, in one transaction. Any number of instances may call it at once, at
 * every start: what is up to date is only looked at, which needs no right to create anything. It never drops or rewrites what
 * it finds, leaves a newer table alone, and refuses one that is not Tenure's.
 *
 * @throws TypeError for a name that PostgreSQL can't hold; what the driver threw; an `Error` where the name is taken
 */
export async function migrate(pool: PostgresPool, name: TableName = {}): Promise<void> {
  const table = tableOf(name);
  // A connection that failed is in an unknown state, and takes the open transaction with it.
  await borrow(
    pool,
    () => false,
    (client) =>
      // A repeatable snapshot could be older than what the lock waited for.
      inReadCommitted(client, async () => {
        const lock = "select pg_advisory_xact_lock(hashtextextended($1, 0))::text";
        await command(client, lock, [`tenure ${table.sql}`]);
        await bringUpToDate(client, name);
      }),
  );
}

async function bringUpToDate(client: PooledClient, name: TableName): Promise<void> {
  const table = tableOf(name);
  const [found] = await command(
    client,
    "select to_regclass($1)::text, obj_description(to_regclass($1), 'pg_class'), to_regnamespace($2)::text",
    [table.sql, table.schema ?? "pg_catalog"],
  );
  const [existing, comment, schema] = found ?? [];
  const version = existing === null ? 0 : versionOf(comment ?? null);
  if (version === null) {
    throw new Error(
      `${table.sql} exists and its comment does not say that it is Tenure's: choose another name with the option \`table\``,
    );
  }
  if (version >= SCHEMA_VERSION) return;
  if (schema === null) await command(client, `create schema if not exists ${table.schema}`);
  for (const migration of migrations(name)) {
    if (migration.version > version) await command(client, migration.sql);
  }
}
