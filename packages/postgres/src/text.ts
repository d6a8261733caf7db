/**
 * Encodes what PostgreSQL's text cannot hold: NUL, and lone surrogates, which pg would turn into U+FFFD, so
 * that two ids could become one. Each is stored as U+0001 and four hexadecimal digits, and so is U+0001
 * itself. All other text is stored as it is.
 */
export function encodeText(text: string): string {
  // Much faster than the regular expression, and enough for nearly all text.
  if (text.isWellFormed() && !text.includes("\0") && !text.includes("\u0001")) return text;
  return text.replaceAll(UNSTORABLE, (char) => `\u0001${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function decodeText(stored: string): string {
  return stored.includes("\u0001")
    ? stored.replaceAll(ENCODED, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : stored;
}

/**
 * Encodes an id or user id.
 *
 * @throws TypeError if it is not a string, or is too long for a b-tree index
 */
export function encodeKey(name: "id" | "userId" | "except", key: string): string {
  if (typeof key !== "string") throw new TypeError(`${name} must be a string, not ${typeof key}`);
  const text = encodeText(key);
  // UTF-8 takes at most three bytes per UTF-16 code unit.
  if (text.length * 3 > MAX_KEY_BYTES && Buffer.byteLength(text) > MAX_KEY_BYTES) {
    throw new TypeError(
      `${name} must not take more than ${MAX_KEY_BYTES} bytes of UTF-8: PostgreSQL cannot index longer ones`,
    );
  }
  return text;
}

/** A b-tree entry holds 2,704 bytes, including its overhead. */
const MAX_KEY_BYTES = 2000;

// oxlint-disable-next-line no-control-regex -- these are the characters meant
const UNSTORABLE = /[\0\u0001\p{Surrogate}]/gu;
// oxlint-disable-next-line no-control-regex -- as above
const ENCODED = /\u0001([0-9a-f]{4})/g;
