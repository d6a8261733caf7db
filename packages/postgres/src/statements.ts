import { type Statement, statement, unprepared } from "./driver.ts";
import type { Table } from "./table.ts";

/**
 * Every statement of the store. Four rules make them hold:
 *
 * - A write locks its row first (`held`), then asks the clock, then writes what it holds. A clock that was asked before the
 *   wait for a lock would let a session live on that had died meanwhile.
 * - A reader says of an expired session that it is dead only if nobody holds its row; else the answer is `busy`. Whoever
 *   held it could have looked at the clock before the end, and commit a use after it.
 * - The common form of a statement never waits for a row (`skip locked`), so that a transaction of the application that holds
 *   one session holds up no other. A row that was passed over is `busy` as well.
 * - What was `busy` is asked again, alone, by the patient form, which waits for the row; while that is at another row, by the
 *   common form.
 *
 * Rows are locked in the order of their ids, so that two statements don't deadlock. A statement that reads says first whether
 * the server is a standby.
 */
export interface Statements {
  readonly create: Forms;
  readonly read: Forms & Patient;
  readonly touch: Forms & Patient;
  readonly update: Forms & Patient;
  readonly revoke: Forms & Patient;
  readonly revokeUser: { readonly one: Statement } & Patient;
  readonly listUser: { readonly many: Statement } & Patient;
  readonly scan: Statement;
  readonly now: Statement;
  readonly pages: Statement;
  readonly sweep: Statement;
}

/** For a call that is alone, and for several at once. */
interface Forms {
  readonly one: Statement;
  readonly many: Statement;
}

interface Patient {
  readonly patient: Statement;
}

