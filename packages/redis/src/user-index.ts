import { type StoreOperation, StoreError } from "@tenure/core";
import { instantInTheFuture } from "@tenure/core/store";
import type { Commands, RunOptions } from "./commands.ts";
import { CLOCK, Code, script } from "./scripts.ts";

/**
 * Which sessions a user may have, and the user's fence, in one sorted set: so a script that adds an id reads the fence.
 *
 * ```
 * ZADD tenure:u:<user> <stamp> <id>       a stamp is the instant of the last addition, microseconds
 * ZADD tenure:u:<user> -<fence> :fence    milliseconds
 * ```
 * It names more ids than are alive, never fewer. Stamps are unique in a set and grow, so paging in their order misses no
 * id that is there throughout, and none that is added again meanwhile.
 *
 * An entry goes when a look at its session found nothing of this user's, and only if its stamp is still the same (so a removal may
 * arrive at any time). The look must come when no create or binding that relies on this addition can be under way: once
 * the stamp is {@link PATIENCE} old, or after the session got a tombstone.
 *
 * Users and ids are encoded (layout.ts).
 */
export interface UserIndex {
  /** Resolves once the index has the id, at least until the session ends, to the user's fence. */
  add(operation: StoreOperation, user: string, id: string, end: SessionEnd): Promise<Added>;
  /**
   * Fixes the fence, at the server's time if no instant is given, and resolves to the first page.
   *
   * @throws TypeError for an instant after the server's time
   */
  fence(user: string, instant: number | undefined, options?: RunOptions): Promise<FencedPage>;
  /** A page of the entries after a stamp. The last page is not full. */
  page(operation: StoreOperation, user: string, after: string): Promise<Page>;
  /** Whether the index of a user and a key are on one server. */
  sharesClock(user: string, key: string): boolean;
  /** Resolves once the server's clock is past an instant that {@link UserIndex.fence} fixed. */
  pastInstant(user: string, instant: number): Promise<void>;
  /** Removes entries whose stamps are still these. In the background, and it may fail. */
  remove(user: string, entries: readonly Entry[]): void;
}

/** The end of a session: known, or a lifetime after the server's time. */
export type SessionEnd = { readonly endsAt: number } | { readonly lifetime: number };

export interface Entry {
  readonly id: string;
  readonly stamp: string;
  /** No create or binding that relies on this entry can be under way. */
  readonly isSettled: boolean;
}

export interface Added {
  /** -1: the user has none. */
  readonly fence: number;
  /** A few settled entries of an index that has grown. */
  readonly sample: readonly Entry[];
}

export interface Page {
  readonly entries: readonly Entry[];
  /** The stamp of the last entry; `undefined`: this is the last page. */
  readonly next: string | undefined;
}

export interface FencedPage extends Page {
  /** The instant that this call fixed. */
  readonly instant: number;
  /** The user's fence, which an earlier call may have set later. */
  readonly fence: number;
}

export function userIndex(commands: Commands, prefix: string, tombstoneMinimum: number): UserIndex {
  const key = (user: string): string => `${prefix}u:${user}`;

  return {
    async add(operation, user, id, end) {
      const args = "endsAt" in end ? ["", String(end.endsAt)] : [String(end.lifetime), ""];
      const [now, , fence, ...found] = await commands.run(operation, ADD, key(user), [id, ...args], {
        durable: true,
      });
      return { fence: Number(fence), sample: entriesOf(found, Number(now)) };
    },

    async fence(user, given, options) {
      const args = [given === undefined ? "" : String(given), String(tombstoneMinimum)];
      const reply = await commands.run("revokeUser", FENCE, key(user), args, options);
      const [now, code, instant, fence, ...found] = reply;
      if (Number(code) === Code.FUTURE) throw instantInTheFuture();
      return { instant: Number(instant), fence: Number(fence), ...pageOf(found, Number(now)) };
    },

    async page(operation, user, after) {
      const [now, , ...found] = await commands.run(operation, READ, key(user), [after]);
      return pageOf(found, Number(now));
    },

    sharesClock: (user, other) => commands.shareClock(key(user), other),

    pastInstant: (user, instant) => commands.pastInstant("revokeUser", key(user), instant),

    remove(user, entries) {
      if (entries.length === 0) return;
      const args = entries.flatMap(({ id, stamp }) => [id, stamp]);
      // What stays is found again by the next call that reads the index.
      commands.run("listUser", REMOVE, key(user), args).catch(() => undefined);
    },
  };
}

