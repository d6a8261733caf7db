import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "@tenure/core/store";
import { assertDatabase, rollBack, type SqliteDatabase } from "./database.ts";
import { isLocked, reasonOf } from "./failure.ts";

/**
 * Creates the tables, or brings them to this release's version, and turns on WAL. Any number of processes may call it at once, at
 * every start. It leaves a newer schema alone.
 *
 * @throws TypeError for a value that is not a database; an `Error` if the file is another application's, read-only, or on a file system
 *   where WAL does not work, and if another process keeps it locked for 30 seconds
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
        throw new Error(reasonOf(error), { cause: error });
    }
    await sleep(5 + Math.random() * 20);
  }
}

/** Milliseconds. A migration of a later release may have a large table to change. */
const PATIENCE = 30_000;

function bringUpToDate(database: SqliteDatabase): void {
  database.exec("pragma busy_timeout = 0");
  // Before anything is changed, the journal mode included: whose file it is.
  versionOf(database);
  // Not possible inside a transaction. It has no effect where WAL is on already, and needs no lock then.
  const { journal_mode: mode } = rowOf(database, "pragma journal_mode = wal");
  if (mode !== "wal" && mode !== "memory") {
    throw new Fault(
      `the database's journal mode is ${String(mode)} and cannot become wal: use a file on a disk of this machine`,
    );
  }
  database.exec("begin immediate");
  try {
    // Another process may have migrated it since.
    const version = versionOf(database);
    for (const step of STEPS.slice(version)) database.exec(step);
    // Written also where nothing changed: `begin immediate` does not notice that a database is read-only, a write does.
    database.exec(`pragma user_version = ${Math.max(version, SCHEMA_VERSION)}`);
    database.exec("commit");
  } catch (error) {
    rollBack(database);
    throw error;
  }
}

/** @throws Fault if the tables are not those that this release works on */
export function assertMigrated(database: SqliteDatabase): void {
  if (versionOf(database) < SCHEMA_VERSION) {
    throw new Fault(
      "the tables are missing or older than this release: run `await migrate(database)` of @tenure/sqlite",
    );
  }
}

/**
 * The schema's version, 0 if the database is empty. One statement, because each reads as of its own moment: between two of them another
 * process may migrate the file, which would then be neither empty nor ours.
 *
 * @throws Fault if it is another application's
 */
function versionOf(database: SqliteDatabase): number {
  const { owner, version, objects } = rowOf(
    database,
    `select application_id as owner, user_version as version, (select count(*) from sqlite_schema) as objects
     from pragma_application_id, pragma_user_version`,
  );
  const isEmpty = owner === 0 && version === 0 && objects === 0;
  if (owner !== APPLICATION_ID && !isEmpty) throw new Fault(FOREIGN);
  return Number(version);
}

function rowOf(database: SqliteDatabase, sql: string): Readonly<Record<string, unknown>> {
  return database.prepare(sql).get() as Readonly<Record<string, unknown>>;
}

const FOREIGN = "the database belongs to another application: give Tenure a file of its own";

/** "Tnre". SQLite keeps it in the header of the file, where it says whose file it is. */
const APPLICATION_ID = 0x54_6e_72_65;

/** Each brings the schema to the version that is its place in the list, from 1 on. */
const STEPS: readonly string[] = [
  `
create table tenure_sessions (
  n                integer primary key,   -- the order of a scan
  id               text not null unique,  -- names the session; not a login
  user_id          text,                  -- null while anonymous, and once revoked
  authenticated_at integer,               -- when the user logged in
  version          integer not null,
  created_at       integer not null,
  touched_at       integer not null,
  idle             integer not null,      -- the idle timeout, ms
  ends_at          integer not null,      -- the end of the lifetime
  expires_at       integer not null,      -- dead from here on; once revoked: the row may go
  revoked_at       integer,               -- not null: a tombstone
  sweep_at         integer not null,      -- when a sweep looks at the row; no touch moves it
  data             text not null          -- empty once revoked. Last, so that the other columns are read without it
) strict;
create index tenure_sessions_user on tenure_sessions (user_id, authenticated_at) where user_id is not null;
create index tenure_sessions_sweep on tenure_sessions (sweep_at);

create table tenure_fences (
  user_id text primary key,
  instant integer not null                -- logins at or before it are refused
) strict, without rowid;
create index tenure_fences_instant on tenure_fences (instant);

pragma application_id = ${APPLICATION_ID};
`,
];

/** The version that this release works on. */
const SCHEMA_VERSION = STEPS.length;
