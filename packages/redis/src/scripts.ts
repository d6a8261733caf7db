import { createHash } from "node:crypto";
import type { Script } from "./client.ts";
import { HEADER, luaField, luaValue, NONCE, POSITIONS } from "./layout.ts";

/** What a script is made of. */
export interface ScriptParts {
  /** `allow-oom` is for what must work on a server that is full: touching and ending sessions. */
  readonly flags?: "allow-oom" | "no-writes";
  /** Names of the arguments that its keys share. */
  readonly shared?: readonly string[];
  /** Names of the arguments that each key has. */
  readonly args: readonly string[];
  /** Lua: functions for `body`. */
  readonly functions?: string;
  /** Lua that returns a result for one `key`, which is not nil: a {@link Code}, or an array. */
  readonly body: string;
}

/**
 * A script on any number of keys, each by itself. Its arguments are a deadline, a nonce, those that the keys share and those of
 * each key. It decides by the clock of the server that holds the keys, and the deadline is an instant of that clock: after it,
 * the script only reports the time. So a command that a client or a network held back for longer than its caller waited changes
 * nothing.
 *
 * Each may run twice, because ioredis sends a command again when the connection closed before the reply came. A value keeps
 * the nonces of the commands that wrote it until their deadlines have passed. A script that finds its own nonce returns what it had
 * returned. So no key may be in one command twice. In a tombstone, the last nonce is that of the command that ended the session.
 *
 * The server treats a key as expired once its clock is *past* the given instant, hence the `- 1`.
 *
 * Its reply is an array: the server's time in milliseconds, then a result for each key; or the time and {@link Code.LATE}.
 *
 * A key of another type, or with a value that is damaged, is {@link Code.FOREIGN}, and the others have their results. The type shows
 * at the first access, and damage (an error of Lua's) while the value is decoded: nothing has been written for the key by then.
 *
 * The server's other errors reject the command. On Redis 7.0 and 8.0 and Valkey 9.1, `pcall` returns every error as a text: the server's begin
 * with their code, in capitals, and Lua's with `user_script:`. Raising a text puts another code in front of it; raising a table with
 * `err` does not.
 */
export function script({ flags, shared = [], args, functions = "", body }: ScriptParts): Script {
  const locals = shared.map((name, at) => `local ${name} = ARGV[${at + 3}]`).join("\n");
  const ofKey = args.map((_, at) => `, ARGV[at + ${at + 1}]`).join("");
  const source = `#!lua${flags === undefined ? "" : ` flags=${flags}`}
local sub, number = string.sub, tonumber
-- A number in a value, which has digits only. Elsewhere Lua reads "-21", "1e9" and "inf", by which a loop would not end, or a write would fail.
local function digits(text)
  return not string.find(text, '%D') and number(text) or nil
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local deadline, nonce = ARGV[1], ARGV[2]
if now >= number(deadline) then return { now, ${Code.LATE} } end
${locals}
${functions}
local function resultOf(${["key", ...args].join(", ")})
${body}
end
local reply, at = { now }, ${shared.length + 2}
for i, key in ipairs(KEYS) do
  local isDone, result = pcall(resultOf, key${ofKey})
  if not isDone then
    if string.find(result, '^%u') and not string.find(result, '^WRONGTYPE ') then error({ err = result }) end
    result = ${Code.FOREIGN}
  end
  reply[i + 1] = result
  at = at + ${args.length}
end
return reply`;
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}

export const Code = {
  LATE: -1,
  /** Nothing was there, or nothing that this call may change. */
  NOTHING: 0,
  DONE: 1,
  CONFLICT: 2,
  FENCED: 3,
  /** The key holds something that this store did not write for this id. */
  FOREIGN: 4,
  /** The session was left alive and is the user's. */
  KEPT: 5,
  /** The instant is after the server's clock. */
  FUTURE: 6,
} as const;

const NUMBERS = ["version", "createdAt", "authenticatedAt", "touchedAt", "idle", "endsAt"] as const;
const ZEROS = NUMBERS.map(() => "0").join(", ");
const ENTRY = NONCE + 13;
/**
 * How much of a value is read first: mostly all but its data. Redis hashes every string that Lua gets, a microsecond for a kilobyte, so the
 * data are not read where they are not needed.
 */
