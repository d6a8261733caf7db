import { borrow, command, inReadCommitted } from "./connection.ts";
import { assertPool, type PooledClient, type PostgresPool } from "./driver.ts";
import { migrations } from "./migrations.ts";
import { type TableName, tableOf } from "./table.ts";

/**
 * Creates the tables, or upgrades them to this release's schema version, in one transaction. Any number of
 * instances may call it concurrently, at every start. Reading an up-to-date schema needs no right to create.
 * Never drops or rewrites a table, leaves a newer schema alone, and refuses a table that is not Tenure's.
 *
 * @throws TypeError if it is not a pool, and for a name that PostgreSQL cannot hold
 * @throws Error if the name is taken; also what the driver threw
 */
export async function migrate(pool: PostgresPool, name: TableName = {}): Promise<void> {
  assertPool(pool);
  const { sql, versionTable, schema } = tableOf(name);
  // In REPEATABLE READ the snapshot could be older than the migration that the lock waited for.
  await borrow(pool, never, (client) => inReadCommitted(client, () => bringUpToDate(client)));

  async function bringUpToDate(client: PooledClient): Promise<void> {
    // One lock for all tables of the database, because two names can mean the same table, and because even
    // `create schema if not exists` fails while another transaction creates the schema.
    await command(client, "select pg_advisory_xact_lock(hashtextextended('tenure migrate', 0))::text");
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
    if (existing === null && versioned !== null) {
      throw new Error(
        `${versionTable} exists, but ${sql} does not: restore both tables, or drop ${versionTable} if it is left over`,
      );
    }
    const version = existing === null ? 0 : await versionIn(client, versionTable);
    const steps = migrations(name).filter((step) => step.version > version);
    if (steps.length === 0) return;
    if (existingSchema === null) await command(client, `create schema if not exists ${schema}`);
    for (const step of steps) await command(client, step.sql);
  }
}

/** A failed connection is never kept: its state is unknown, and closing it ends the open transaction. */
function never(): boolean {
  return false;
}

async function versionIn(client: PooledClient, versionTable: string): Promise<number> {
  const [row] = await command(client, `select max(version)::text from ${versionTable}`);
  const version = Number(row?.[0] ?? Number.NaN);
  if (version >= 1) return version;
  throw new Error(
    `${versionTable} has no row with the version of Tenure's schema, as after a dump of the schema only: insert the version that the database of the dump has`,
  );
}
