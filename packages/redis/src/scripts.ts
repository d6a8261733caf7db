import { createHash } from "node:crypto";
import type { Script } from "./client.ts";
import { HEADER, luaField, luaValue, NONCE, POSITIONS } from "./layout.ts";

export interface ScriptParts {
  /** `allow-oom` is for what must work while the server's memory is full: touching and ending sessions. */
  readonly flags?: "allow-oom" | "no-writes";
  /** Names of the arguments that all keys share. */
  readonly shared?: readonly string[];
  /** Names of the arguments of each key. */
  readonly args: readonly string[];
  /** Lua functions for `body`. They may use `key`. */
  readonly functions?: string;
  /** Lua that returns the result for `key`: a {@link Code} or an array, never nil. */
  readonly body: string;
}

/**
 * Builds a script for any number of keys, which it handles independently. Its arguments are a deadline, a
 * nonce, the shared arguments and those of each key. It replies with the server's time in milliseconds and a
 * result for each key, or with the time and {@link Code.LATE}.
 *
 * **Deadline.** An instant of the clock of the server that holds the keys. From then on the script only
 * reports the time, so a command that the client or the network held back for longer than its caller waited
 * changes nothing.
 *
 * **Nonce.** ioredis sends a command again if the connection closes before the reply. A value keeps the
 * nonces of the commands that wrote it until their deadlines, and a script that finds its own nonce returns
 * its first result. So a command must not contain a key twice. A tombstone's last nonce is that of the
 * command that ended the session.
 *
 * **Errors.** A key of another type or with a damaged value gets {@link Code.FOREIGN}, and the others get
 * their results. Both faults show before the key is written: the type at the first access, damage as a Lua
 * error while decoding. Other server errors reject the command. On Redis 7.0 and 8.0 and Valkey 9.1, `pcall`
 * returns errors as strings: a server error begins with its code in capitals, a Lua error with
 * `user_script:`. Raising a string puts another code in front of it; raising a table with `err` does not.
 *
 * A key expires once the server's clock is *past* the given instant, hence the `- 1`.
 */
