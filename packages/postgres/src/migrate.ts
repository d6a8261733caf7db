import type { PooledClient, PostgresPool, Rows } from "./driver.ts";
import { toDriverQuery, toRows, unprepared } from "./driver.ts";
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
  const client = await pool.connect();
  client.on("error", ignore);
  let destroy = true;
  try {
    // Not only for PgBouncer: a repeatable snapshot could be older than what the lock waited for.
    await run(client, "begin isolation level read committed");
    await run(client, "select pg_advisory_xact_lock(hashtextextended($1, 0))::text", [`tenure ${table.sql}`]);
    await bringUpToDate(client, name);
    await run(client, "commit");
    destroy = false;
  } finally {
    client.removeListener("error", ignore);
    // A connection in an unknown state takes the open transaction with it.
    client.release(destroy);
  }
}

async function bringUpToDate(client: PooledClient, name: TableName): Promise<void> {
  const table = tableOf(name);
  const [found] = await run(
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
  if (schema === null) await run(client, `create schema if not exists ${table.schema}`);
  for (const migration of migrations(name)) {
    if (migration.version > version) await run(client, migration.sql);
  }
}

async function run(client: PooledClient, text: string, values: unknown[] = []): Promise<Rows> {
  return toRows((await client.query(toDriverQuery({ statement: unprepared(text), values }, false))).rows);
}

function ignore(): void {}
