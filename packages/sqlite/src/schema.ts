import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "@tenure/core/store";
import { assertDatabase, rollBack, type SqliteDatabase } from "./database.ts";
import { isLocked, reasonOf } from "./failure.ts";

/**
 * Creates the tables, or brings them to this release's version, and turns on WAL. Any number of processes may
 * call it concurrently, at every start. It does not change a newer schema.
 *
 * @throws TypeError for a value that is not a database; an `Error` if the file belongs to another
 *   application, is read-only, is on a file system without WAL, or if another process locks it for 30 seconds
 */
export async function migrate(database: SqliteDatabase): Promise<void> {
  assertDatabase(database);
  const giveUpAt = performance.now() + PATIENCE;
  for (;;) {
    try {
      bringUpToDate(database);
      return;
    } catch (error) {
      if (error instanceof Fault) throw error;
      if (!isLocked(error) || performance.now() > giveUpAt)
        throw new Error(reasonOf(error, `${PATIENCE / 1000} s`), { cause: error });
    }
    await sleep(5 + Math.random() * 20);
  }
}

/** Milliseconds. A migration of a later release may have to change a large table. */
const PATIENCE = 30_000;

function bringUpToDate(database: SqliteDatabase): void {
  database.exec("pragma busy_timeout = 0");
  // Check the file's owner before changing anything, even the journal mode.
  versionOf(database);
  // Must be outside of a transaction. If WAL is already on, this has no effect and needs no lock.
  const { journal_mode: mode } = rowOf(database, "pragma journal_mode = wal");
  if (mode !== "wal" && mode !== "memory") {
    throw new Fault(
      `the database's journal mode is ${String(mode)} and cannot be changed to wal: use a file on a local disk`,
    );
  }
  database.exec("begin immediate");
  try {
    // Another process may have migrated the file since.
    const version = versionOf(database);
    for (const step of STEPS.slice(version)) database.exec(step);
    // Write even without a change: `begin immediate` does not detect a read-only database, a write does.
    database.exec(`pragma user_version = ${Math.max(version, SCHEMA_VERSION)}`);
    database.exec("commit");
  } catch (error) {
    rollBack(database);
    throw error;
  }
}

/** @throws Fault if the tables are missing or older than this release */
export function assertMigrated(database: SqliteDatabase): void {
  if (versionOf(database) < SCHEMA_VERSION) {
    throw new Fault(
      "the tables are missing or older than this release: run `await migrate(database)` of @tenure/sqlite",
    );
  }
}

/**
 * Returns the schema's version, 0 for an empty or restored database. This is one statement, because between
 * two another process could migrate the file, which would then seem neither empty nor ours.
 *
 * @throws Fault if the file belongs to another application
 */
function versionOf(database: SqliteDatabase): number {
  const { owner, version, others } = rowOf(
    database,
    `select application_id as owner, user_version as version, (${COUNT_OTHERS}) as others
     from pragma_application_id, pragma_user_version`,
  );
  if (typeof version !== "number") throw new Fault(NOT_PLAIN);
  // Neither number is set in a new file, or in one restored from a dump.
  const isFree = owner === 0 && version === 0 && others === 0;
  if (owner !== APPLICATION_ID && !isFree) throw new Fault(FOREIGN);
  return version;
}

function rowOf(database: SqliteDatabase, sql: string): Readonly<Record<string, unknown>> {
  return database.prepare(sql).get() as Readonly<Record<string, unknown>>;
}

/** Counts the tables that are not Tenure's, SQLite's own or those in which Litestream keeps its state. */
const COUNT_OTHERS = `select count(*) from sqlite_schema
  where tbl_name not in ('tenure_sessions', 'tenure_fences') and tbl_name not glob 'sqlite_*' and tbl_name not glob '_litestream_*'`;

const NOT_PLAIN =
  "the connection does not return plain rows with numbers: open node:sqlite without readBigInts and returnArrays, or better-sqlite3 without defaultSafeIntegers";

const FOREIGN = "the database belongs to another application: give Tenure its own file";

/** "Tnre". SQLite keeps it in the file's header, to identify the owner. */
const APPLICATION_ID = 0x54_6e_72_65;

/** Each step brings the schema to the version of its position in the list, from 1. */
const STEPS: readonly string[] = [
  `
create table if not exists tenure_sessions (
  n                integer primary key,   -- the order of a scan
  id               text not null unique,  -- names the session; not a secret
  user_id          text,                  -- null if anonymous or revoked
  authenticated_at integer,               -- when the user logged in
  version          integer not null,
  created_at       integer not null,
  touched_at       integer not null,
  idle             integer not null,      -- the idle timeout, ms
  ends_at          integer not null,      -- the end of the lifetime
  expires_at       integer not null,      -- dead from here on; a tombstone: deletable from here on
  revoked_at       integer,               -- not null: a tombstone
  sweep_at         integer not null,      -- when a sweep checks the row; no touch moves it
  data             text not null          -- empty if revoked. Last, so that other columns are read without it
) strict;
create index if not exists tenure_sessions_user on tenure_sessions (user_id, authenticated_at) where user_id is not null;
create index if not exists tenure_sessions_sweep on tenure_sessions (sweep_at);

create table if not exists tenure_fences (
  user_id text primary key,
  instant integer not null                -- logins at or before it are refused
) strict, without rowid;
create index if not exists tenure_fences_instant on tenure_fences (instant);

pragma application_id = ${APPLICATION_ID};
`,
];

const SCHEMA_VERSION = STEPS.length;
