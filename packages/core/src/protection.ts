import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import { StoreError } from "./errors.ts";
import { assertKnownOptions } from "./store/validate.ts";

/** The option `protect` of `Sessions`. */
export interface ProtectOptions {
  /**
   * The keys, newest first. The first one writes, all of them read. Remove a key only after
   * `sessions.reencrypt()` has moved every session to the first.
   */
  readonly keys: readonly ProtectKey[];
  /**
   * Accepts sessions stored without protection, until `sessions.reencrypt()` has moved them. Default `false`.
   */
  readonly acceptPlain?: boolean;
}

/** A key that protects session data and the digests of tokens. */
export interface ProtectKey {
  /**
   * Names the key in stored sessions: 1 to 16 letters, digits, `-` and `_`. Never give an old id to a new
   * key.
   */
  readonly id: string;
  /** At least 32 random bytes, or their base64 (`openssl rand -base64 32`). */
  readonly key: Uint8Array | string;
}

/**
 * The cryptography of stored sessions.
 *
 * HKDF-SHA-256 (RFC 5869) derives two keys from each key. `tenure token digest v1` keys the digests of tokens
 * (HMAC-SHA-256). `tenure session data v1` gives each session its own data key (HMAC-SHA-256 of the session's
 * id). Data are encrypted with AES-256-GCM and a random nonce of 96 bits, so one session may be written 2^32
 * times under one key (NIST SP 800-38D, 8.3).
 */
export interface Protection {
  /** The id of the key that writes. */
  readonly keyId: string;
  readonly acceptsPlain: boolean;
  /**
   * Returns the keyed digest of a token's digest.
   *
   * @throws StoreError if the key is missing
   */
  keyedDigest(keyId: string, digest: string): string;
  /** Returns nonce, ciphertext and tag in base64url. */
  encrypt(id: string, text: Buffer, associated: string): string;
  /**
   * Returns the plaintext. `null`: `sealed` was changed, truncated, or belongs to another session, user or
   * head.
   *
   * @throws StoreError if the key is missing
   */
  decrypt(keyId: string, id: string, sealed: string, associated: string): Buffer | null;
}

const OPTIONS = ["keys", "acceptPlain"] satisfies (keyof ProtectOptions)[];

/** @throws TypeError for invalid options, without showing a key */
export function protectionWith(options: ProtectOptions): Protection {
  assertKnownOptions(options, OPTIONS);
  const { keys, acceptPlain = false } = options;
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new TypeError("protect.keys must be a list with at least one key: [{ id, key }]");
  }
  if (typeof acceptPlain !== "boolean") throw new TypeError("protect.acceptPlain must be true or false");
  const ring = new Map<string, DerivedKeys>();
  for (const given of keys as readonly (ProtectKey | undefined)[]) {
    const { id, key } = given ?? {};
    if (typeof id !== "string" || !/^[\w-]{1,16}$/.test(id)) {
      throw new TypeError("protect: the id of a key must have 1 to 16 letters, digits, - or _");
    }
    if (ring.has(id)) throw new TypeError(`protect: two keys have the id ${id}`);
    ring.set(id, derive(id, key));
  }
  const keyId = keys[0]!.id;
  const keysOf = (id: string): DerivedKeys => {
    const found = ring.get(id);
    if (found) return found;
    throw new StoreError(
      "read",
      `a session is protected with the key ${id}, which is missing: add it to protect.keys`,
    );
  };

  return {
    keyId,
    acceptsPlain: acceptPlain,
    keyedDigest: (id, digest) => hmac(keysOf(id).digests, digest).toString("base64url"),
    encrypt(id, text, associated) {
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv("aes-256-gcm", sessionKey(keysOf(keyId).data, id), nonce);
      cipher.setAAD(Buffer.from(associated));
      return Buffer.concat([nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()]).toString(
        "base64url",
      );
    },
    decrypt(by, id, sealed, associated) {
      const { data } = keysOf(by);
      const bytes = Buffer.from(sealed, "base64url");
      if (bytes.length < NONCE + TAG || !isCanonical(sealed, bytes)) return null;
      const decipher = createDecipheriv("aes-256-gcm", sessionKey(data, id), bytes.subarray(0, NONCE), {
        authTagLength: TAG,
      });
      decipher.setAAD(Buffer.from(associated));
      decipher.setAuthTag(bytes.subarray(-TAG));
      try {
        return Buffer.concat([decipher.update(bytes.subarray(NONCE, -TAG)), decipher.final()]);
      } catch {
        return null;
      }
    },
  };
}

interface DerivedKeys {
  readonly digests: KeyObject;
  readonly data: KeyObject;
}

/** Bytes. */
const NONCE = 12;
const TAG = 16;
const KEY = 32;

function derive(id: string, given: Uint8Array | string | undefined): DerivedKeys {
  // Node's decoder skips foreign characters, so it would also accept a pass phrase.
  if (typeof given === "string" && !/^\s*[\w+/-]+(?:\r?\n[\w+/-]+)*={0,2}\s*$/.test(given)) {
    throw new TypeError(`protect: the key ${id} must be base64: generate it with openssl rand -base64 32`);
  }
  const key = typeof given === "string" ? Buffer.from(given, "base64") : given;
  if (!(key instanceof Uint8Array) || key.length < KEY) {
    throw new TypeError(
      `protect: the key ${id} must have at least 32 random bytes: generate it with openssl rand -base64 32`,
    );
  }
  const derived = (purpose: string): KeyObject =>
    createSecretKey(Buffer.from(hkdfSync("sha256", key, "", purpose, KEY)));
  return { digests: derived("tenure token digest v1"), data: derived("tenure session data v1") };
}

function hmac(key: KeyObject, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

/** A `KeyObject`, because with a buffer Node 24.21 takes 11 µs instead of 3 for a short message. */
function sessionKey(key: KeyObject, id: string): KeyObject {
  return createSecretKey(hmac(key, id));
}

/**
 * Whether a text is the exact base64url of these bytes. Node's decoder skips foreign characters and ignores
 * the unused bits of the last one.
 */
function isCanonical(text: string, bytes: Buffer): boolean {
  const last = bytes.length - (bytes.length % 3 || 3);
  return (
    text.length === Math.ceil((bytes.length * 4) / 3) && text.endsWith(bytes.toString("base64url", last))
  );
}
