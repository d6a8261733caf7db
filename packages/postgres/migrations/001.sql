-- Names compare by their bytes: no collation that a new release of the system could sort anew.
create table "tenure_sessions" (
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

create index "tenure_sessions_user_id" on "tenure_sessions" (user_id) where user_id is not null;

comment on column "tenure_sessions".id is 'Digest of the token that the browser holds. Not a login.';
comment on column "tenure_sessions".user_id is 'Null while anonymous, and once revoked.';
comment on column "tenure_sessions".data is 'Opaque: serialized, perhaps encrypted. Empty once revoked.';
comment on column "tenure_sessions".version is '1 at creation, grows with every change of data or user_id, never by a touch.';
comment on column "tenure_sessions".created_at is 'When the session began, also where its token was renewed since.';
comment on column "tenure_sessions".idle_timeout is 'The session dies this long after its last use.';
comment on column "tenure_sessions".ends_at is 'The session dies here whatever its use. Never moves.';
comment on column "tenure_sessions".touched_at is 'The last use that was written.';
comment on column "tenure_sessions".expires_at is 'While not revoked: the session is dead from here on. Once revoked: the tombstone may go from here on.';
comment on column "tenure_sessions".revoked_at is 'Not null: a tombstone, so that no late write brings the session back.';

comment on table "tenure_sessions" is 'Tenure sessions, schema version 1. Made by @tenure/postgres, which reads the version here.';
