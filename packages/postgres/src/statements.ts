import { type Statement, statement, unprepared } from "./driver.ts";
import type { Table } from "./table.ts";

/** The statement for one call, and the one for several, whose values are arrays. */
export interface Forms {
  readonly one: Statement;
  readonly many: Statement;
}

export type Statements = Readonly<
  Record<
    "createAnonymous" | "createForUser" | "read" | "touch" | "update" | "updateWithUser" | "revoke",
    Forms
  > &
    Record<
      "fence" | "durableFence" | "endUnlocked" | "end" | "listUser" | "scan" | "now" | "sweep",
      Statement
    >
>;

/**
 * Builds every statement of the store. They follow these rules:
 *
 * - A write to an existing row, other than a touch, locks the row (`held`), then reads the clock, then
 *   writes. A clock read before the wait for the lock would revive a session that expired during the wait.
 * - A statement that binds a session first locks the user's fence (`fences`). Locks are taken in one order,
 *   fences by id, then sessions by id, to avoid deadlocks. `end` alone has no order; its deadlocks are
 *   retried.
 * - `ON CONFLICT DO UPDATE`, `FOR NO KEY UPDATE` and `UPDATE` act on the newest version of a row, even if it
 *   is newer than the snapshot. Plain reads do not, so no decision depends on a row read without a lock.
 * - `patience`, the last parameter of a write, bounds the wait for each lock; `null`: as long as the server
 *   allows.
 * - Each row of a reply begins with the server's state and the key of the call, so that neither a missing row
 *   nor a reply to another call is taken for a result.
 *
 * @param tombstoneMinimum milliseconds
 */
