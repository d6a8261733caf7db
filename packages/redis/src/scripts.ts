import { createHash } from "node:crypto";
import { HEADER, NONCE, NONE } from "./record.ts";

/**
 * Every write that depends on state: one script, on one key, by the clock of the server that holds the key.
 *
 * A key's own expiry is what makes a `GET` exact: the server calls a key expired once its clock is *past* the given
 * instant, hence the `- 1`. A script's own clock may show the next millisecond already, so scripts compare as well.
 *
 * ioredis sends a command again when the connection closed before the answer came, and nobody knows whether it ran. So
 * each call brings a nonce, and a value keeps the nonces of the calls that wrote it for 30 to 60 seconds: two windows, of
 * which the older is dropped. A script that finds its own nonce answers what it had answered. A call whose caller has been
 * told of a failure takes its nonce back, and does nothing when it is sent after all.
 *
 * The flag `allow-oom` is for what takes no memory, so that a full server still revokes.
 */
export interface Script {
  readonly source: string;
  readonly sha: string;
}

function script(flags: "" | " flags=allow-oom", source: string): Script {
  const whole = `#!lua${flags}${source}`;
  return { source: whole, sha: createHash("sha1").update(whole).digest("hex") };
}

const CLOCK = `
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** The fields of record.ts in Lua's positions. Text and not functions: Lua would make those anew at each call. */
const number = (from: number, to: number): string => `tonumber(string.sub(value, ${from}, ${to}))`;
const VERSION = number(3, 12);
const CREATED_AT = number(14, 26);
const ENDS_AT = number(28, 40);
const TOUCHED_AT = number(42, 54);
const IDLE = number(56, 68);
const USER_FIELD = "string.sub(value, 70, 77)";
const SINCE = number(79, 91);
const EARLIER = number(93, 96);
const RECENT = number(98, 101);
const IS_SESSION = "(string.byte(value) == 115)";
const IS_ALIVE = `(now < math.min(${TOUCHED_AT} + ${IDLE}, ${ENDS_AT}))`;
const NONCES = `string.sub(value, ${HEADER + 1}, ${HEADER} + ${NONCE} * (${EARLIER} + ${RECENT}))`;

/** Answers `answer` if this call has written the value already. */
const answerAgain = (answer: string): string => `
local at = string.find(nonces, ARGV[1], 1, true)
if at and (at - 1) % ${NONCE} == 0 then
  -- It writes too, though nothing new: WAIT waits for what its own connection wrote.
  redis.call('PEXPIREAT', key, redis.call('PEXPIRETIME', key))
  return ${answer}
end`;

const WRITE = `
redis.call('SET', key,
  string.format('s %010d %013d %013d %013d %013d %s %013d %04d %04d ',
    version, createdAt, endsAt, now, idle, userField, since, earlier, recent) .. nonces .. user .. data,
  'PXAT', string.format('%d', math.min(now + idle, endsAt) - 1))`;

/** nonce, createdAt or "", idle, lifetime, user field, user, data → 1 created, 0 refused */
export const CREATE: Script = script(
  "",
  `${CLOCK}
if ARGV[1] == '${NONE}' then return -1 end
local value = redis.call('GET', key)
if value then
  local isSession = ${IS_SESSION}
  local nonces = isSession and ${NONCES} or string.sub(value, ${2 + NONCE})
  ${answerAgain("1")}
  if not isSession or ${IS_ALIVE} then return 0 end
end
local createdAt = math.min(tonumber(ARGV[2]) or now, now)
local endsAt = createdAt + ARGV[4]
if endsAt <= now then return 0 end
local version, idle, userField, user, data = 1, tonumber(ARGV[3]), ARGV[5], ARGV[6], ARGV[7]
local since, earlier, recent, nonces = now, 0, 1, ARGV[1]
${WRITE}
return 1`,
);

/** ifVersion or "" → 1 updated, 0 gone, 2 conflict. Needs no nonce: touching twice is touching at the second time. */
export const TOUCH: Script = script(
  " flags=allow-oom",
  `${CLOCK}
local value = redis.call('GETRANGE', key, 0, ${HEADER - 1})
if not ${IS_SESSION} then return 0 end
local idle, endsAt = ${IDLE}, ${ENDS_AT}
if now >= math.min(${TOUCHED_AT} + idle, endsAt) then
  redis.call('DEL', key)
  return 0
end
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= ${VERSION} then return 2 end
redis.call('SETRANGE', key, 41, string.format('%013d', now))
redis.call('PEXPIREAT', key, string.format('%d', math.min(now + idle, endsAt) - 1))
return 1`,
);

/**
 * nonce, ifVersion or "", idle or "", user field or "", user, "=" and data or "", whether the user's index has the id
 * → 1 updated, { 1, encoded user before } updated and rebound, 0 gone, 2 conflict, { 3, endsAt } not before the index has it
 */
export const UPDATE: Script = script(
  "",
  `${CLOCK}
if ARGV[1] == '${NONE}' then return -1 end
local value = redis.call('GET', key)
if not value then return 0 end
local isSession = ${IS_SESSION}
local nonces = isSession and ${NONCES} or string.sub(value, ${2 + NONCE})
${answerAgain("1")}
if not isSession then return 0 end
if not ${IS_ALIVE} then
  redis.call('DEL', key)
  return 0
