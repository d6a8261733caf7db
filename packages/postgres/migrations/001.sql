-- Names compare by their bytes, not by a collation that a new release of the system could sort differently.
create table "tenure_sessions" (
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

create index "tenure_sessions_user_id" on "tenure_sessions" (user_id) where user_id is not null;

comment on table "tenure_sessions" is 'Tenure sessions, tombstones of revoked ones, and fences of users who were logged out everywhere.';
comment on column "tenure_sessions".id is 'Names the session for its life. Not a login. U+0001, u and a user: the fence of that user.';
comment on column "tenure_sessions".user_id is 'Null while anonymous, and once revoked.';
comment on column "tenure_sessions".authenticated_at is 'When the user logged in. Of a fence: logins at or before it are refused.';
comment on column "tenure_sessions".data is 'Opaque: serialized, perhaps encrypted. Empty once revoked.';
comment on column "tenure_sessions".version is '1 at creation. Grows with each change but not by a touch.';
comment on column "tenure_sessions".created_at is 'When the session began.';
comment on column "tenure_sessions".idle_timeout is 'The session dies this long after its last use.';
comment on column "tenure_sessions".ends_at is 'The session dies here whatever its use. Only a login moves it.';
comment on column "tenure_sessions".touched_at is 'The last use that was written.';
comment on column "tenure_sessions".expires_at is 'The session is dead from here on. Once revoked, and of a fence: the row may go from here on.';
comment on column "tenure_sessions".revoked_at is 'Not null: not a session, but what keeps a late write from bringing one back.';

-- The version is a row and not a comment, because dumps may leave comments out. It is no secret.
create table "tenure_sessions_schema" (version integer not null);
insert into "tenure_sessions_schema" values (1);
grant select on "tenure_sessions_schema" to public;