export function statementsFor({ sql: table, literal }: Table, tombstoneMinimum: number): Statements {
  const tombstone = `${tombstoneMinimum} * ${MILLISECOND}`;
  const state = `case when pg_is_in_recovery() then 'standby' when row_security_active(${literal}::regclass) then 'hidden' end`;

  const create = (given: string, fences: Fences): Statement =>
    statement(`
with given as materialized (select given.* from ${given}, ${patience(7)})${fences.locked},
judged as materialized (
  select *, case when locked then coalesce(at <= now - ${tombstone} or at <= fence, false) end as fenced
  from (
    select *, ${notAfterNow("authenticated_at")} as at
    from (select given.*, ${fences.columns}, ${NOW} as now from given ${fences.join}, ${DURABLE}) given
  ) given
), created as (
  insert into ${table} (id, user_id, authenticated_at, data, version, created_at, idle_timeout, ends_at, touched_at, expires_at)
  select id, user_id,
    case when user_id is not null then coalesce(at, greatest(now, fence + ${MILLISECOND})) end,
    data, 1, now, idle * ${MILLISECOND}, now + lifetime * ${MILLISECOND}, now, now + least(idle, lifetime) * ${MILLISECOND}
  from judged where not fenced
  order by id collate "C"
  on conflict (id) do nothing
  returning id
)
select ${state}, judged.id, case
  when created.id is not null then 'created'
  when fenced is null then 'cancelled'
  when exists (select from ${table} s where s.id = judged.id and (not fenced or s.revoked_at is not null or s.expires_at > now)) then 'taken'
  when fenced then 'fenced'
  else 'again' end
from judged left join created on created.id = judged.id`);

  const read = (given: string, found: string): Statement =>
    statement(`
select ${state}, given.id, ${RECORD}
from ${given} left join ${found} s on s.id = given.id and s.revoked_at is null and s.expires_at > clock_timestamp()`);

  // A touch needs no lock first: after a wait PostgreSQL re-checks the row, and a touch that waited past the
  // session's end may count from before it. Without patience it may be in an application's transaction, whose
  // commit must not become asynchronous.
  const touch = (given: string, matching: string): Statement =>
    statement(`
with given as materialized (select given.* from ${given}, ${patience(2)}, ${lazyIf("$2::text is not null")}), touched as (
  update ${table} s set touched_at = ${LAST_USE}, expires_at = least(${LAST_USE} + s.idle_timeout, s.ends_at)
  from (select ${NOW} as now offset 0) clock
  where s.id ${matching} and s.revoked_at is null and s.expires_at > now
  returning s.id
)
select ${state}, given.id, case
  when touched.id is not null then 'updated'
  when exists (select from ${table} s where s.id = given.id and s.revoked_at is null and s.expires_at > clock_timestamp()) then 'again'
  else 'gone' end
from given left join touched on touched.id = given.id`);

  // If the fence refuses a change, the same update turns the session into a tombstone.
  const update = (given: string, matching: string, fences: Fences): Statement =>
    statement(`
with given as materialized (select given.* from ${given}, ${patience(10)})${fences.locked},
${held(matching, `and s.revoked_at is null ${fences.first}`)}, live as materialized (
  select * from (select held.*, ${NOW} as now from held, ${DURABLE}) held where expires_at > now
), judged as materialized (
  select *, case
    when if_version <> version then 'conflict'
    when not locked then 'cancelled'
    when new_user is not null and (
      new_instant <= now - ${tombstone} or (rebound and new_instant <= fence)
    ) then 'fenced'
    else 'updated' end as verdict
  from (
    select live.*, given.data, given.if_version, ${fences.columns},
      case when given.binds then given.user_id else live.user_id end as new_user,
      given.binds and given.user_id is distinct from live.user_id as rebound,
      ${notAfterNow("given.authenticated_at")} as new_instant,
      coalesce(given.idle * ${MILLISECOND}, live.idle_timeout) as new_idle,
      coalesce(live.now + given.lifetime * ${MILLISECOND}, live.ends_at) as new_end,
      case when given.touch then live.now else live.touched_at end as new_touch,
      case when given.binds or num_nonnulls(given.data, given.lifetime, given.authenticated_at) > 0 then 1 else 0 end as growth
    from live join given on given.id = live.id ${fences.join}
  ) live
), changed as (
  update ${table} s set
    revoked_at = case when verdict = 'fenced' then now end,
    data = case when verdict = 'fenced' then '' else coalesce(judged.data, s.data) end,
    user_id = case when verdict = 'updated' then new_user end,
    authenticated_at = case
      when verdict = 'fenced' or new_user is null then null
      when rebound then greatest(coalesce(new_instant, greatest(now, fence + ${MILLISECOND})), judged.authenticated_at)
      else greatest(judged.authenticated_at, new_instant) end,
    version = judged.version + growth,
    idle_timeout = new_idle,
    ends_at = case when verdict = 'fenced' then judged.ends_at else new_end end,
    touched_at = new_touch,
    expires_at = case
      when verdict = 'fenced' then greatest(judged.ends_at, now + ${tombstone})
      else least(new_touch + new_idle, new_end) end
  from judged where s.id = judged.id and verdict in ('updated', 'fenced')
  returning s.id
)
select ${state}, given.id, case
  when judged.id is null then 'gone' when verdict <> 'conflict' and changed.id is null then 'cancelled' else verdict end
from given left join judged on judged.id = given.id left join changed on changed.id = given.id`);

  // The insert is for unknown ids. Neither part has a row for an id that another transaction is creating or
  // revoking.
  const revoke = (given: string, matching: string): Statement =>
    statement(`
with given as materialized (select given.* from ${given}, ${patience(2)}),
${held(matching, "")}, judged as materialized (
  select held.*, ${NOW} as now from held, ${DURABLE}
), ended as (
  update ${table} s set revoked_at = coalesce(s.revoked_at, judged.now), ${BURIED},
    expires_at = greatest(s.ends_at, judged.now + ${tombstone}, case when s.revoked_at is not null then s.expires_at end)
  from judged where s.id = judged.id and s.id ${matching}
  returning s.id
), planted as (
  ${insertMark("id", "null")}
  from given, (select ${NOW} as now) clock, ${DURABLE}
  where not exists (select from held where held.id = given.id)
  order by id collate "C"
  on conflict (id) do nothing
  returning id
)
select ${state}, given.id, case
  when ended.id is not null then case when judged.revoked_at is null and judged.expires_at > judged.now then 'ended' else 'dead' end
  when judged.id is not null then 'cancelled'
  when planted.id is not null then 'dead'
  else 'again' end
from given
left join judged on judged.id = given.id left join ended on ended.id = given.id left join planted on planted.id = given.id`);

  // The fence is written once the clock has passed its instant, so a statement that sees the fence reads a
  // later clock.
  const fence = (durability: string): Statement =>
    statement(`
with asked as materialized (
  select now, coalesce(${instant("$2::bigint")}, now) as instant from (select ${NOW} as now) clock, ${patience(3)}, ${durability}
), fenced as (
  ${insertMark(`${FENCE} || $1::text`, "instant")} from asked where instant < now
  on conflict (id) do update set
    authenticated_at = greatest(mark.authenticated_at, excluded.authenticated_at),
    expires_at = greatest(mark.expires_at, excluded.expires_at)
  returning mark.id
)
select ${state}, $1::text, ${milliseconds("instant")}, case
  when instant > now then 'future' when instant = now then 'early' when fenced.id is null then 'cancelled' else 'fenced' end
from asked left join fenced on true`);

  const end = (from: string, lock: string, left: string): Statement =>
    statement(`
with held as materialized (
  select s.id, s.expires_at from ${table} s${from} where ${OF_USER} limit $5::bigint for no key update of s ${lock}
), judged as materialized (
  select held.*, ${NOW} as now from held, ${DURABLE}
), ended as (
  update ${table} s set revoked_at = last.now, ${BURIED}, expires_at = greatest(s.ends_at, last.now + ${tombstone})
  from (select max(now) as now from judged) last where s.id = any(array(select id from judged))
  returning s.id
)
select ${state}, $1::text, alive::text, found::text, (select count(*) from ended)::text, (found = $5::bigint ${left})::text
from (select count(*) as found, count(*) filter (where expires_at > now) as alive from judged) counted`);

  function held(matching: string, condition: string): string {
    return `held as materialized (
  select s.id, s.user_id, s.authenticated_at, s.version, s.idle_timeout, s.ends_at, s.touched_at, s.expires_at, s.revoked_at
  from ${table} s where s.id ${matching} ${condition}
  order by s.id for no key update
)`;
  }

  /** Inserts a fence or a tombstone. The rest of the statement must provide `now`. */
  function insertMark(id: string, at: string): string {
    return `insert into ${table} as mark (id, authenticated_at, data, version, created_at, idle_timeout, ends_at, touched_at, expires_at, revoked_at)
  select ${id}, ${at}, '', 1, now, interval '0', now, now, now + ${tombstone}, now`;
  }

  /** Locks the fences of the users that the calls name, and creates missing fences. */
  function withFences(): Fences {
    return {
      locked: `, fences as (
  ${insertMark(`${FENCE} || user_id`, "null")}
  from (select distinct user_id from given where user_id is not null) bound, (select ${NOW} as now) clock
  order by user_id collate "C"
  on conflict (id) do update set expires_at = greatest(mark.expires_at, excluded.expires_at)
  returning mark.id, mark.authenticated_at as instant
)`,
      first: "and (select count(*) from fences) >= 0",
      // Not locked if a trigger or rule cancelled the insert: the fence is then unknown.
      columns: "(given.user_id is null or fences.id is not null) as locked, fences.instant as fence",
      join: `left join fences on fences.id = ${FENCE} || given.user_id`,
    };
  }

  return {
    createAnonymous: forms(SESSION, (given) => create(given, NO_FENCES)),
    createForUser: forms(SESSION, (given) => create(given, withFences())),
    read: {
      one: read(givenBy(ID).one, table),
      // `offset 0` forces an index lookup per id. A join planned while the table was small would read all of
      // it.
      many: read(givenBy(ID).many, `lateral (select * from ${table} s where s.id = given.id offset 0)`),
    },
    touch: forms(ID, touch),
    update: forms(CHANGES, (given, matching) => update(given, matching, NO_FENCES)),
    updateWithUser: forms(CHANGES, (given, matching) => update(given, matching, withFences())),
    revoke: forms(ID, revoke),
    fence: fence(lazyIf("$3::text is not null")),
    durableFence: fence(DURABLE),
    // Skips sessions that another transaction has locked.
    endUnlocked: end(
      "",
      "skip locked",
      `or exists (select from ${table} s where ${OF_USER} and s.id <> all(array(select id from judged)))`,
    ),
    end: end(`, ${patience(6)}`, "", ""),
    listUser: statement(`
select ${state}, given.user_id, ${RECORD}
from unnest($1::text[]) given(user_id) left join lateral (
  select * from ${table} s
  where s.user_id = given.user_id and s.revoked_at is null and s.expires_at > clock_timestamp() offset 0
) s on true`),
    scan: statement(`
select ${state}, $1::text, ${SCANNED}, (s.revoked_at is null and s.expires_at > clock_timestamp())::text
from (select) one left join (select * from ${table} s where s.id >= $1 order by s.id limit $2::bigint) s on true
order by s.id`),
    now: statement(`select case when pg_is_in_recovery() then 'standby' end, 'now', ${milliseconds(NOW)}`),
    // Planned each time: a plan from when the table was small would read all of it. Commits asynchronously,
    // because rows that a crash restores have expired anyway. In a partitioned table, rows of two partitions
    // can have the same ctid, and each statement covers the same pages of every partition.
    sweep: unprepared(`
with turn as materialized (
  select not $4::boolean or pg_try_advisory_xact_lock(${SWEEPING}, ${literal}::regclass::oid::int) as ours from ${lazyIf("true")}
), dead as materialized (
  select s.tableoid, s.ctid from ${table} s, turn
  where turn.ours and s.ctid >= $1::tid and s.ctid < $2::tid and s.expires_at <= clock_timestamp()
  limit $3::bigint for update of s skip locked
), swept as (
  delete from ${table} s where s.ctid = any(array(select ctid from dead)) and (s.tableoid, s.ctid) in (select tableoid, ctid from dead)
  returning 1
)
select ${state}, 'sweep', ours::text, swept::text,
  (date_part('epoch', clock_timestamp() - statement_timestamp()) * 1000)::text,
  (greatest(pg_relation_size(${literal}::regclass), (select max(pg_relation_size(relid)) from pg_partition_tree(${literal}::regclass)))
    / current_setting('block_size')::bigint)::text
from (select (select ours from turn), (select count(*) from swept) as swept offset 0) done`),
  };
}

