import { borrow, command, inReadCommitted } from "./connection.ts";
import type { PooledClient, PostgresPool } from "./driver.ts";
import { migrations, SCHEMA_VERSION } from "./migrations.ts";
import { type TableName, tableOf } from "./table.ts";

/**
 * Creates the tables, or brings them to this release's version, in one transaction. Any number of instances may call it at once, at
 * every start: what is up to date is only read, which needs no right to create anything. It never drops or rewrites what
 * it finds, leaves a newer table alone, and refuses one that is not Tenure's.
 *
 * @throws TypeError for a name that PostgreSQL cannot hold; what the driver threw; an `Error` if the name is taken
 */
export async function migrate(pool: PostgresPool, name: TableName = {}): Promise<void> {
  const { sql, versionTable, schema } = tableOf(name);
  // A repeatable snapshot could be older than what the lock waited for.
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
        `${sql} exists, and ${versionTable}, which would say that it is Tenure's, does not: choose another name with the option \`table\`, or restore both tables`,
      );
    }
    const version = existing === null ? 0 : await versionIn(client, versionTable);
    if (version >= SCHEMA_VERSION) return;
    if (existingSchema === null) {
      // `if not exists` is an error if another transaction makes the schema at the same moment. The table's lock always comes first, so
      // that no two calls deadlock.
      await lock(client, `schema ${schema}`);
      await command(client, `create schema if not exists ${schema}`);
    }
    for (const migration of migrations(name)) {
      if (migration.version > version) await command(client, migration.sql);
    }
  }
}

/** Until the end of the transaction. */
async function lock(client: PooledClient, what: string): Promise<void> {
  await command(client, "select pg_advisory_xact_lock(hashtextextended($1, 0))::text", [`tenure ${what}`]);
}

/** A connection that failed is in an unknown state, and takes the open transaction with it. */
function never(): boolean {
  return false;
}

async function versionIn(client: PooledClient, versionTable: string): Promise<number> {
  const [row] = await command(client, `select max(version)::text from ${versionTable}`);
  const version = Number(row?.[0] ?? Number.NaN);
  if (!(version >= 1)) throw new Error(`${versionTable} must have a row with the version of Tenure's schema`);
  return version;
}