/**
 * Entries in one command: the server takes about 0.2 ms for them. `page` of an index that grows as fast as it is read would not
 * end: a user would need this many logins in each round trip.
 */
const PAGE = 200;
/**
 * Milliseconds: longer than any create or binding is under way, which is at most twice the longest `timeout`, and the skew between
 * the clocks of a Cluster.
 */
const PATIENCE = 10 * 60 * 1000;
/** Milliseconds that an index lives longer than its sessions, whose servers may have other clocks. */
const ALLOWANCE = 60 * 60 * 1000;
/** The size from which additions return a sample, so that sessions that expire unlisted do not fill an index. */
const GROWN = 8;
/** The member that holds the fence. `encodeText` leaves no colon in an id. */
const MEMBER = ":fence";

const FENCE_NOW = `
local fence = -(tonumber(redis.call('ZSCORE', key, '${MEMBER}') or nil) or 1)
local function expire(at)
  redis.call('PEXPIREAT', key, string.format('%d', math.max(redis.call('PEXPIRETIME', key), at)))
end
`;

/** deadline, id, lifetime or "", endsAt or "" → DONE, the fence, then ids and stamps in turn */
const ADD = script(
  "",
  `${CLOCK}
local key = KEYS[1]
${FENCE_NOW}
local top = redis.call('ZRANGE', key, 0, 0, 'REV', 'WITHSCORES')
local stamp = math.max(time[1] * 1000000 + time[2], (tonumber(top[2]) or 0) + 1)
redis.call('ZADD', key, string.format('%d', stamp), ARGV[2])
expire((tonumber(ARGV[4]) or now + ARGV[3]) + ${ALLOWANCE})
local reply = { now, ${Code.DONE}, fence }
if redis.call('ZCARD', key) > ${GROWN} then
  local sample = redis.call('ZRANDMEMBER', key, 4, 'WITHSCORES')
  for i = 1, #sample, 2 do
    local its = tonumber(sample[i + 1])
    if its > 0 and its < stamp - ${PATIENCE * 1000} then
      reply[#reply + 1] = sample[i]
      reply[#reply + 1] = sample[i + 1]
    end
  end
end
return reply`,
);

/** Returns a page after `after`, behind a few numbers. */
const PAGE_OF = `
for _, found in ipairs(redis.call('ZRANGE', key, '(' .. after, '+inf', 'BYSCORE', 'LIMIT', 0, ${PAGE}, 'WITHSCORES')) do
  reply[#reply + 1] = found
end
return reply`;

/** deadline, the instant of the fence or "", the tombstone minimum → DONE, the instant, the user's fence, ids and stamps in turn; or FUTURE */
const FENCE = script(
  " flags=allow-oom",
  `${CLOCK}
local key, after = KEYS[1], '0'
${FENCE_NOW}
-- A login without an instant of its own is stored as a millisecond after the fence. In the same millisecond it must not be missed.
local instant = tonumber(ARGV[2]) or math.max(now, fence + 1)
if ARGV[2] ~= '' and instant > now then return { now, ${Code.FUTURE} } end
fence = math.max(fence, instant)
redis.call('ZADD', key, string.format('%d', -fence), '${MEMBER}')
expire(fence + ARGV[3])
local reply = { now, ${Code.DONE}, instant, fence }
${PAGE_OF}`,
);

/** deadline, a stamp → DONE, then ids and stamps in turn */
const READ = script(
  " flags=no-writes",
  `${CLOCK}
local key, after = KEYS[1], ARGV[2]
local reply = { now, ${Code.DONE} }
${PAGE_OF}`,
);

/** deadline, then ids and stamps in turn → DONE */
const REMOVE = script(
  " flags=allow-oom",
  `${CLOCK}
for i = 2, #ARGV, 2 do
  local stamp = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or nil)
  if stamp and stamp == tonumber(ARGV[i + 1]) then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
return { now, ${Code.DONE} }`,
);

function pageOf(found: readonly unknown[], now: number): Page {
  const entries = entriesOf(found, now);
  return { entries, next: entries.length < PAGE ? undefined : entries.at(-1)?.stamp };
}

function entriesOf(found: readonly unknown[], now: number): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at + 1 < found.length; at += 2) {
    const [id, stamp] = [found[at], String(found[at + 1])];
    if (typeof id !== "string")
      throw new StoreError("listUser", "a user's index returned something that is not an id");
    entries.push({ id, stamp, isSettled: Number(stamp) / 1000 + PATIENCE < now });
  }
  return entries;
}
