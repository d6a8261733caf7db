import { borrow, command, inReadCommitted } from "./connection.ts";
import type { PooledClient, PostgresPool } from "./driver.ts";
import { migrations, SCHEMA_VERSION } from "./migrations.ts";
import { type TableName, tableOf } from "./table.ts";

/**
 * Creates the tables, or upgrades them to this release's schema version, in one transaction. Any number of
 * instances may call it concurrently, at every start. Reading an up-to-date schema needs no right to create.
 * Never drops or rewrites a table, leaves a newer schema alone, and refuses a table that is not Tenure's.
 *
 * @throws TypeError for a name that PostgreSQL cannot hold
 * @throws Error if the name is taken; also what the driver threw
 */
export async function migrate(pool: PostgresPool, name: TableName = {}): Promise<void> {
  const { sql, versionTable, schema } = tableOf(name);
  // In REPEATABLE READ the snapshot could be older than the migration that the lock waited for.
  await borrow(pool, never, (client) => inReadCommitted(client, () => bringUpToDate(client)));

  async function bringUpToDate(client: PooledClient): Promise<void> {
    await lock(client, sql);
    const [found = []] = await command(
      client,
      "select to_regclass($1)::text, to_regclass($2)::text, to_regnamespace($3)::text",
      [sql, versionTable, schema ?? "pg_catalog"],
    );
    const [existing, versioned, existingSchema] = found;
    if (existing !== null && versioned === null) {
      throw new Error(
        `${sql} exists, but ${versionTable}, which marks it as Tenure's, does not: choose another name with the option \`table\`, or restore both tables`,
      );
    }
    const version = existing === null ? 0 : await versionIn(client, versionTable);
    if (version >= SCHEMA_VERSION) return;
    if (existingSchema === null) {
      // Even `if not exists` fails if another transaction is creating the schema, hence this lock. The lock
      // on the table always comes first, so that calls do not deadlock.
      await lock(client, `schema ${schema}`);
      await command(client, `create schema if not exists ${schema}`);
    }
    for (const migration of migrations(name)) {
      if (migration.version > version) await command(client, migration.sql);
    }
  }
}

/** Takes an advisory lock until the end of the transaction. */
async function lock(client: PooledClient, what: string): Promise<void> {
  await command(client, "select pg_advisory_xact_lock(hashtextextended($1, 0))::text", [`tenure ${what}`]);
}

/** A failed connection is never kept: its state is unknown, and closing it ends the open transaction. */
function never(): boolean {
  return false;
}

async function versionIn(client: PooledClient, versionTable: string): Promise<number> {
  const [row] = await command(client, `select max(version)::text from ${versionTable}`);
  const version = Number(row?.[0] ?? Number.NaN);
  if (!(version >= 1)) throw new Error(`${versionTable} must have a row with the version of Tenure's schema`);
  return version;
}
