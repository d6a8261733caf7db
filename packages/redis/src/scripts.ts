import { createHash } from "node:crypto";
import type { Script } from "./client.ts";
import { HEADER, luaField, luaValue, NONCE, POSITIONS } from "./layout.ts";

/**
 * The scripts on sessions. Each decides by the clock of the server that holds the key, and its first argument is a deadline by
 * that clock: after it, the script only reports the time. So a command that a client or a network held back for longer
 * than its caller waited changes nothing.
 *
 * Each may run twice, because ioredis sends a command again when the connection closed before the reply came. A value keeps
 * the nonces of the calls that wrote it until their deadlines have passed. A script that finds its own nonce returns what it had
 * returned. In a tombstone, the last nonce is that of the call that ended the session.
 *
 * The server treats a key as expired once its clock is *past* the given instant, hence the `- 1`.
 *
 * The flag `allow-oom` is for what must work on a server that is full: touching and ending sessions.
 *
 * Every reply is an array: the server's time in milliseconds, then {@link Code}s and details.
 */
export function script(flags: "" | " flags=allow-oom" | " flags=no-writes", source: string): Script {
  const whole = `#!lua${flags}\n${source}`;
  return { source: whole, sha: createHash("sha1").update(whole).digest("hex") };
}

export const Code: Readonly<Record<CodeName, number>> = {
  LATE: -1,
  /** Nothing was there, or nothing that this call may change. */
  NOTHING: 0,
  DONE: 1,
  CONFLICT: 2,
  FENCED: 3,
  /** The key holds something that this store did not write for this id. */
  FOREIGN: 4,
  /** The index must have the id first. Details: the session's end, the user. */
  NEEDS_INDEX: 5,
  /** The session was left alive and is the user's. */
  KEPT: 6,
  /** The instant is after the server's clock. */
  FUTURE: 7,
};

type CodeName =
  | "LATE"
  | "NOTHING"
  | "DONE"
  | "CONFLICT"
  | "FENCED"
  | "FOREIGN"
  | "NEEDS_INDEX"
  | "KEPT"
  | "FUTURE";

export const CLOCK: string = `
local sub, number = string.sub, tonumber
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now >= tonumber(ARGV[1]) then return { now, ${Code.LATE} } end
`;

const NUMBERS = ["version", "createdAt", "authenticatedAt", "touchedAt", "idle", "endsAt"] as const;
const ENTRY = NONCE + 13;

/**
 * `open` reads a key into variables, and `write` writes them. ARGV[2] is where the id begins in a key.
 *
 * Nonces are kept a second longer than their deadlines: a call may be repeated with a new deadline, within the time that its
 * caller waits, if the deadline was found to be wrong.
 */
const SESSION = `${CLOCK}
local key, id, value, kind, ${NUMBERS.join(", ")}, userLength, user, marks, nonces, dataAt

local function open(name)
  key = name
  id = sub(key, number(ARGV[2]))
  value = redis.pcall('GET', key)
  kind, user, userLength, marks, nonces = '', '', '--------', '', ''
  ${NUMBERS.map((name) => `${name} = 0`).join("; ")}
  if not value then return true end
  if type(value) == 'table' or #value < ${HEADER} then return false end
  kind = ${luaField("kind")}
  if kind ~= 's1' and kind ~= 'x1' and kind ~= 'm1' then return false end
  local at = ${HEADER + 2} + #id
  if sub(value, ${HEADER + 1}, at - 1) ~= id .. ' ' then return false end
  ${NUMBERS.map((name) => `${name} = ${luaField(name)}`).join("; ")}
  userLength = ${luaField("userLength")}
  local length = number(userLength) or 0
  user = sub(value, at, at + length - 1)
  at = at + length
  length = ${luaField("marksLength")}
  marks = sub(value, at, at + length - 1)
  at = at + length
  length = ${luaField("noncesLength")}
  nonces = sub(value, at, at + length - 1)
  dataAt = at + length
  return true
end

local function isAlive()
  return kind == 's1' and now < math.min(touchedAt + idle, endsAt)
end

-- 'last', 'earlier' or nil: whether the call with this nonce has written the value.
local function written(nonce)
  local at = string.find(nonces, nonce, 1, true)
  if not at or (at - 1) % ${ENTRY} ~= 0 then return nil end
  -- WAIT waits for what its own connection wrote, so a repeated call writes too, though nothing new.
  redis.call('PEXPIREAT', key, redis.call('PEXPIRETIME', key))
  return at == #nonces - ${ENTRY - 1} and 'last' or 'earlier'
end

-- Adds a call's nonce, and drops those of calls that can come again no more, or that 200 others have followed.
local function sign(nonce)
  local kept = ''
  for at = math.max(1, #nonces - ${200 * ENTRY - 1}), #nonces, ${ENTRY} do
    if number(sub(nonces, at + ${NONCE}, at + ${ENTRY - 1})) + 1000 >= now then
      kept = kept .. sub(nonces, at, at + ${ENTRY - 1})
    end
  end
  nonces = kept .. nonce .. string.format('%013d', ARGV[1])
end

-- The fence that revokeUser left in this value for a user, or -1.
local function markOf(name)
  local at = 1
  while at <= #marks do
    local length = number(sub(marks, at + 13, at + 20))
    if sub(marks, at + 21, at + 20 + length) == name then return number(sub(marks, at, at + 12)) end
    at = at + 21 + length
  end
  return -1
end

local function write(data, expires)
  local marksLength, noncesLength = #marks, #nonces
  redis.call('SET', key, ${luaValue()}, 'PXAT', expires)
end

local function bury(minimum, nonce)
  if nonce then sign(nonce) end
  kind, user, userLength, marks = 'x1', '', '--------', ''
  write('', math.max(endsAt, now + minimum))
end
`;

