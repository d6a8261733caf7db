import type { SessionRecord } from "@tenure/core";

/**
 * The header of a session's value: fields of fixed width. Then come the id and a space, the user, the marks,
 * the nonces and the data. It is text, so that `redis-cli` shows it. A touch rewrites thirteen bytes.
 *
 * The decoder, the scripts and the README's table come from these rows.
 */
export const FIELDS = [
  [
    "kind",
    2,
    "`s1` a session, `x1` a tombstone, `m1` no session, only marks. The digit is the version of this format",
  ],
  ["version", 10, "the session's version"],
  ["createdAt", 13, "epoch milliseconds, as is every instant"],
  ["authenticatedAt", 13, "zeros while anonymous"],
  ["touchedAt", 13, "the last use"],
  ["idle", 13, "the idle timeout, milliseconds"],
  ["endsAt", 13, "the end of the lifetime"],
  ["userLength", 8, "the length of the percent-encoded user id, `--------` while anonymous"],
  [
    "marksLength",
    8,
    "the length of the marks. A mark is a fence (13), the length of a user id (8) and that user id",
  ],
  [
    "noncesLength",
    8,
    "the length of the nonces. A nonce is 8 random characters and the deadline (13) of a recent write",
  ],
] as const;

type FieldName = (typeof FIELDS)[number][0];

/** The start and end (exclusive) of each field, from 0. A space follows each field. */
export const POSITIONS: Readonly<Record<FieldName, readonly [start: number, end: number]>> = positions();

export const HEADER: number = FIELDS.reduce((length, [, width]) => length + width + 1, 0);

/** A character takes up to nine when encoded, and eight digits hold the length of a user id. */
export const MAX_CHARACTERS = 11_111_111;

/** Random characters in a nonce. */
export const NONCE = 8;

/**
 * Decodes a session's value. The scripts do the same with {@link luaField}.
 *
 * @returns `null` for a tombstone or marks, `undefined` for a value that does not belong to this id
 */
export function decodeRecord(encodedId: string, value: string): SessionRecord | null | undefined {
  if (value.length < HEADER || value.charCodeAt(1) !== FORMAT) return undefined;
  const userAt = HEADER + encodedId.length + 1;
  if (!value.startsWith(encodedId, HEADER) || value.charCodeAt(userAt - 1) !== SPACE) return undefined;
  const kind = value.charCodeAt(0);
  if (kind !== SESSION) return kind === TOMBSTONE || kind === MARKS ? null : undefined;
  const isAnonymous = value.charCodeAt(POSITIONS.userLength[0]) === DASH;
  const marksAt = isAnonymous ? userAt : userAt + number(value, POSITIONS.userLength);
  const dataAt = marksAt + number(value, POSITIONS.marksLength) + number(value, POSITIONS.noncesLength);
  const version = number(value, POSITIONS.version);
  const createdAt = number(value, POSITIONS.createdAt);
  const authenticatedAt = number(value, POSITIONS.authenticatedAt);
  const touchedAt = number(value, POSITIONS.touchedAt);
  const idle = number(value, POSITIONS.idle);
  const endsAt = number(value, POSITIONS.endsAt);
  if (
    !(dataAt <= value.length) ||
    Number.isNaN(version + createdAt + authenticatedAt + touchedAt + idle + endsAt)
  )
    return undefined;
  const id = decodeText(encodedId);
  const userId = isAnonymous ? null : decodeText(value.slice(userAt, marksAt));
  if (id === undefined || userId === undefined) return undefined;
  return {
    id,
    userId,
    authenticatedAt: isAnonymous ? null : authenticatedAt,
    data: value.slice(dataAt),
    version,
    createdAt,
    touchedAt,
    idle,
    expiresAt: Math.min(touchedAt + idle, endsAt),
    endsAt,
  };
}

/**
 * Percent-encodes an id or user id. The result is ASCII, so Lua and JavaScript agree on its length.
 *
 * @throws TypeError for more than {@link MAX_CHARACTERS}
 */
export function encodeText(text: string): string {
  if (text.length > MAX_CHARACTERS)
    throw new TypeError(`an id or user id must have at most ${MAX_CHARACTERS} characters`);
  return PLAIN.test(text) ? text : encodeURIComponent(text);
}

/** Returns Lua that reads a field of `value` with `sub` and `digits`. A number that is not digits is nil. */
export function luaField(name: FieldName): string {
  const [start, end] = POSITIONS[name];
  const text = `sub(value, ${start + 1}, ${end})`;
  return TEXTS.has(name) ? text : `digits(${text})`;
}

/** Returns Lua that builds a value from variables with the names of its parts. */
export function luaValue(): string {
  const format = FIELDS.map(([name, width]) => (TEXTS.has(name) ? "%s " : `%0${width}d `)).join("");
  const variables = FIELDS.map(([name]) => name).join(", ");
  return `string.format('${format}', ${variables}) .. id .. ' ' .. user .. marks .. nonces .. data`;
}

function positions(): Record<FieldName, [start: number, end: number]> {
  let start = 0;
  const entries = FIELDS.map(([name, width]) => {
    const position: [number, number] = [start, start + width];
    start += width + 1;
    return [name, position];
  });
  return Object.fromEntries(entries) as Record<FieldName, [number, number]>;
}

const TEXTS: ReadonlySet<string> = new Set<FieldName>(["kind", "userLength"]);
/** The characters of common ids that `encodeURIComponent` leaves unchanged. */
const PLAIN = /^[\w.~-]*$/;
const SESSION = 0x73;
const TOMBSTONE = 0x78;
const MARKS = 0x6d;
const FORMAT = 0x31;
const DASH = 0x2d;
const SPACE = 0x20;

/** `undefined`: `encodeText` did not write it. */
function decodeText(encoded: string): string | undefined {
  if (!encoded.includes("%")) return encoded;
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}

/**
 * Reads digits one by one, most of the cost of decoding. `Number(value.slice(start, end))` takes five times
 * as long.
 *
 * @returns NaN if a character is not a digit
 */
function number(value: string, [start, end]: readonly [number, number]): number {
  let result = 0;
  for (let at = start; at < end; at += 1) {
    const digit = value.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return Number.NaN;
    result = result * 10 + digit;
  }
  return result;
}
