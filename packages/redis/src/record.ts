import type { SessionRecord } from "@tenure/core";

/**
 * The value of a session's key. Text, so that `redis-cli` shows it; fixed in width up to the nonces, so that a touch
 * rewrites thirteen bytes.
 *
 * ```
 * at  width
 *  0   1   "s": a session
 *  2  10   version
 * 13  13   createdAt
 * 27  13   endsAt
 * 41  13   touchedAt
 * 55  13   idle
 * 69   8   how long the user id is, as it stands here; "--------": there is none
 * 78  13   when the window of the recent nonces began
 * 92   4   how many nonces are of the window before
 * 97   4   how many nonces are recent
 * 102      the nonces, 8 each
 *          the user id, percent-encoded
 *          the data
 * ```
 * A tombstone is `x`, the nonce of the call that ended the session (`--------`: there was none to end), and the nonces of
 * the calls that had written it.
 */
export const HEADER = 102;
export const NONCE = 8;
/** Stands where there is no user id, no nonce, or no longer one. */
export const NONE = "--------";

/** The session in the value of a key; `null` for a tombstone, `undefined` for what no store like this has written. */
export function decodeRecord(id: string, value: string): SessionRecord | null | undefined {
  const kind = value.charCodeAt(0);
  if (kind === TOMBSTONE) return null;
  if (kind !== SESSION || value.length < HEADER) return undefined;
  const endsAt = number(value, 27, 40);
  const touchedAt = number(value, 41, 54);
  const idle = number(value, 55, 68);
  const userAt = HEADER + NONCE * (number(value, 92, 96) + number(value, 97, 101));
  const user = value.slice(69, 77);
  const dataAt = user === NONE ? userAt : userAt + Number(user);
  return {
    id,
    userId: user === NONE ? null : decodeURIComponent(value.slice(userAt, dataAt)),
    data: value.slice(dataAt),
    version: number(value, 2, 12),
    createdAt: number(value, 13, 26),
    touchedAt,
    idle,
    expiresAt: Math.min(touchedAt + idle, endsAt),
    endsAt,
  };
}

/**
 * A user id as it stands in keys and values: ASCII, so that scripts and JavaScript count it alike.
 *
 * @throws TypeError for one that the header's eight digits can't count, some 30 megabytes at least
 * @throws URIError for lone surrogates
 */
export function encodeUser(userId: string): string {
  const encoded = encodeURIComponent(userId);
  if (encoded.length > LONGEST_USER) throw new TypeError("userId is too long: it may have some 30 megabytes");
  return encoded;
}

/** The header's field for an encoded user id. */
export function userField(encoded: string | null): string {
  return encoded === null ? NONE : String(encoded.length).padStart(8, "0");
}

const LONGEST_USER = 99_999_999;
const SESSION = 0x73;
const TOMBSTONE = 0x78;

/** Digits, read one by one: five times as fast as `Number(value.slice(from, to))`, and this is most of a read's decoding. */
function number(value: string, from: number, to: number): number {
  let result = 0;
  for (let at = from; at < to; at += 1) result = result * 10 + value.charCodeAt(at) - 0x30;
  return result;
}
