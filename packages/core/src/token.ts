import { hash, randomBytes } from "node:crypto";

/** 256 bits of the CSPRNG, base64url, 43 characters (ASVS 5.0 7.2.3 and 11.5.1 ask for 128). */
export function newToken(): string {
  return randomBytes(32).toString("base64url");
}

/**
 * The SHA-256 digest of a token, base64url: what stores, lists and logs know a session by. It cannot be turned back, so
 * who reads a backend can't log in as anyone.
 */
export function idOf(token: string): string {
  return hash("sha256", token, "base64url");
}

/** Whether this can be what {@link idOf} answers. */
export function isId(id: unknown): id is string {
  return typeof id === "string" && /^[\w-]{43}$/.test(id);
}

/**
 * Whether a client may hold this at all. Not so: what no cookie can carry, and lone surrogates, which a digest would take
 * for one another.
 */
export function isToken(token: unknown): token is string {
  return (
    typeof token === "string" && token !== "" && token.length <= MAX_TOKEN_LENGTH && token.isWellFormed()
  );
}

const MAX_TOKEN_LENGTH = 1024;

/**
 * How many random bits a token of this look can hold at most. An upper bound from its length and alphabet: it refuses what
 * is certainly too weak, and can't know how it was made. A UUID holds 122 (RFC 9562), which ASVS 11.5.1 does not accept.
 */
export function maxBitsOf(token: string): number {
  if (UUID.test(token)) return 122;
  const bitsPerCharacter = DECIMAL.test(token) ? Math.log2(10) : HEX.test(token) ? 4 : 6;
  return Math.floor(token.length * bitsPerCharacter);
}

const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;
const DECIMAL = /^\d+$/;
const HEX = /^(?:[\da-f-]+|[\dA-F-]+)$/;