end
local version, createdAt, endsAt = ${VERSION}, ${CREATED_AT}, ${ENDS_AT}
if ARGV[2] ~= '' and tonumber(ARGV[2]) ~= version then return 2 end
if ARGV[4] ~= '' or ARGV[6] ~= '' then version = version + 1 end
local idle = tonumber(ARGV[3]) or ${IDLE}

local userField = ${USER_FIELD}
local userAt = ${HEADER + 1} + #nonces
local dataAt = userAt + (tonumber(userField) or 0)
local user, before = string.sub(value, userAt, dataAt - 1), nil
if ARGV[4] ~= '' and (ARGV[4] ~= userField or ARGV[5] ~= user) then
  if ARGV[4] ~= '${NONE}' and ARGV[7] == '0' then return { 3, string.format('%d', endsAt) } end
  if userField ~= '${NONE}' then before = user end
  userField, user = ARGV[4], ARGV[5]
end
local data = string.sub(ARGV[6], 2)
if ARGV[6] == '' then data = string.sub(value, dataAt) end

local since, earlier, recent = math.min(${SINCE}, now), ${EARLIER}, ${RECENT}
if now - since >= 30000 or recent >= 9999 then
  -- After two windows even the youngest are old.
  if now - since >= 60000 then recent = 0 end
  nonces = string.sub(nonces, #nonces - recent * ${NONCE} + 1)
  since, earlier, recent = now, recent, 0
end
nonces, recent = nonces .. ARGV[1], recent + 1
${WRITE}
if before then return { 1, before } end
return 1`,
);

/**
 * nonce, minimum of the tombstone, "" or "=" and the encoded user whose it must be
 * → { 1, encoded user } ended, 1 ended and nobody's, 0 there was nothing to end, 2 it is not that user's, 4 it is no store's
 */
export const REVOKE: Script = script(
  " flags=allow-oom",
  `${CLOCK}
if ARGV[1] == '${NONE}' then return -1 end
local value = redis.call('GET', key)
local anyones = ARGV[3] == ''
local untilAt = now + ARGV[2]
if value and not ${IS_SESSION} then
  if string.byte(value) ~= 120 then return anyones and 4 or 2 end
  local ended = string.sub(value, 2, ${1 + NONCE}) == ARGV[1]
  if anyones or ended then
    redis.call('PEXPIREAT', key, string.format('%d', math.max(untilAt, redis.call('PEXPIRETIME', key))))
  end
  return ended and 1 or 0
end
if not value or not ${IS_ALIVE} then
  if anyones then redis.call('SET', key, 'x${NONE}', 'PXAT', string.format('%d', untilAt)) end
  return 0
end
local nonces, userField = ${NONCES}, ${USER_FIELD}
local userAt = ${HEADER + 1} + #nonces
local user = userField ~= '${NONE}' and string.sub(value, userAt, userAt + tonumber(userField) - 1)
if not anyones and (not user or ARGV[3] ~= '=' .. user) then return 2 end
redis.call('SET', key, 'x' .. ARGV[1] .. nonces, 'PXAT', string.format('%d', math.max(${ENDS_AT}, untilAt)))
if user then return { 1, user } end
return 1`,
);

/**
 * id, endsAt or "", createdAt or "", lifetime, allowance for clocks that differ, patience (INDEX_DOUBT)
 * → a few other ids to look after, each with its score: such as have long been in doubt, else any of a large index
 *
 * Raises a score, never lowers it: the id may be that of a session that lives longer.
 */
export const INDEX_ADD: Script = script(
  "",
  `${CLOCK}
local endsAt = tonumber(ARGV[2]) or math.min(tonumber(ARGV[3]) or now, now) + ARGV[4]
redis.call('ZADD', key, 'GT', string.format('%d', endsAt), ARGV[1])
local ended = redis.call('ZRANGE', key, 0, string.format('%d', now - ARGV[5]), 'BYSCORE', 'LIMIT', 0, 100)
if #ended > 0 then redis.call('ZREM', key, unpack(ended)) end
redis.call('PEXPIREAT', key, string.format('%d', math.max(redis.call('PEXPIRETIME', key), endsAt + ARGV[5])))
local doubted = redis.call('ZRANGE', key, string.format('%d', ARGV[6] - now), '(0', 'BYSCORE', 'LIMIT', 0, 4, 'WITHSCORES')
if #doubted > 0 or redis.call('ZCARD', key) <= 32 then return doubted end
return redis.call('ZRANDMEMBER', key, 4, 'WITHSCORES')`,
);

/**
 * patience, ids under which no live session of this user was found
 *
 * A create or a binding may be on its way between its two writes, so an id is only marked, by the instant as a negative
 * score; what writes the index again unmarks it. It goes when it is found dead again, longer after than any call takes.
 */
export const INDEX_DOUBT: Script = script(
  " flags=allow-oom",
  `${CLOCK}
for i = 2, #ARGV do
  local score = tonumber(redis.call('ZSCORE', key, ARGV[i]) or nil)
  if score and score >= 0 then
    redis.call('ZADD', key, 'XX', string.format('%d', -now), ARGV[i])
  elseif score and now + score >= tonumber(ARGV[1]) then
    redis.call('ZREM', key, ARGV[i])
  end
end
return 0`,
);
