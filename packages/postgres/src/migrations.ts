import { type Table, type TableName, tableOf } from "./table.ts";

/** One step of the schema: run in order, each once, each as one transaction. */
export interface Migration {
  /** The schema's version once it has run. */
  readonly version: number;
  readonly sql: string;
}

/**
 * The schema as SQL, for a migration tool of one's own. With the default names it ships as `migrations/*.sql` too.
 *
 * @throws TypeError for a name that PostgreSQL cannot hold
 */
export function migrations(name: TableName = {}): readonly Migration[] {
  const table = tableOf(name);
  return STEPS.map((step, index) => ({ version: index + 1, sql: `${step(table).trim()}\n` }));
}

/** The version that this release works on. */
export const SCHEMA_VERSION = 1;

const STEPS: readonly ((table: Table) => string)[] = [
  ({ sql, versionTable, userIndex }) => `
-- Names compare by their bytes, not by a collation that a new release of the system could sort differently.
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
-- A touch writes touched_at and expires_at. No index has them and every page has room, so touches stay HOT.
-- To give empty pages back to the disk, vacuum would lock everybody out.
with (fillfactor = 80, vacuum_truncate = off);

create index ${userIndex} on ${sql} (user_id) where user_id is not null;

comment on table ${sql} is 'Tenure sessions, tombstones of revoked ones, and fences of users who were logged out everywhere.';
comment on column ${sql}.id is 'Names the session for its life. Not a login. U+0001, u and a user: the fence of that user.';
comment on column ${sql}.user_id is 'Null while anonymous, and once revoked.';
comment on column ${sql}.authenticated_at is 'When the user logged in. Of a fence: logins at or before it are refused.';
comment on column ${sql}.data is 'Opaque: serialized, perhaps encrypted. Empty once revoked.';
comment on column ${sql}.version is '1 at creation. Grows with each change but not by a touch.';
comment on column ${sql}.created_at is 'When the session began.';
comment on column ${sql}.idle_timeout is 'The session dies this long after its last use.';
comment on column ${sql}.ends_at is 'The session dies here whatever its use. Only a login moves it.';
comment on column ${sql}.touched_at is 'The last use that was written.';
comment on column ${sql}.expires_at is 'The session is dead from here on. Once revoked, and of a fence: the row may go from here on.';
comment on column ${sql}.revoked_at is 'Not null: not a session, but what keeps a late write from bringing one back.';

-- The version is a row and not a comment, because dumps may leave comments out. It is no secret.
create table ${versionTable} (version integer not null);
insert into ${versionTable} values (1);
grant select on ${versionTable} to public;
`,
];