export function script({ flags, shared = [], args, functions = "", body }: ScriptParts): Script {
  const locals = shared.map((name, at) => `local ${name} = ARGV[${at + 3}]`).join("\n");
  const ofKey = args.map((_, at) => `, ARGV[at + ${at + 1}]`).join("");
  const source = `#!lua${flags === undefined ? "" : ` flags=${flags}`}
local sub, number = string.sub, tonumber
-- Parses a stored number, which has digits only. Lua also accepts "-21", "1e9" and "inf", which would make a
-- loop endless or a write fail.
local function digits(text)
  return not string.find(text, '%D') and number(text) or nil
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local deadline, nonce = ARGV[1], ARGV[2]
if now >= number(deadline) then return { now, ${Code.LATE} } end
${locals}
local key
${functions}
local function resultOf(${args.join(", ")})
${body}
end
local reply, at = { now }, ${shared.length + 2}
for i = 1, #KEYS do
  key = KEYS[i]
  local isDone, result = pcall(resultOf${ofKey})
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
  /** No session, or none that this call may change. */
  NOTHING: 0,
  DONE: 1,
  CONFLICT: 2,
  FENCED: 3,
  /** The key holds something that this store did not write for this id. */
  FOREIGN: 4,
  /** The session is the user's, and stays alive. */
  KEPT: 5,
  /** The instant is later than the server's clock. */
  FUTURE: 6,
} as const;

const NUMBERS = ["version", "createdAt", "authenticatedAt", "touchedAt", "idle", "endsAt"] as const;
const ZEROS = NUMBERS.map(() => "0").join(", ");
const ENTRY = NONCE + 13;
/**
 * How much of a value is read first, usually all but its data. Redis hashes every string that it passes to
 * Lua, at 1 µs per kilobyte.
 */
const BEGINNING = 256;

/** The position of the id in a key, and the tombstone minimum. */
const SHARED = ["idAt", "minimum"];

/**
 * `open` reads `key` into variables, and `write` writes them.
 *
 * A nonce is kept for a second after its deadline, for a call that is repeated with a corrected deadline.
 */
const SESSION = `
local id, value, kind, ${NUMBERS.join(", ")}, userLength, user, marks, nonces, dataAt
idAt, minimum = number(idAt), number(minimum)

-- Returns false if the key holds a value that was not written for its id.
local function open()
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

-- Returns 'last' or 'earlier' if this command has already written the value, else nil.
local function written()
  local at = string.find(nonces, nonce, 1, true)
  if not at or (at - 1) % ${ENTRY} ~= 0 then return nil end
  -- WAIT covers only writes of its own connection, so a repeated command writes too, without changing
  -- anything.
  redis.call('PEXPIREAT', key, redis.call('PEXPIRETIME', key))
  return at == #nonces - ${ENTRY - 1} and 'last' or 'earlier'
end

-- Adds this command's nonce. Drops nonces whose commands cannot come again, and all but the latest 200.
local function sign()
  local kept = ''
  for at = math.max(1, #nonces - ${200 * ENTRY - 1}), #nonces, ${ENTRY} do
    if digits(sub(nonces, at + ${NONCE}, at + ${ENTRY - 1})) + 1000 >= now then
      kept = kept .. sub(nonces, at, at + ${ENTRY - 1})
    end
  end
  nonces = kept .. nonce .. string.format('%013d', deadline)
end

-- Returns the fence that revokeUser left in this value for a user, or -1.
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

/**
 * givenUser: "" or "=" and the user. givenInstant: authenticatedAt or "". fence: as the index reported it.
 * Returns NOTHING (taken), DONE, FENCED or FOREIGN.
 */
export const CREATE: Script = script({
  shared: SHARED,
  args: ["givenIdle", "lifetime", "givenUser", "givenInstant", "fence", "data"],
  functions: SESSION,
  body: `
if not open() then return ${Code.FOREIGN} end
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

/** Returns NOTHING, DONE or FOREIGN. Needs no nonce: the later of two touches counts. */
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
 * flags: "t" for a use, "d" for new data. ifVersion: or "". terms: "" or these, each followed by a space:
 * idle or "", lifetime or "", user ("" unchanged, "-" none, "=" and the user), authenticatedAt or "", and for
 * the index entry "" or "=" and its user, the fence that the index reported, the session end that the entry
 * covers.
 *
 * Returns NOTHING, DONE, CONFLICT, FENCED or FOREIGN; or the session's end and user if the index must have
 * the id first: before the session gets a user, and before a session with a user gets a later end.
 */
export const UPDATE: Script = script({
  shared: SHARED,
  args: ["flags", "ifVersion", "terms", "data"],
  functions: SESSION,
  body: `
if not open() then return ${Code.FOREIGN} end
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

/** Returns NOTHING, DONE (the session was alive) or FOREIGN. */
export const REVOKE: Script = script({
  flags: "allow-oom",
  shared: SHARED,
  args: [],
  functions: SESSION,
  body: `
if not open() then return ${Code.FOREIGN} end
if kind == 'x1' then
  redis.call('PEXPIREAT', key, math.max(now + minimum, redis.call('PEXPIRETIME', key)))
  return written() == 'last' and ${Code.DONE} or ${Code.NOTHING}
end
local wasAlive = isAlive()
bury(wasAlive)
return wasAlive and ${Code.DONE} or ${Code.NOTHING}`,
});

/**
 * instant: sessions authenticated up to it end. fence: the user's. flags: "k" (keep the session), "m" (leave
 * a mark), "n" (end up to this server's time). Returns NOTHING, DONE (the session was alive), KEPT or
 * FOREIGN.
 *
 * A value that does not end gets the fence as a mark, which stops a create or binding that read the index
 * before the fence was set.
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
if not open() then return ${Code.FOREIGN} end
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
