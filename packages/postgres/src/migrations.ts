import { type Table, type TableName, tableOf } from "./table.ts";

/** One step of the schema: run in order, each once, each as one transaction. */
export interface Migration {
  /** The schema's version once it has run, as the table's comment says it. */
  readonly version: number;
  readonly sql: string;
}

/**
 * The schema as SQL, for a migration tool of one's own. With the default names it ships as `migrations/*.sql` too.
 *
 * @throws TypeError for a name that PostgreSQL can't hold
 */
export function migrations(name: TableName = {}): readonly Migration[] {
  const table = tableOf(name);
  return STEPS.map((step, index) => ({
    version: index + 1,
    sql: `${step(table).trim()}\n\ncomment on table ${table.sql} is '${commentOf(index + 1)}';\n`,
  }));
}

/** The version that this release works on. */
export const SCHEMA_VERSION = 1;

/** The version that a table's comment says, or `null`. */
export function versionOf(comment: string | null): number | null {
  const version = /^Tenure sessions, schema version (\d+)\./.exec(comment ?? "")?.[1];
  return version === undefined ? null : Number(version);
}

function commentOf(version: number): string {
  return `Tenure sessions, schema version ${version}. Made by @tenure/postgres, which reads the version here.`;
}

const STEPS: readonly ((table: Table) => string)[] = [
  ({ sql, userIndex }) => `
-- Names compare by their bytes: no collation that a new release of the system could sort anew.
create table ${sql} (
  id            text collate "C" primary key,
  user_id       text collate "C",
  data          text not null,
  version       bigint not null,
  created_at    timestamptz not null,
  idle_timeout  interval not null,
  ends_at       timestamptz not null,
  touched_at    timestamptz not null,
  expires_at    timestamptz not null,
  revoked_at    timestamptz
)
-- A touch writes touched_at and expires_at. No index has them and every page has room, so touches stay HOT.
-- To give empty pages back to the disk, vacuum would lock everybody out.
with (fillfactor = 80, vacuum_truncate = off);

create index ${userIndex} on ${sql} (user_id) where user_id is not null;

comment on column ${sql}.id is 'Digest of the token that the browser holds. Not a login.';
comment on column ${sql}.user_id is 'Null while anonymous, and once revoked.';
comment on column ${sql}.data is 'Opaque: serialized, perhaps encrypted. Empty once revoked.';
comment on column ${sql}.version is '1 at creation, grows with every change of data or user_id, never by a touch.';
comment on column ${sql}.created_at is 'When the session began, also where its token was renewed since.';
comment on column ${sql}.idle_timeout is 'The session dies this long after its last use.';
comment on column ${sql}.ends_at is 'The session dies here whatever its use. Never moves.';
comment on column ${sql}.touched_at is 'The last use that was written.';
comment on column ${sql}.expires_at is 'While not revoked: the session is dead from here on. Once revoked: the tombstone may go from here on.';
comment on column ${sql}.revoked_at is 'Not null: a tombstone, so that no late write brings the session back.';
`,
];
