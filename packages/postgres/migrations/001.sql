-- Ids compare by bytes. A collation may sort differently after an upgrade of the system, and so damage the indexes.
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
-- A touch writes touched_at and expires_at. No index has them and every page has room, so touches are HOT updates.
-- vacuum_truncate is off, because vacuum locks the whole table while it returns empty pages to the disk.
with (fillfactor = 80, vacuum_truncate = off);

create index "tenure_sessions_user_id" on "tenure_sessions" (user_id) where user_id is not null;

comment on table "tenure_sessions" is 'Tenure sessions, tombstones of revoked sessions, and fences of users who were logged out everywhere.';
comment on column "tenure_sessions".id is 'Names the session for its whole life. Nobody can log in with it. U+0001, u and a user id: the fence of that user.';
comment on column "tenure_sessions".user_id is 'Null while anonymous, and once revoked.';
comment on column "tenure_sessions".authenticated_at is 'When the user logged in. In a fence: logins at or before this instant are refused.';
comment on column "tenure_sessions".data is 'Opaque: serialized, perhaps encrypted. Empty once revoked.';
comment on column "tenure_sessions".version is '1 at creation. Grows with each change of data, user, lifetime or login, not with a touch.';
comment on column "tenure_sessions".created_at is 'When the session began.';
comment on column "tenure_sessions".idle_timeout is 'The session expires this long after its last use.';
comment on column "tenure_sessions".ends_at is 'The session expires here even if it is in use. Only a login moves it.';
comment on column "tenure_sessions".touched_at is 'The last recorded use.';
comment on column "tenure_sessions".expires_at is 'The session is dead from this instant on. In a tombstone or fence: the row may be deleted from this instant on.';
comment on column "tenure_sessions".revoked_at is 'Not null: the row is a tombstone, which keeps late writes from reviving a session, or a fence.';

-- The version is in a row and not in a comment, because dumps may omit comments. Anyone may read it. Without a primary
-- key, a publication for all tables would refuse the update by the next migration.
create table "tenure_sessions_schema" (version integer primary key);
insert into "tenure_sessions_schema" values (1);
grant select on "tenure_sessions_schema" to public;