const BEGINNING = 256;

/** What scripts on sessions share: where the id begins in a key, and the tombstone minimum. */
const SHARED = ["idAt", "minimum"];

/**
 * `open` reads a key into variables, and `write` writes them.
 *
 * Nonces are kept a second longer than their deadlines: a call may be repeated with a new deadline, within the time that its
 * caller waits, if the deadline was found to be wrong.
 */
const SESSION = `
local key, id, value, kind, ${NUMBERS.join(", ")}, userLength, user, marks, nonces, dataAt
idAt, minimum = number(idAt), number(minimum)

-- Whether the key has nothing, or a value that was written for its id.
local function open(name)
  key = name
  id = sub(key, idAt)
  value = redis.call('GETRANGE', key, 0, ${BEGINNING - 1})
  if value == '' then
    kind, user, userLength, marks, nonces = '', '', '--------', '', ''
    ${NUMBERS.join(", ")} = ${ZEROS}
    return true
  end
  if #value < ${HEADER} then return false end
  kind = ${luaField("kind")}
  if kind ~= 's1' and kind ~= 'x1' and kind ~= 'm1' then return false end
  local at = ${HEADER + 2} + #id
  if sub(value, ${HEADER + 1}, at - 1) ~= id .. ' ' then return false end
  ${NUMBERS.join(", ")} = ${NUMBERS.map(luaField).join(", ")}
  userLength = ${luaField("userLength")}
  local userSize = userLength == '--------' and 0 or digits(userLength)
  local marksLength, noncesLength = ${luaField("marksLength")}, ${luaField("noncesLength")}
  if not (${[...NUMBERS, "userSize", "marksLength", "noncesLength"].join(" and ")}) then return false end
  local userEnd = at + userSize
  dataAt = userEnd + marksLength + noncesLength
  if dataAt > #value + 1 then value = redis.call('GET', key) end
  user = sub(value, at, userEnd - 1)
  marks = sub(value, userEnd, userEnd + marksLength - 1)
  nonces = sub(value, userEnd + marksLength, dataAt - 1)
  return true
end

local function storedData()
  return redis.call('GETRANGE', key, dataAt - 1, -1)
end

local function isAlive()
  return kind == 's1' and now < math.min(touchedAt + idle, endsAt)
end

-- 'last', 'earlier' or nil: whether this command has written the value.
local function written()
  local at = string.find(nonces, nonce, 1, true)
  if not at or (at - 1) % ${ENTRY} ~= 0 then return nil end
  -- WAIT waits for what its own connection wrote, so a repeated command writes too, though nothing new.
  redis.call('PEXPIREAT', key, redis.call('PEXPIRETIME', key))
  return at == #nonces - ${ENTRY - 1} and 'last' or 'earlier'
end

-- Adds the command's nonce, and drops those of commands that can come again no more, or that 200 others have followed.
local function sign()
  local kept = ''
  for at = math.max(1, #nonces - ${200 * ENTRY - 1}), #nonces, ${ENTRY} do
    if digits(sub(nonces, at + ${NONCE}, at + ${ENTRY - 1})) + 1000 >= now then
      kept = kept .. sub(nonces, at, at + ${ENTRY - 1})
    end
  end
  nonces = kept .. nonce .. string.format('%013d', deadline)
end

-- The fence that revokeUser left in this value for a user, or -1.
local function markOf(name)
  local at = 1
  while at <= #marks do
    local length = digits(sub(marks, at + 13, at + 20))
    if sub(marks, at + 21, at + 20 + length) == name then return digits(sub(marks, at, at + 12)) end
    at = at + 21 + length
  end
  return -1
end

local function write(data, expires)
  local marksLength, noncesLength = #marks, #nonces
  redis.call('SET', key, ${luaValue()}, 'PXAT', expires)
end

local function bury(wasAlive)
  if wasAlive then sign() end
  kind, user, userLength, marks = 'x1', '', '--------', ''
  write('', math.max(endsAt, now + minimum))
end
`;