/**
 * The clauses of a statement that binds no session and so needs no fence: a save takes 0.17 ms, not 0.20 ms.
 */
const NO_FENCES = {
  /** A `with` query that locks the fences. */
  locked: "",
  /** A condition on the sessions to lock, so that the fences are locked first. */
  first: "",
  /** Columns for each row of `given`. */
  columns: "true as locked, null::timestamptz as fence",
  join: "",
};

type Fences = typeof NO_FENCES;

/**
 * The prefix of a fence's id, followed by the user id. No session has such an id: in an encoded key, a
 * hexadecimal digit follows U+0001 (`text.ts`).
 */
const FENCE = "chr(1) || 'u'";
const BURIED = "user_id = null, authenticated_at = null, data = ''";

const MILLISECOND = "interval '1 millisecond'";

/**
 * Matches the user's sessions that a fence ends, and without a given instant ($4) those authenticated in the
 * future: before the clock was set back, or before a failover to a server whose clock is behind. A session
 * without `authenticated_at` was written by hand.
 *
 * `(select $1)` hides the user from the planner, which for very many sessions would scan the table for each
 * batch.
 */
const OF_USER = `s.user_id = (select $1::text) and s.revoked_at is null and s.id is distinct from $2 and (
    s.authenticated_at <= ${instant("$3::bigint")} or s.authenticated_at is null or ($4::boolean and s.authenticated_at > clock_timestamp()))`;