/**
 * deadline, where the id begins, nonce, idle, lifetime, "" or "=" and the user, authenticatedAt or "", the fence that the index
 * reported, the tombstone minimum, data → NOTHING (taken), DONE, FENCED, FOREIGN
 */
export const CREATE: Script = script(
  "",
  `${SESSION}
if not open(KEYS[1]) then return { now, ${Code.FOREIGN} } end
if written(ARGV[3]) then return { now, ${Code.DONE} } end
if kind == 'x1' or isAlive() then return { now, ${Code.NOTHING} } end
user, userLength, authenticatedAt = sub(ARGV[6], 2), '--------', 0
if ARGV[6] ~= '' then
  local fence = math.max(number(ARGV[8]), markOf(user))
  userLength = string.format('%08d', #user)
  authenticatedAt = math.max(now, fence + 1)
  if ARGV[7] ~= '' then
    authenticatedAt = math.min(number(ARGV[7]), now)
    if authenticatedAt <= now - ARGV[9] or authenticatedAt <= fence then return { now, ${Code.FENCED} } end
  end
end
kind, version, createdAt, touchedAt, idle, endsAt = 's1', 1, now, now, number(ARGV[4]), now + ARGV[5]
sign(ARGV[3])
write(ARGV[10], math.min(now + idle, endsAt) - 1)
return { now, ${Code.DONE} }`,
);

/**
 * On many keys. deadline, where the ids begin, then for each key ifVersion or "" → for each key NOTHING, DONE, CONFLICT, FOREIGN
 *
 * It needs no nonce: touching twice is touching at the second time.
 */
export const TOUCH: Script = script(
  " flags=allow-oom",
  `${CLOCK}
local reply, idAt, touched = { now }, number(ARGV[2]), string.format('%013d', now)
for i, key in ipairs(KEYS) do
  local id = sub(key, idAt) .. ' '
  local value = redis.pcall('GETRANGE', key, 0, ${HEADER - 1} + #id)
  local code = ${Code.FOREIGN}
  if value == '' then
    code = ${Code.NOTHING}
  elseif type(value) == 'string' and sub(value, ${HEADER + 1}) == id then
    local kind = ${luaField("kind")}
    if kind == 's1' then
      local idle, endsAt = ${luaField("idle")}, ${luaField("endsAt")}
      if now >= math.min(${luaField("touchedAt")} + idle, endsAt) then
        code = ${Code.NOTHING}
      elseif ARGV[i + 2] ~= '' and number(ARGV[i + 2]) ~= ${luaField("version")} then
        code = ${Code.CONFLICT}
      else
        redis.call('SETRANGE', key, ${POSITIONS.touchedAt[0]}, touched)
        redis.call('PEXPIREAT', key, math.min(now + idle, endsAt) - 1)
        code = ${Code.DONE}
      end
    elseif kind == 'x1' or kind == 'm1' then
      code = ${Code.NOTHING}
    end
  end
  reply[i + 1] = code
end
return reply`,
);

/**
 * deadline, where the id begins, nonce, ifVersion or "", idle or "", lifetime or "", "1" if it is a use, user: "" as it is, "-"
 * none, "=" and the user, authenticatedAt or "", the tombstone minimum, "" or "=" and the user whose index has the id, the
 * fence that it reported, the end that it covers, "=" and data or "" → NOTHING, DONE, CONFLICT, FENCED, FOREIGN, NEEDS_INDEX
 *
 * The index must have the id before the session gets a user, and before a session that has one gets a later end.
 */