/** `touches`: whether a lone touch's commit waits for the disk. It never does so inside a transaction of the application. */
export function statementsFor({ sql: table }: Table, touches: "lazy" | "durable"): Statements {
  const create = (given: string): Statement =>
    statement(`
insert into ${table} (id, user_id, data, version, created_at, idle_timeout, ends_at, touched_at, expires_at)
select id, user_id, data, 1, created_at, idle_timeout, created_at + lifetime, now, least(now + idle_timeout, created_at + lifetime)
from (
  select id, user_id, data, now, idle * ${MILLISECOND} as idle_timeout, lifetime * ${MILLISECOND} as lifetime,
    least(timestamptz 'epoch' + created_at * ${MILLISECOND}, now) as created_at
  from (select given.*, ${NOW} as now from ${given}, ${DURABLE}) given
) given
where created_at + lifetime > now
order by id collate "C"
on conflict (id) do nothing
returning id`);

  const read = (matching: string): Statement =>
    statement(`
select pg_is_in_recovery()::text, s.id, ${life(table)}, ${RECORD}
from (select) one left join ${table} s on s.id ${matching}`);

  const patientRead = (matching: string): string => `
select 'false', s.id, case when s.revoked_at is null and s.expires_at > clock_timestamp() then 'live' else 'dead' end, ${RECORD}
from (select * from ${table} s where ${matching} order by s.id for share) s`;

  const held = (matching: string, waiting: Waiting): string => `
with held as materialized (
  select s.id, s.version, s.idle_timeout, s.ends_at, s.expires_at from ${table} s
  where s.id ${matching} and s.revoked_at is null
  order by s.id for no key update ${waiting}
)`;

  const passedOver = (matching: string, waiting: Waiting): string =>
    waiting === "skip locked"
      ? `union all
select s.id, 'busy' from ${table} s where s.revoked_at is null and s.id ${matching === ONE ? NOT_HELD : NOT_ALL_HELD}`
      : "";

  const touch = (matching: string, waiting: Waiting): Statement =>
    statement(`${held(matching, waiting)}, live as materialized (
  select * from (select held.*, ${NOW} as now from held, ${touches === "lazy" ? LAZY : DURABLE}) held where expires_at > now
), touched as (
  update ${table} s set touched_at = live.now, expires_at = least(live.now + live.idle_timeout, live.ends_at)
  from live where s.id = live.id
  returning s.id
)
select id, 'updated' from touched
${passedOver(matching, waiting)}`);

  const update = (given: string, matching: string, waiting: Waiting): Statement =>
    statement(`${held(matching, waiting)}, live as materialized (
  select * from (select held.*, ${NOW} as now from held, ${DURABLE}) held where expires_at > now
), changed as (
  update ${table} s set
    data = coalesce(given.data, s.data),
    user_id = case when given.binds then given.user_id else s.user_id end,
    version = live.version + case when given.binds or given.data is not null then 1 else 0 end,
    idle_timeout = coalesce(given.idle * ${MILLISECOND}, live.idle_timeout),
    touched_at = live.now,
    expires_at = least(live.now + coalesce(given.idle * ${MILLISECOND}, live.idle_timeout), live.ends_at)
  from live join ${given} on given.id = live.id
  where s.id = live.id and (given.if_version is null or given.if_version = live.version)
  returning s.id
)
select live.id, case when changed.id is null then 'conflict' else 'updated' end
from live left join changed on changed.id = live.id
${passedOver(matching, waiting)}`);

  const bury = (tombstone: string): string => `
  update ${table} s set
    revoked_at = coalesce(s.revoked_at, buried.now), user_id = null, data = '',
    expires_at = greatest(s.ends_at, buried.now + ${tombstone} * ${MILLISECOND}, case when s.revoked_at is not null then s.expires_at end)`;

  // The last insert is for an id that nobody knows; one that is being created or revoked right now answers no row.
  const revoke = (given: string, matching: string, waiting: Waiting): Statement =>
    statement(`
with held as materialized (
  select s.id, s.expires_at, s.revoked_at from ${table} s where s.id ${matching}
  order by s.id for no key update ${waiting}
), judged as materialized (
  select held.*, ${NOW} as now from held, ${DURABLE}
), known as materialized (
  select s.id from ${table} s where s.id ${matching}
), ended as (${bury("$2::bigint")}
  from judged buried where s.id = buried.id and s.id ${matching}
), planted as (
  insert into ${table} (id, data, version, created_at, idle_timeout, ends_at, touched_at, expires_at, revoked_at)
  select given.id, '', 1, now, interval '0', now, now, now + $2::bigint * ${MILLISECOND}, now
  from ${given}, (select ${NOW} as now) clock, ${DURABLE}
  where not exists (select from known where known.id = given.id)
  order by given.id collate "C"
  on conflict (id) do nothing
  returning id
)
select id, (revoked_at is null and expires_at > now)::text from judged
union all
select id, 'false' from planted`);

  // Whose session it is, `held` decides. The statement's snapshot is from after the call began, so it has every session whose
  // create or binding had been answered by then. Of each, the newest version is locked, and `user_id` is looked at again
  // there: what was bound to someone else meanwhile is passed over. What is bound to this user later counts as after.
  // `any(array(…))` keeps to the index however many they are, where a join would read the table for many.
  const revokeUser = (waiting: Waiting): Statement =>
    statement(`
with held as materialized (
  select s.id, s.expires_at from ${table} s where ${OF_USER}
  order by s.id for no key update ${waiting}
), live as materialized (
  select * from (select held.*, ${NOW} as now from held, ${DURABLE}) held where expires_at > now
), ended as (${bury("$3::bigint")}
  from (select max(now) as now from live) buried where s.id = any(array(select id from live))
  returning s.id
)
select (select count(*) from ended)::text, ${
      waiting === "skip locked"
        ? `((select count(*) from held) < (select count(*) from ${table} s where ${OF_USER}))::text`
        : "'false'"
    }`);

  return {
    create: {
      one: create(`(values (${CREATED})) ${GIVEN_SESSION}`),
      many: create(`unnest(${arrays(CREATED)}) ${GIVEN_SESSION}`),
    },
    read: {
      one: read(ONE),
      many: read(MANY),
      patient: statement(patientRead("s.id = $1")),
    },
    touch: {
      one: touch(ONE, "skip locked"),
      many: touch(MANY, "skip locked"),
      patient: touch(ONE, ""),
    },
    update: {
      one: update(`(values (${CHANGED})) ${GIVEN_CHANGES}`, ONE, "skip locked"),
      many: update(`unnest(${arrays(CHANGED)}) ${GIVEN_CHANGES}`, MANY, "skip locked"),
      patient: update(`(values (${CHANGED})) ${GIVEN_CHANGES}`, ONE, ""),
    },
    revoke: {
      one: revoke("(values ($1::text)) given(id)", ONE, "skip locked"),
      many: revoke("unnest($1::text[]) given(id)", MANY, "skip locked"),
      patient: revoke("(values ($1::text)) given(id)", ONE, ""),
    },
    revokeUser: { one: revokeUser("skip locked"), patient: revokeUser("") },
    listUser: {
      many: statement(`
select pg_is_in_recovery()::text, s.id, ${life(table)}, ${RECORD}
from (select) one left join ${table} s on s.user_id = any($1::text[]) and s.revoked_at is null`),
      patient: statement(patientRead("s.user_id = $1 and s.revoked_at is null")),
    },
    scan: statement(`
select pg_is_in_recovery()::text, s.id, ${life(table)}, ${RECORD}
from (select) one left join (select s.*, s.xmin, s.xmax from ${table} s where s.id >= $1 order by s.id limit $2::bigint) s on true
order by s.id`),
    now: statement(`select pg_is_in_recovery()::text, ${milliseconds(NOW)}`),
    pages: statement(`select (pg_relation_size($1::regclass) / current_setting('block_size')::bigint)::text`),
    // Planned anew each time: a plan from when the table was small would read all of it. What a crash brings back of what it
    // deleted is as expired as before, so that its commit need not wait for the disk.
    sweep: unprepared(`
with turn as materialized (
  select not $4::boolean or pg_try_advisory_xact_lock(${SWEEPING}, $5::regclass::oid::int) as ours from ${LAZY}
), dead as materialized (
  select s.ctid from ${table} s, turn
  where turn.ours and s.ctid >= $1::tid and s.ctid < $2::tid and s.expires_at <= clock_timestamp()
  limit $3::bigint for update of s skip locked
), swept as (
  delete from ${table} s where s.ctid = any(array(select ctid from dead)) returning 1
)
select ours::text, swept::text, (date_part('epoch', clock_timestamp() - statement_timestamp()) * 1000)::text
from (select (select ours from turn), (select count(*) from swept) as swept offset 0) done`),
  };
}