/** The store's clock. It advances while a statement waits; `now()` does not. */
const NOW = "date_trunc('milliseconds', clock_timestamp())";

/**
 * `now`, unless the session was used while the touch waited. A `touched_at` in the future dates from before
 * the clock was set back.
 */
const LAST_USE = "case when s.touched_at between now and clock_timestamp() then s.touched_at else now end";

/** Makes the commit of this transaction asynchronous if the condition holds. */
function lazyIf(condition: string): string {
  return `(select case when ${condition} then set_config('synchronous_commit', 'off', true) end) lazy`;
}

/** Makes the commit synchronous, even if it is off for the server, the database or the role. */
const DURABLE =
  "(select case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', true) end) durable";

/**
 * Sets `lock_timeout`. The server reads it whenever a wait begins, so it already applies to this statement.
 */
function patience(parameter: number): string {
  return `(select case when $${parameter}::text is not null then set_config('lock_timeout', $${parameter}, true) end) patience`;
}

const RECORD = recordBy(milliseconds);

/** `infinity`, written by hand, has no milliseconds (SQLSTATE 22003), and would make its whole page fail. */
const SCANNED = recordBy((moment) => `case when isfinite(${moment}) then ${milliseconds(moment)} end`);

function recordBy(toMilliseconds: (moment: string) => string): string {
  return [
    "s.id, s.user_id, s.data, s.version::text",
    toMilliseconds("case when s.user_id is not null then coalesce(s.authenticated_at, s.created_at) end"),
    ...["created_at", "touched_at", "idle_timeout", "expires_at", "ends_at"].map((column) =>
      toMilliseconds(`s.${column}`),
    ),
  ].join(", ");
}

