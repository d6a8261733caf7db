/**
 * PostgreSQL's text holds neither NUL nor a lone surrogate, and pg would turn the latter into U+FFFD, so that two ids could
 * become one. Both are kept as U+0001 and four hexadecimal digits, and U+0001 itself likewise: what is stored reads as it
 * was written, and all other text, which is nearly all there is, stands in the table as it is.
 */
export function encodeText(text: string): string {
  // Much faster than the expression, for every id and all data.
  if (text.isWellFormed() && !text.includes("\0") && !text.includes("\u0001")) return text;
  return text.replaceAll(UNSTORABLE, (char) => `\u0001${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function decodeText(stored: string): string {
  return stored.includes("\u0001")
    ? stored.replaceAll(ENCODED, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : stored;
}

/** @throws TypeError for an id or user id that a b-tree can't hold */
export function encodeKey(name: "id" | "userId" | "except", key: string): string {
  if (typeof key !== "string") throw new TypeError(`${name} must be a string, not ${typeof key}`);
  const text = encodeText(key);
  // No character takes more than three bytes a UTF-16 unit.
  if (text.length * 3 > MAX_KEY_BYTES && Buffer.byteLength(text) > MAX_KEY_BYTES) {
    throw new TypeError(
      `${name} must not take more than ${MAX_KEY_BYTES} bytes: PostgreSQL could not index it`,
    );
  }
  return text;
}

/** An entry of a b-tree holds 2,704 bytes, less what stands beside the key. */
const MAX_KEY_BYTES = 2000;

// oxlint-disable-next-line no-control-regex -- these are the characters meant
const UNSTORABLE = /[\0\u0001\p{Surrogate}]/gu;
// oxlint-disable-next-line no-control-regex -- as above
const ENCODED = /\u0001([0-9a-f]{4})/g;