/** Whether a statement waits for a row that another transaction holds. */
type Waiting = "skip locked" | "";

const OF_USER = "s.user_id = $1 and s.revoked_at is null and s.id is distinct from $2";
const ONE = "= $1";
const MANY = "= any($1::text[])";

/** The same, less what the statement holds: nearly always nothing is left to look up. */
const NOT_HELD = "= (select $1 where not exists (select from held))";
const NOT_ALL_HELD =
  "= any(array(select given.id from unnest($1::text[]) given(id) where not exists (select from held where held.id = given.id)))";

/** The store's clock. It runs on while a statement waits; `now()` would stand still. */
const NOW = "date_trunc('milliseconds', clock_timestamp())";

const MILLISECOND = "interval '1 millisecond'";

/** This transaction's commit does not wait for the disk. */
const LAZY = "(select set_config('synchronous_commit', 'off', true)) lazy";

/** Where touches of all the server's databases, or of this role, are lazy, nothing else is. */
const DURABLE =
  "(select case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', true) end) durable";

/**
 * `statement_timestamp()` is from before the row was looked at: a writer that came after it finds the session expired. Where
 * that, or who holds the row, is not plain, the row is tried to be held: `xmax` may also be of a transaction that has ended.
 * An `xmax` that is the row's own `xmin` is of the lock under which this version was written.
 */
function life(table: string): string {
  return `case
  when s.revoked_at is not null then 'dead'
  when s.expires_at > clock_timestamp() then 'live'
  when s.expires_at <= statement_timestamp() and (s.xmax = 0 or s.xmax = s.xmin) then 'dead'
  else coalesce((
    select case when newest.revoked_at is not null or newest.expires_at <= clock_timestamp() then 'dead' else 'busy' end
    from ${table} newest where newest.id = s.id for share skip locked
  ), 'busy') end`;
}

const RECORD = ["created_at", "touched_at", "idle_timeout", "expires_at", "ends_at"].reduce(
  (columns, instant) => `${columns}, ${milliseconds(`s.${instant}`)}`,
  "s.user_id, s.data, s.version::text",
);

function milliseconds(instant: string): string {
  return `(date_part('epoch', ${instant}) * 1000)::bigint::text`;
}

const CREATED = "$1::text, $2::text, $3::text, $4::bigint, $5::bigint, $6::bigint";
const GIVEN_SESSION = "given(id, user_id, data, idle, lifetime, created_at)";

const CHANGED = "$1::text, $2::text, $3::boolean, $4::text, $5::bigint, $6::bigint";
const GIVEN_CHANGES = "given(id, data, binds, user_id, idle, if_version)";

function arrays(parameters: string): string {
  return parameters.replaceAll(/(::\w+)/g, "$1[]");
}

/** The first half of the advisory lock that one sweeping instance holds; the second is the table's oid. */
const SWEEPING = 0x7e4e5e;