/** givenUser: "" or "=" and the user. givenInstant: authenticatedAt or "". fence: that the index reported. → NOTHING (taken), DONE, FENCED, FOREIGN */
export const CREATE: Script = script({
  shared: SHARED,
  args: ["givenIdle", "lifetime", "givenUser", "givenInstant", "fence", "data"],
  functions: SESSION,
  body: `
if not open(key) then return ${Code.FOREIGN} end
if written() then return ${Code.DONE} end
if kind == 'x1' or isAlive() then return ${Code.NOTHING} end
user, userLength, authenticatedAt = sub(givenUser, 2), '--------', 0
if givenUser ~= '' then
  local fence = math.max(number(fence), markOf(user))
  userLength = string.format('%08d', #user)
  authenticatedAt = math.max(now, fence + 1)
  if givenInstant ~= '' then
    authenticatedAt = math.min(number(givenInstant), now)
    if authenticatedAt <= now - minimum or authenticatedAt <= fence then return ${Code.FENCED} end
  end
end
kind, version, createdAt, touchedAt, idle, endsAt = 's1', 1, now, now, number(givenIdle), now + lifetime
sign()
write(data, math.min(now + idle, endsAt) - 1)
return ${Code.DONE}`,
});

/**
 * → NOTHING, DONE, FOREIGN
 *
 * It needs no nonce: touching twice is touching at the second time.
 */
export const TOUCH: Script = script({
  flags: "allow-oom",
  shared: SHARED,
  args: [],
  functions: `
local touched = string.format('%013d', now)
idAt = number(idAt)`,
  body: `
local id = sub(key, idAt) .. ' '
local value = redis.call('GETRANGE', key, 0, ${HEADER - 1} + #id)
if value == '' then return ${Code.NOTHING} end
if sub(value, ${HEADER + 1}) ~= id then return ${Code.FOREIGN} end
local kind = ${luaField("kind")}
if kind == 'x1' or kind == 'm1' then return ${Code.NOTHING} end
local idle, endsAt, touchedAt = ${luaField("idle")}, ${luaField("endsAt")}, ${luaField("touchedAt")}
if kind ~= 's1' or not (idle and endsAt and touchedAt) then return ${Code.FOREIGN} end
if now >= math.min(touchedAt + idle, endsAt) then return ${Code.NOTHING} end
redis.call('SETRANGE', key, ${POSITIONS.touchedAt[0]}, touched)
redis.call('PEXPIREAT', key, math.min(now + idle, endsAt) - 1)
return ${Code.DONE}`,
});

/**
 * flags: "t" it is a use, "d" there are new data. ifVersion: or "". terms: "", or what else changes, each followed by a space: idle or "",
 * lifetime or "", user ("" as it is, "-" none, "=" and the user), authenticatedAt or "", "" or "=" and the user whose index has the id,
 * the fence that it reported, the end that it covers. → NOTHING, DONE, CONFLICT, FENCED, FOREIGN; or the session's end and the user, if the index must have the id first
 *
 * That is before the session gets a user, and before a session that has one gets a later end.
 */
