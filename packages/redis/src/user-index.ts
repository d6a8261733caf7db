import { StoreError, type StoreOperation } from "@tenure/core";
import { instantInTheFuture } from "@tenure/core/store";
import { type Commands, foreignValue, notAReply } from "./commands.ts";
import { Code, script } from "./scripts.ts";

/**
 * The ids of each user's sessions and the user's fence, in one sorted set, so that a script that adds an id
 * reads the fence.
 *
 * ```
 * ZADD tenure:u:<user> <stamp> <id>       the stamp is the instant of the last addition, microseconds
 * ZADD tenure:u:<user> -<fence> :fence    milliseconds
 * ```
 * A set may have ids without a live session, and has every id with one. Its stamps are unique and grow, so
 * paging by stamp misses no id that stays in the set, and none that is added again meanwhile.
 *
 * An entry is removed after a read of its session found nothing of this user's, if the stamp is still the
 * same (so a removal may arrive at any time). No create or binding that relies on the addition may be in
 * flight at that read: the stamp must be {@link PATIENCE} old, or the session have a tombstone.
 *
 * Users and ids are encoded (layout.ts).
 */
export interface UserIndex {
  keyOf(user: string): string;
  /** Adds an id, which then stays at least until the session ends. */
  add(operation: "create" | "update", user: string, id: string, end: SessionEnd): Promise<Added>;
  /**
   * Sets the fence to an instant, by default to the server's time, and resolves to the first page.
   *
   * @throws TypeError for an instant after the server's time
   */
  fence(user: string, instant: number | undefined): Promise<FencedPage>;
  fenceDurably(user: string, instant: number): Promise<void>;
  /** Resolves to the entries after a stamp. The last page is not full. */
  page(operation: "revokeUser" | "listUser", user: string, after: string): Promise<Page>;
  /** Removes entries whose stamps are unchanged, in the background. May fail. */
  remove(user: string, entries: readonly Entry[]): void;
}

/** When a session ends: an instant, or a lifetime from the server's time. */
export type SessionEnd = { readonly endsAt: number } | { readonly lifetime: number };

export interface Entry {
  readonly id: string;
  readonly stamp: string;
  /** No create or binding that relies on this entry can be in flight. */
  readonly isSettled: boolean;
}

export interface Added {
  /** The user's fence. -1: there is none. */
  readonly fence: number;
  /** A few settled entries of an index that has grown. */
  readonly sample: readonly Entry[];
}

export interface Page {
  readonly entries: readonly Entry[];
  /** The stamp of the last entry. `undefined`: this is the last page. */
  readonly next: string | undefined;
}

export interface FencedPage extends Page {
  /** The instant that this call gave the fence. */
  readonly instant: number;
  /** The user's fence, which an earlier call may have set to a later instant. */
  readonly fence: number;
}

export function userIndex(commands: Commands, prefix: string, tombstoneMinimum: number): UserIndex {
  const keyOf = (user: string): string => `${prefix}u:${user}`;
  const add = {
    create: commands.script("create", ADD, { isDurable: true }),
    update: commands.script("update", ADD, { isDurable: true }),
  };
  const read = {
    revokeUser: commands.script("revokeUser", READ),
    listUser: commands.script("listUser", READ),
  };
  const fix = commands.script("revokeUser", FENCE);
  const fixDurably = commands.script("revokeUser", FENCE, { isDurable: true });
  const remove = commands.script("listUser", REMOVE);
  const minimum = String(tombstoneMinimum);

  return {
    keyOf,

    async add(operation, user, id, end) {
      const args = "endsAt" in end ? [id, "", String(end.endsAt)] : [id, String(end.lifetime), ""];
      const [now, fence, ...found] = details(operation, await add[operation](keyOf(user), args));
      return { fence: Number(fence), sample: entriesOf(found, Number(now)) };
    },

    async fence(user, given) {
      const result = await fix(keyOf(user), [given === undefined ? "" : String(given), minimum]);
      if (Number(result) === Code.FUTURE) throw instantInTheFuture();
      const [now, instant, fence, ...found] = details("revokeUser", result);
      return { instant: Number(instant), fence: Number(fence), ...pageOf(found, Number(now)) };
    },

    async fenceDurably(user, instant) {
      await fixDurably(keyOf(user), [String(instant), minimum]);
    },

    async page(operation, user, after) {
      const [now, ...found] = details(operation, await read[operation](keyOf(user), [after]));
      return pageOf(found, Number(now));
    },

    remove(user, entries) {
      if (entries.length === 0) return;
      const all = entries.map(({ id, stamp }) => `${id} ${stamp} `).join("");
      // The next call that reads the index finds what was not removed.
      remove(keyOf(user), [all]).catch(() => undefined);
    },
  };
}