export const UPDATE: Script = script(
  "",
  `${SESSION}
if not open(KEYS[1]) then return { now, ${Code.FOREIGN} } end
local mine = written(ARGV[3])
if mine == 'last' and kind == 'x1' then return { now, ${Code.FENCED} } end
if mine then return { now, ${Code.DONE} } end
if not isAlive() then return { now, ${Code.NOTHING} } end
if ARGV[4] ~= '' and number(ARGV[4]) ~= version then return { now, ${Code.CONFLICT} } end

local hasUser = userLength ~= '--------'
local isRebound = false
if ARGV[8] == '-' then
  hasUser, user = false, ''
elseif ARGV[8] ~= '' then
  local given = sub(ARGV[8], 2)
  isRebound = not hasUser or given ~= user
  hasUser, user = true, given
end
if hasUser and (isRebound or ARGV[6] ~= '')
  and (ARGV[11] ~= '=' .. user or (ARGV[6] == '' and endsAt > number(ARGV[13]))) then
  return { now, ${Code.NEEDS_INDEX}, endsAt, user }
end

if not hasUser then
  authenticatedAt = 0
elseif isRebound or ARGV[9] ~= '' then
  local fence = isRebound and math.max(number(ARGV[12]), markOf(user)) or -1
  local at = math.max(now, fence + 1)
  if ARGV[9] ~= '' then
    at = math.min(number(ARGV[9]), now)
    if at <= now - ARGV[10] or at <= fence then
      bury(ARGV[10], ARGV[3])
      return { now, ${Code.FENCED} }
    end
  end
  authenticatedAt = math.max(authenticatedAt, at)
end
userLength = hasUser and string.format('%08d', #user) or '--------'
local data = ARGV[14] ~= '' and sub(ARGV[14], 2) or sub(value, dataAt)
if ARGV[14] ~= '' or ARGV[8] ~= '' or ARGV[6] ~= '' or ARGV[9] ~= '' then version = version + 1 end
if ARGV[5] ~= '' then idle = number(ARGV[5]) end
if ARGV[6] ~= '' then endsAt = now + ARGV[6] end
if ARGV[7] ~= '' then touchedAt = now end
sign(ARGV[3])
write(data, math.min(touchedAt + idle, endsAt) - 1)
return { now, ${Code.DONE} }`,
);

/** deadline, where the id begins, nonce, the tombstone minimum → NOTHING, DONE (it was alive), FOREIGN */
export const REVOKE: Script = script(
  " flags=allow-oom",
  `${SESSION}
if not open(KEYS[1]) then return { now, ${Code.FOREIGN} } end
if kind == 'x1' then
  redis.call('PEXPIREAT', key, math.max(now + ARGV[4], redis.call('PEXPIRETIME', key)))
  return { now, written(ARGV[3]) == 'last' and ${Code.DONE} or ${Code.NOTHING} }
end
local wasAlive = isAlive()
bury(ARGV[4], wasAlive and ARGV[3] or nil)
return { now, wasAlive and ${Code.DONE} or ${Code.NOTHING} }`,
);

/**
 * On many keys of the ids in a user's index. deadline, where the ids begin, nonce, user, the instant up to which sessions end, the
 * user's fence, the tombstone minimum, then for each key any of the letters "k" (keep the session), "m" (leave a mark) and "n" (end up
 * to this server's time)
 * → for each key NOTHING, DONE (it was alive), KEPT, FOREIGN
 *
 * What is not ended gets the fence as a mark, so that a create or a binding that had read the index before the fence was
 * there meets it here.
 */
export const END: Script = script(
  " flags=allow-oom",
  `${SESSION}
local name, instant, fence, minimum = ARGV[4], number(ARGV[5]), number(ARGV[6]), number(ARGV[7])

local function mark()
  local kept, latest, at = '', fence, 1
  while at <= #marks do
    local its, length = number(sub(marks, at, at + 12)), number(sub(marks, at + 13, at + 20))
    if sub(marks, at + 21, at + 20 + length) == name then
      latest = math.max(latest, its)
    elseif its + minimum > now then
      kept = kept .. sub(marks, at, at + 20 + length)
    end
    at = at + 21 + length
  end
  marks = kept .. string.format('%013d%08d', latest, #name) .. name
  return latest + minimum
end

local function one(flags)
  local wasAlive = isAlive()
  if kind == 'x1' then
    return written(ARGV[3]) == 'last' and ${Code.DONE} or ${Code.NOTHING}
  end
  local upTo = string.find(flags, 'n', 1, true) and math.max(now, instant) or instant
  local isTheirs = wasAlive and userLength ~= '--------' and user == name
  if isTheirs and authenticatedAt <= upTo and not string.find(flags, 'k', 1, true) then
    bury(minimum, ARGV[3])
    return ${Code.DONE}
  end
  if string.find(flags, 'm', 1, true) then
    local useful = mark()
    if wasAlive then
      write(sub(value, dataAt), math.min(touchedAt + idle, endsAt) - 1)
    elseif useful > now then
      if kind ~= 'm1' then
        kind, user, userLength, nonces = 'm1', '', '--------', ''
        ${NUMBERS.map((field) => `${field} = 0`).join("; ")}
        redis.call('DEL', key)
      end
      write('', math.max(useful, redis.call('PEXPIRETIME', key)))
    end
  end
  return isTheirs and ${Code.KEPT} or ${Code.NOTHING}
end

local reply = { now }
for i, name in ipairs(KEYS) do
  reply[i + 1] = open(name) and one(ARGV[i + 7]) or ${Code.FOREIGN}
end
return reply`,
);
