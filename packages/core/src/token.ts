import { hash, randomBytes, timingSafeEqual } from "node:crypto";

/**
 * Generates a token, `<id>.<secret>`: the id finds the session, the secret proves possession.
 *
 * The id names the session for its whole life and is safe to list and log. The secret is 256 bits from the
 * CSPRNG (OWASP ASVS 5.0 7.2.3 and 11.5.1 ask for 128). Only a digest of the whole token is stored.
 *
 * @param id a session's, for a new token of that session. Default: a random one
 */
export function newToken(id?: string): string {
  // One call: each takes longer than everything else that a login does with its token.
  const random = randomBytes(SECRET_BYTES + ID_BYTES);
  const secret = random.toString("base64url", 0, SECRET_BYTES);
  return `${id ?? random.toString("base64url", SECRET_BYTES)}.${secret}`;
}

/** Returns the id of a token. For a token that a framework made, this is its SHA-256 digest, base64url. */
export function idOf(token: string): string {
  return OWN_TOKEN.exec(token)?.[1] ?? digestOf(token);
}

/**
 * Returns the stored digest of a token. It covers the id, so a digest copied to another record matches
 * nothing.
 */
export function digestOf(token: string): string {
  return hash("sha256", token, "base64url");
}

/** Compares two digests in constant time. */
export function isSameDigest(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a, "latin1"), Buffer.from(b, "latin1"));
}

/** Whether this can be an id: 22 characters, or 43 as the digest of a framework's token. */
export function isId(id: unknown): id is string {
  return typeof id === "string" && /^(?:[\w-]{22}|[\w-]{43})$/.test(id);
}

/** Whether a token has an id and a secret, and so is not a framework's. */
export function isOwnToken(token: string): boolean {
  return OWN_TOKEN.test(token);
}

/**
 * Whether this can be a token at all. Excludes what no cookie can carry, and lone surrogates, which all have
 * the same digest.
 */
export function isToken(token: unknown): token is string {
  return (
    typeof token === "string" && token !== "" && token.length <= MAX_TOKEN_LENGTH && token.isWellFormed()
  );
}

/**
 * Returns an upper bound of the random bits in a token, from its length and alphabet. It exposes tokens that
 * are certainly too weak, and cannot know how a token was made. A UUID holds 122 bits (RFC 9562), which ASVS
 * 11.5.1 does not accept.
 */
export function maxBitsOf(token: string): number {
  if (UUID.test(token)) return 122;
  const bitsPerCharacter = DECIMAL.test(token) ? Math.log2(10) : HEX.test(token) ? 4 : 6;
  return Math.floor(token.length * bitsPerCharacter);
}

const SECRET_BYTES = 32;
/** 22 characters of base64url. */
const ID_BYTES = 16;
const OWN_TOKEN = /^([\w-]{22}|[\w-]{43})\.[\w-]{43}$/;
const MAX_TOKEN_LENGTH = 1024;
const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;
const DECIMAL = /^\d+$/;
const HEX = /^(?:[\da-f-]+|[\dA-F-]+)$/;