/**
 * Entries per command: about 0.2 ms of the server's time. Paging ends unless a user logs in this often per
 * round trip.
 */
const PAGE = 200;
/**
 * Milliseconds: longer than a create or binding can be in flight (twice the longest `timeout`), with an
 * allowance for the clock skew in a Cluster.
 */
const PATIENCE = 10 * 60 * 1000;
/** Milliseconds that an index outlives its sessions, whose servers may have other clocks. */
const ALLOWANCE = 60 * 60 * 1000;
/** Additions to a larger index return a sample, so that sessions that expire unlisted do not fill it. */
const GROWN = 8;
/** The member that holds the fence. An encoded id has no colon. */
const MEMBER = ":fence";

const FENCE_OF = `
local function fenceOf()
  return -(number(redis.call('ZSCORE', key, '${MEMBER}') or nil) or 1)
end
local function expire(at)
  redis.call('PEXPIREAT', key, string.format('%d', math.max(redis.call('PEXPIRETIME', key), at)))
end
`;

/** One of lifetime and endsAt is "". Returns the time, the fence, then ids and stamps in turn. */
const ADD = script({
  args: ["id", "lifetime", "endsAt"],
  functions: FENCE_OF,
  body: `
local top = redis.call('ZRANGE', key, 0, 0, 'REV', 'WITHSCORES')
local stamp = math.max(time[1] * 1000000 + time[2], (number(top[2]) or 0) + 1)
redis.call('ZADD', key, string.format('%d', stamp), id)
expire((number(endsAt) or now + lifetime) + ${ALLOWANCE})
local found = { now, fenceOf() }
if redis.call('ZCARD', key) > ${GROWN} then
  local sample = redis.call('ZRANDMEMBER', key, 4, 'WITHSCORES')
  for i = 1, #sample, 2 do
    local its = number(sample[i + 1])
    if its > 0 and its < stamp - ${PATIENCE * 1000} then
      found[#found + 1] = sample[i]
      found[#found + 1] = sample[i + 1]
    end
  end
end
return found`,
});

/** Appends the page after a stamp to an array. */
const ADD_PAGE = `
local function addPage(found, after)
  for _, one in ipairs(redis.call('ZRANGE', key, '(' .. after, '+inf', 'BYSCORE', 'LIMIT', 0, ${PAGE}, 'WITHSCORES')) do
    found[#found + 1] = one
  end
  return found
end
`;

/**
 * given: the instant of the fence, or "". Returns the time, the instant, the user's fence, then ids and
 * stamps in turn; or FUTURE.
 */
const FENCE = script({
  flags: "allow-oom",
  args: ["given", "minimum"],
  functions: FENCE_OF + ADD_PAGE,
  body: `
local fence = fenceOf()
-- A login without authenticatedAt is dated a millisecond after the fence. A fence in that same millisecond
-- must cover it.
local instant = number(given) or math.max(now, fence + 1)
if given ~= '' and instant > now then return ${Code.FUTURE} end
fence = math.max(fence, instant)
redis.call('ZADD', key, string.format('%d', -fence), '${MEMBER}')
expire(fence + minimum)
return addPage({ now, instant, fence }, '0')`,
});

/** after: a stamp. Returns the time, then ids and stamps in turn. */
const READ = script({
  flags: "no-writes",
  args: ["after"],
  functions: ADD_PAGE,
  body: `
return addPage({ now }, after)`,
});

/** entries: ids and stamps in turn, each followed by a space. Returns DONE. */
const REMOVE = script({
  flags: "allow-oom",
  args: ["entries"],
  body: `
for id, stamp in string.gmatch(entries, '(%S+) (%S+) ') do
  local its = number(redis.call('ZSCORE', key, id) or nil)
  if its and its == number(stamp) then redis.call('ZREM', key, id) end
end
return ${Code.DONE}`,
});

function details(operation: StoreOperation, result: unknown): readonly unknown[] {
  if (Array.isArray(result)) return result;
  if (Number(result) === Code.FOREIGN) throw foreignValue(operation);
  throw notAReply(operation);
}

function pageOf(found: readonly unknown[], now: number): Page {
  const entries = entriesOf(found, now);
  return { entries, next: entries.length < PAGE ? undefined : entries.at(-1)?.stamp };
}

function entriesOf(found: readonly unknown[], now: number): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at + 1 < found.length; at += 2) {
    const [id, stamp] = [found[at], String(found[at + 1])];
    if (typeof id !== "string")
      throw new StoreError("listUser", "Redis returned an id in a user's index that is not a string");
    entries.push({ id, stamp, isSettled: Number(stamp) / 1000 + PATIENCE < now });
  }
  return entries;
}