export const UPDATE: Script = script({
  shared: SHARED,
  args: ["flags", "ifVersion", "terms", "data"],
  functions: SESSION,
  body: `
if not open(key) then return ${Code.FOREIGN} end
local mine = written()
if mine == 'last' and kind == 'x1' then return ${Code.FENCED} end
if mine then return ${Code.DONE} end
if not isAlive() then return ${Code.NOTHING} end
if ifVersion ~= '' and number(ifVersion) ~= version then return ${Code.CONFLICT} end

local isNew = string.find(flags, 'd', 1, true)
if terms ~= '' then
  local newIdle, lifetime, newUser, instant, indexed, indexFence, indexEnd =
    string.match(terms, '^${"(%S*) ".repeat(7)}$')
  local hasUser = userLength ~= '--------'
  local isRebound = false
  if newUser == '-' then
    hasUser, user = false, ''
  elseif newUser ~= '' then
    local given = sub(newUser, 2)
    isRebound = not hasUser or given ~= user
    hasUser, user = true, given
  end
  if hasUser and (isRebound or lifetime ~= '')
    and (indexed ~= '=' .. user or (lifetime == '' and endsAt > number(indexEnd))) then
    return { endsAt, user }
  end
  if not hasUser then
    authenticatedAt = 0
  elseif isRebound or instant ~= '' then
    local fence = isRebound and math.max(number(indexFence), markOf(user)) or -1
    local at = math.max(now, fence + 1)
    if instant ~= '' then
      at = math.min(number(instant), now)
      if at <= now - minimum or at <= fence then
        bury(true)
        return ${Code.FENCED}
      end
    end
    authenticatedAt = math.max(authenticatedAt, at)
  end
  userLength = hasUser and string.format('%08d', #user) or '--------'
  if newIdle ~= '' then idle = number(newIdle) end
  if lifetime ~= '' then endsAt = now + lifetime end
  isNew = isNew or newUser ~= '' or lifetime ~= '' or instant ~= ''
end
if isNew then version = version + 1 end
if string.find(flags, 't', 1, true) then touchedAt = now end
sign()
write(string.find(flags, 'd', 1, true) and data or storedData(), math.min(touchedAt + idle, endsAt) - 1)
return ${Code.DONE}`,
});

/** → NOTHING, DONE (it was alive), FOREIGN */
export const REVOKE: Script = script({
  flags: "allow-oom",
  shared: SHARED,
  args: [],
  functions: SESSION,
  body: `
if not open(key) then return ${Code.FOREIGN} end
if kind == 'x1' then
  redis.call('PEXPIREAT', key, math.max(now + minimum, redis.call('PEXPIRETIME', key)))
  return written() == 'last' and ${Code.DONE} or ${Code.NOTHING}
end
local wasAlive = isAlive()
bury(wasAlive)
return wasAlive and ${Code.DONE} or ${Code.NOTHING}`,
});

/**
 * On sessions of the ids in a user's index. instant: up to which sessions end. fence: the user's. flags: any of the letters "k" (keep the
 * session), "m" (leave a mark) and "n" (end up to this server's time).
 * → NOTHING, DONE (it was alive), KEPT, FOREIGN
 *
 * What is not ended gets the fence as a mark, so that a create or a binding that had read the index before the fence was
 * there meets it here.
 */
export const END: Script = script({
  flags: "allow-oom",
  shared: [...SHARED, "name", "instant", "fence"],
  args: ["flags"],
  functions: `${SESSION}
instant, fence = number(instant), number(fence)

local function mark()
  local kept, latest, at = '', fence, 1
  while at <= #marks do
    local its, length = digits(sub(marks, at, at + 12)), digits(sub(marks, at + 13, at + 20))
    if sub(marks, at + 21, at + 20 + length) == name then
      latest = math.max(latest, its)
    elseif its + minimum > now then
      kept = kept .. sub(marks, at, at + 20 + length)
    end
    at = at + 21 + length
  end
  marks = kept .. string.format('%013d%08d', latest, #name) .. name
  return latest + minimum
end`,
  body: `
if not open(key) then return ${Code.FOREIGN} end
if kind == 'x1' then return written() == 'last' and ${Code.DONE} or ${Code.NOTHING} end
local wasAlive = isAlive()
local upTo = string.find(flags, 'n', 1, true) and math.max(now, instant) or instant
local isTheirs = wasAlive and userLength ~= '--------' and user == name
if isTheirs and authenticatedAt <= upTo and not string.find(flags, 'k', 1, true) then
  bury(true)
  return ${Code.DONE}
end
if string.find(flags, 'm', 1, true) then
  local useful = mark()
  if wasAlive then
    write(storedData(), math.min(touchedAt + idle, endsAt) - 1)
  elseif useful > now then
    local before = kind == 'm1' and redis.call('PEXPIRETIME', key) or 0
    kind, user, userLength, nonces = 'm1', '', '--------', ''
    ${NUMBERS.join(", ")} = ${ZEROS}
    write('', math.max(useful, before))
  end
end
return isTheirs and ${Code.KEPT} or ${Code.NOTHING}`,
});
