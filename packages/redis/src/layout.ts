import type { SessionRecord } from "@tenure/core";

/**
 * The value of a session's key: a header of fixed width, written from this table, then the id and a space, the user, the marks, the
 * nonces and the data, each right after the other. It is text, so that `redis-cli` shows it. A touch rewrites thirteen
 * bytes of the header.
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

/** Where each field begins, from 0, and ends, exclusive. One space separates the fields, and the header from the rest. */
export const POSITIONS: Readonly<Record<FieldName, readonly [start: number, end: number]>> = positions();

/** The length of the header. */
export const HEADER: number = FIELDS.reduce((length, [, width]) => length + width + 1, 0);

/** How many characters of a nonce are random. */
export const NONCE = 8;

/**
 * Decodes the value of a session's key. The scripts decode the same layout by {@link luaField}.
 *
 * @param encodedId the id as {@link encodeText} writes it
 * @returns `null` if there is no live session in it, `undefined` if it is not a value of this id
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
  const touchedAt = number(value, POSITIONS.touchedAt);
  const idle = number(value, POSITIONS.idle);
  const endsAt = number(value, POSITIONS.endsAt);
  const userId = isAnonymous ? null : decodedUser(value.slice(userAt, marksAt));
  if (userId === undefined) return undefined;
  return {
    id: decodeText(encodedId),
    userId,
    authenticatedAt: isAnonymous ? null : number(value, POSITIONS.authenticatedAt),
    data: value.slice(dataAt),
    version: number(value, POSITIONS.version),
    createdAt: number(value, POSITIONS.createdAt),
    touchedAt,
    idle,
    expiresAt: Math.min(touchedAt + idle, endsAt),
    endsAt,
  };
}

/**
 * An id or a user id as it stands in keys and values: ASCII, so that Lua and JavaScript count it alike.
 *
 * @throws TypeError for one that the eight digits of a length cannot count, at least 11 megabytes
 */
export function encodeText(text: string): string {
  const encoded = PLAIN.test(text) ? text : encodeURIComponent(text);
  if (encoded.length > LONGEST)
    throw new TypeError("an id or a user id is too long: it may have 11 megabytes");
  return encoded;
}

export function decodeText(encoded: string): string {
  return encoded.includes("%") ? decodeURIComponent(encoded) : encoded;
}

/** Lua that reads a field of `value`, with `sub` and `digits`: a number, except for `kind` and `userLength`. */
export function luaField(name: FieldName): string {
  const [start, end] = POSITIONS[name];
  const text = `sub(value, ${start + 1}, ${end})`;
  return TEXTS.has(name) ? text : `digits(${text})`;
}

/** Lua that makes a value of variables named as the fields, and of `id`, `user`, `marks`, `nonces` and `data`. */
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
/** What `encodeURIComponent` leaves as it is, in the alphabets of ids. */
const PLAIN = /^[\w.~-]*$/;
const LONGEST = 99_999_999;
const SESSION = 0x73;
const TOMBSTONE = 0x78;
const MARKS = 0x6d;
const FORMAT = 0x31;
const DASH = 0x2d;
const SPACE = 0x20;

/** `undefined`: `encodeText` has not written it. */
function decodedUser(encoded: string): string | undefined {
  try {
    return decodeText(encoded);
  } catch {
    return undefined;
  }
}

/** Reads digits one by one: five times as fast as `Number(value.slice(start, end))`, and most of the cost of decoding. */
function number(value: string, [start, end]: readonly [number, number]): number {
  let result = 0;
  for (let at = start; at < end; at += 1) result = result * 10 + value.charCodeAt(at) - 0x30;
  return result;
}
