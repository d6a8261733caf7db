import { migrations } from "@tenure/postgres";
import type { Pool } from "pg";
import { type Finding, ok, problem, warning } from "../finding.ts";
import { quotedName, type TableName } from "./postgres-client.ts";

export async function checkPostgres(pool: Pool, name: TableName): Promise<Finding[]> {
  const server = await serverFacts(pool);
  const findings = [checkVersion(server), checkRole(server), checkDisk(server), checkEncoding(server)];
  const table = await tableFacts(pool, quotedName(name));
  if (table === undefined) {
    return [...findings, problem("schema", "the table does not exist", "run tenure migrate")];
  }
  return [
    ...findings,
    await checkSchema(pool, name),
    checkIndex(table),
    checkPrivileges(table, name),
    checkOthers(table, name),
    checkRowSecurity(table, name),
    checkTriggers(table),
    checkLogged(table, name),
  ];
}

interface ServerFacts {
  readonly version: number;
  readonly shown: string;
  readonly standby: boolean;
  readonly fsync: string;
  readonly encoding: string;
}

async function serverFacts(pool: Pool): Promise<ServerFacts> {
  const { rows } = await pool.query<ServerFacts>(`
    select current_setting('server_version_num')::int as version, current_setting('server_version') as shown,
      pg_is_in_recovery() as standby, current_setting('fsync') as fsync, current_setting('server_encoding') as encoding`);
  return rows[0] as ServerFacts;
}

function checkVersion({ version, shown }: ServerFacts): Finding {
  const check = "version";
  if (version >= 140_000) return ok(check, `PostgreSQL ${shown}`);
  return problem(check, `PostgreSQL ${shown} is too old`, "use PostgreSQL 14 or later");
}

function checkRole({ standby }: ServerFacts): Finding {
  const check = "role";
  if (!standby) return ok(check, "this is the primary");
  return problem(
    check,
    "this is a standby: every call fails, because a standby may still have revoked sessions",
    "connect to the primary",
  );
}

function checkDisk({ fsync }: ServerFacts): Finding {
  const check = "persistence";
  if (fsync === "on") {
    return ok(check, "fsync is on, and the store waits for it, even if synchronous_commit is off");
  }
  return problem(
    check,
    "fsync is off: a machine crash may undo revocations, or destroy the database",
    "set fsync = on",
  );
}

function checkEncoding({ encoding }: ServerFacts): Finding {
  const check = "encoding";
  if (encoding === "UTF8") return ok(check, "UTF8");
  return warning(
    check,
    `${encoding}: text that it cannot represent is refused`,
    "use a database with the encoding UTF8",
  );
}

interface TableFacts {
  readonly indexed: boolean;
  readonly lacking: readonly string[];
  /**
   * Roles with a right on the table, quoted, other than its owner and this role. Empty if the table has row
   * level security.
   */
  readonly others: readonly string[];
  readonly hidden: boolean;
  readonly triggers: readonly string[];
  readonly persistence: string;
}

/** `undefined`: the table does not exist. */
async function tableFacts(pool: Pool, name: string): Promise<TableFacts | undefined> {
  const { rows } = await pool.query<TableFacts>(
    `select
      exists (select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = c.oid and i.indisvalid and a.attname = 'user_id') as indexed,
      array(select privilege from unnest(array['select', 'insert', 'update', 'delete']) privilege
        where not has_table_privilege(c.oid, privilege)) as lacking,
      array(select distinct case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end
        from aclexplode(c.relacl) where not c.relrowsecurity and grantee not in (c.relowner, current_user::regrole) order by 1) as others,
      row_security_active(c.oid) as hidden,
      array(select tgname::text from pg_trigger where tgrelid = c.oid and not tgisinternal and tgenabled <> 'D'
        union all select rulename::text from pg_rewrite where ev_class = c.oid) as triggers,
      c.relpersistence::text as persistence
    from pg_class c where c.oid = to_regclass($1)`,
    [name],
  );
  return rows[0];
}

async function checkSchema(pool: Pool, name: TableName): Promise<Finding> {
  const check = "schema";
  const steps = migrations(name);
  const wanted = Math.max(...steps.map(({ version }) => version));
  // Only the migration names the table that holds the version.
  const versionTable = /create table (\S.*) \(version integer/.exec(steps[0]?.sql ?? "")?.[1] ?? "";
  const rows = await pool
    .query<{ version: number | null }>(`select max(version) as version from ${versionTable}`)
    .then(
      (result) => result.rows,
      () => undefined,
    );
  const version = rows?.[0]?.version;
  if (version === wanted) return ok(check, `version ${version}`);
  if (rows === undefined) {
    return problem(
      check,
      `${versionTable} cannot be read: the table is not Tenure's, or the role may not read it`,
      `restore both tables, or grant select on ${versionTable}`,
    );
  }
  if (typeof version !== "number") {
    return problem(
      check,
      `${versionTable} has no row with the schema's version, as after a dump of the schema only`,
      `insert the version that the database of the dump has, such as insert into ${versionTable} values (${wanted})`,
    );
  }
  const message = `version ${version}; this release needs version ${wanted}`;
  if (version < wanted) return problem(check, message, "run tenure migrate");
  return warning(check, message, "use the release of @tenure/cli that the application uses");
}

function checkIndex({ indexed }: TableFacts): Finding {
  const check = "indexes";
  if (indexed) return ok(check, "sessions are indexed by their user");
  return problem(
    check,
    "no valid index on user_id: listing a user's sessions, or logging a user out everywhere, reads the whole table",
    "create the index again, as in migrations/001.sql of @tenure/postgres",
  );
}

function checkPrivileges({ lacking }: TableFacts, name: TableName): Finding {
  const check = "privileges";
  if (lacking.length === 0) return ok(check, "select, insert, update, delete");
  return problem(
    check,
    `this role may not ${lacking.join(", ")}`,
    `grant ${lacking.join(", ")} on ${quotedName(name)} to <role>`,
  );
}

/** Supabase grants its API's roles every right on each new table in the schema public. */
function checkOthers({ others }: TableFacts, name: TableName): Finding {
  const check = "other roles";
  if (others.length === 0) return ok(check, "have no rights on the table");
  const roles = others.join(", ");
  return warning(
    check,
    `${roles} may also read or change the table, and so sessions`,
    `revoke all on ${quotedName(name)} from ${roles}, unless they need it`,
  );
}

function checkRowSecurity({ hidden }: TableFacts, name: TableName): Finding {
  const check = "row security";
  if (!hidden) return ok(check, "does not apply to this role");
  return problem(
    check,
    "applies to this role and hides rows without an error, so every call to the store fails",
    `alter table ${quotedName(name)} disable row level security, or alter role <role> bypassrls`,
  );
}

function checkTriggers({ triggers }: TableFacts): Finding {
  const check = "triggers";
  if (triggers.length === 0) return ok(check, "none");
  return warning(
    check,
    `${triggers.join(", ")}: a trigger or rule that cancels a write makes the store's calls fail`,
    "remove those that this table does not need",
  );
}

function checkLogged({ persistence }: TableFacts, name: TableName): Finding {
  const check = "table";
  if (persistence === "p") return ok(check, "is logged");
  return problem(
    check,
    "is not logged: a server crash empties it, and standbys do not have it",
    `alter table ${quotedName(name)} set logged`,
  );
}
