import { type Table, type TableName, tableOf } from "./table.ts";

/** One step of the schema. Steps run in order, each once, each in its own transaction. */
export interface Migration {
  /** The schema version after this step. */
  readonly version: number;
  readonly sql: string;
}

/**
 * Returns the schema as SQL, for other migration tools. The package has it as `migrations/*.sql` with the
 * default names.
 *
 * @throws TypeError for a name that PostgreSQL cannot hold
 */
export function migrations(name: TableName = {}): readonly Migration[] {
  const table = tableOf(name);
  return STEPS.map((step, index) => ({ version: index + 1, sql: `${step(table).trim()}\n` }));
}

const STEPS: readonly ((table: Table) => string)[] = [
  ({ sql, versionTable, userIndex }) => `
-- Ids compare by bytes. A collation may sort differently after an upgrade of the system, and so damage the indexes.
create table ${sql} (
  id               text collate "C" primary key,
  user_id          text collate "C",
  authenticated_at timestamptz,
  data             text not null,
  version          bigint not null,
  created_at       timestamptz not null,
  idle_timeout     interval not null,
  ends_at          timestamptz not null,
  touched_at       timestamptz not null,
  expires_at       timestamptz not null,
  revoked_at       timestamptz
)
-- A touch writes touched_at and expires_at. No index has them and every page has room, so touches are HOT updates.
-- vacuum_truncate is off, because vacuum locks the whole table while it returns empty pages to the disk.
with (fillfactor = 80, vacuum_truncate = off);

create index ${userIndex} on ${sql} (user_id) where user_id is not null;

comment on table ${sql} is 'Tenure sessions, tombstones of revoked sessions, and fences of users who were logged out everywhere.';
comment on column ${sql}.id is 'Names the session for its whole life. Nobody can log in with it. U+0001, u and a user id: the fence of that user.';
comment on column ${sql}.user_id is 'Null while anonymous, and once revoked.';
comment on column ${sql}.authenticated_at is 'When the user logged in. In a fence: logins at or before this instant are refused.';
comment on column ${sql}.data is 'Opaque: serialized, perhaps encrypted. Empty once revoked.';
comment on column ${sql}.version is '1 at creation. Grows with each change of data, user, lifetime or login, not with a touch.';
comment on column ${sql}.created_at is 'When the session began.';
comment on column ${sql}.idle_timeout is 'The session expires this long after its last use.';
comment on column ${sql}.ends_at is 'The session expires here even if it is in use. Only a login moves it.';
comment on column ${sql}.touched_at is 'The last recorded use.';
comment on column ${sql}.expires_at is 'The session is dead from this instant on. In a tombstone or fence: the row may be deleted from this instant on.';
comment on column ${sql}.revoked_at is 'Not null: the row is a tombstone, which keeps late writes from reviving a session, or a fence.';

-- The version is in a row and not in a comment, because dumps may omit comments. Anyone may read it. Without a primary
-- key, a publication for all tables would refuse the update by the next migration.
create table ${versionTable} (version integer primary key);
insert into ${versionTable} values (1);
grant select on ${versionTable} to public;
`,
];