function milliseconds(moment: string): string {
  return `(date_part('epoch', ${moment}) * 1000)::bigint::text`;
}

/** The instant, but at most the row's `now`. `least` alone would turn an absent instant into `now`. */
function notAfterNow(value: string): string {
  return `case when ${value} is not null then least(${instant(value)}, now) end`;
}

function instant(value: string): string {
  return `(timestamptz 'epoch' + ${value} * ${MILLISECOND})`;
}

/** The values of a call, as columns of `given`. */
const ID = "id text";
const SESSION = "id text, user_id text, data text, idle bigint, lifetime bigint, authenticated_at bigint";
const CHANGES =
  "id text, data text, binds boolean, user_id text, idle bigint, lifetime bigint, authenticated_at bigint, touch boolean, if_version bigint";

/** @param text makes a statement from the source of the calls' values and the condition on `id` */
function forms(columns: string, text: (given: string, matching: string) => Statement): Forms {
  const { one, many } = givenBy(columns);
  return {
    one: text(one, "= (select id from given)"),
    many: text(many, "= any(array(select id from given))"),
  };
}

function givenBy(columns: string): { readonly one: string; readonly many: string } {
  const typed = columns.split(", ").map((column) => column.split(" "));
  const values = typed.map(([name, type], at) => `$${at + 1}::${type} as ${name}`);
  const arrays = typed.map(([, type], at) => `$${at + 1}::${type}[]`);
  const names = typed.map(([name]) => name);
  return {
    one: `(select ${values.join(", ")}) given`,
    many: `unnest(${arrays.join(", ")}) given(${names.join(", ")})`,
  };
}

/** The first key of the advisory lock that a sweeping instance holds; the second is the table's oid. */
const SWEEPING = 0x7e4e5e;
