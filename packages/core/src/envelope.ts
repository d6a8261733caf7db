import { StoreError } from "./errors.ts";
import type { Protection } from "./protection.ts";
import { refusal } from "./refusal.ts";
import type { SessionRecord } from "./store.ts";
import { isSameDigest } from "./token.ts";

/**
 * What `Sessions` writes into a record's `data`: a head of fixed width, then the payload, which is the session's data as the codec
 * encoded them.
 *
 * ```
 * at  width
 *   0   1   format version: "1" plain, "2" protected
 *   1   1   whose the timeouts are: "0" the policy's, "1" the idle timeout is the session's own, "2" the lifetime is, "3" both are
 *   2   1   "v" visible, "h" hidden: between a framework's `regenerate` and the request's save, "l": a user has logged out of it by its data, which
 *           may still hold that user's
 *   3   1   what the previous token may do: "-" there is none, "u" it was a user's and may log out, "a" it was an anonymous visitor's,
 *           who may not have been the user
 *   4  13   the idle timeout of the session while it is visible, milliseconds
 *  17  13   the lifetime, milliseconds: it began at the record's `endsAt` less this
 *  30  13   when the previous token was replaced, epoch milliseconds of the store's clock as `Sessions` estimates it
 *  43  43   the digest of the token
 *  86  43   the digest of the previous token, or dashes
 * 129       format 1: the payload
 *
 * 129  16   format 2: the id of the key, dots behind it
 * 145       format 2: base64url of a nonce (12 bytes), the ciphertext, and a tag (16 bytes)
 * ```
 * In format 1 a digest is the SHA-256 of the token. In format 2 it is the HMAC-SHA-256 of that, and the plaintext is the two SHA-256 digests (32
 * bytes each, zeros for none) and the payload in UTF-8, so that another key can take over without the token. The associated data are
 * the head (145 characters), the session's id, a NUL, and, for a session with a user, "u" and the user id. So a row that is copied onto
 * another session, or given to another user, cannot be read.
 *
 * The digest of a token is compared before anything is decrypted or decoded.
 */
export interface Head {
  readonly hasOwnIdle: boolean;
  readonly hasOwnLifetime: boolean;
  readonly isHidden: boolean;
  /** A user has logged out of it by its data. What is left of them is not the next user's. */
  readonly isLeft: boolean;
  readonly idle: number;
  readonly lifetime: number;
  /** The SHA-256 of the token, base64url, whatever the format. */
  readonly digest: string;
  readonly previous: PreviousToken | null;
}

/** The token that a session had before its last rotation. */
export interface PreviousToken {
  readonly digest: string;
  /** Epoch milliseconds of the store's clock, estimated. */
  readonly replacedAt: number;
  /** Whether the session had a user then. If not, somebody else may have planted the token. */
  readonly wasUsers: boolean;
}

/**
 * A record that `Sessions` wrote, its envelope open and its payload still encoded.
 *
 * What a request holds, and what refers to more, is a class. V8 allocates what a literal makes among the old objects, once it has seen most of
 * them live through a collection. There each keeps all that it refers to until the next collection of old objects: in about every second
 * process that had been idle for a second, a page view on the memory store took 17 µs instead of 10.
 */
export class StoredSession {
  readonly record: SessionRecord;
  readonly head: Head;
  /** The session's data as the codec encoded them. */
  readonly payload: string;

  constructor(record: SessionRecord, head: Head, payload: string) {
    this.record = record;
    this.head = head;
    this.payload = payload;
  }
}

/** A record whose head was read, and not yet opened. */
export class SealedSession {
  readonly record: SessionRecord;
  /** `null`: plain. */
  readonly keyId: string | null;
  /** With the digests as they are stored. */
  readonly head: Head;

  constructor(record: SessionRecord, keyId: string | null, head: Head) {
    this.record = record;
    this.keyId = keyId;
    this.head = head;
  }
}

/** Reads and writes envelopes, with or without protection. */
export class Envelopes {
  readonly #protection: Protection | undefined;

  constructor(protection?: Protection) {
    this.#protection = protection;
  }

  /** The head of a record. `null`: this version, with these options, does not read it. */
  read(record: SessionRecord): SealedSession | null {
    const { data } = record;
    const idle = digitsIn(data, 4);
    const lifetime = digitsIn(data, 17);
    const replacedAt = digitsIn(data, 30);
    if (data.length < PLAIN_HEAD || !KINDS.test(data) || Number.isNaN(idle + lifetime + replacedAt))
      return null;
    const isPlain = data.startsWith(PLAIN);
    if (isPlain && this.#protection && !this.#protection.acceptsPlain) return null;
    const keyId = isPlain ? null : (KEY_ID.exec(data.slice(PLAIN_HEAD, PROTECTED_HEAD))?.[1] ?? null);
    if (!isPlain && keyId === null) return null;
    const [terms, kind] = [data[1], data[3]];
    const previous =
      kind === "-" ? null : { digest: data.slice(86, PLAIN_HEAD), replacedAt, wasUsers: kind === "u" };
    const head = {
      hasOwnIdle: terms === "1" || terms === "3",
      hasOwnLifetime: terms === "2" || terms === "3",
      isHidden: data[2] === "h",
      isLeft: data[2] === "l",
      idle,
      lifetime,
      digest: data.slice(43, 86),
      previous,
    };
    return new SealedSession(record, keyId, head);
  }

  /**
   * Which of a session's tokens has this digest.
   *
   * @throws StoreError if the session's key is missing
   */
  tokenOf({ keyId, head }: SealedSession, digest: string): "current" | "previous" | null {
    const stored = keyId === null ? digest : this.#withKey(keyId).keyedDigest(keyId, digest);
    if (isSameDigest(stored, head.digest)) return "current";
    return head.previous && isSameDigest(stored, head.previous.digest) ? "previous" : null;
  }

  /**
   * Opens an envelope. `null`: it was changed, cut, or belongs to another session or user.
   *
   * @throws StoreError if the session's key is missing
   */
  open({ record, keyId, head }: SealedSession): StoredSession | null {
    const { data } = record;
    if (keyId === null) return new StoredSession(record, head, data.slice(PLAIN_HEAD));
    const associated = associatedWith(data.slice(0, PROTECTED_HEAD), record.id, record.userId);
    const bytes = this.#withKey(keyId).decrypt(keyId, record.id, data.slice(PROTECTED_HEAD), associated);
    if (!bytes) return null;
    const digestAt = (at: number): string => bytes.toString("base64url", at, at + DIGEST);
    const previous = head.previous && { ...head.previous, digest: digestAt(DIGEST) };
    const payload = bytes.toString("utf8", 2 * DIGEST);
    return new StoredSession(record, { ...head, digest: digestAt(0), previous }, payload);
  }

  /** As `read` and `open`. */
  openRecord(record: SessionRecord): StoredSession | null {
    const sealed = this.read(record);
    return sealed && this.open(sealed);
  }

  /** Whether a session would be written otherwise by now: with another key, or protected. */
  isOutdated({ keyId }: SealedSession): boolean {
    return keyId !== (this.#protection?.keyId ?? null);
  }

  /** Whether the user is part of what an envelope authenticates, so that a change of user has to write the data. */
  get bindsUser(): boolean {
    return this.#protection !== undefined;
  }

  seal({ id, userId }: Pick<SessionRecord, "id" | "userId">, head: Head, payload: string): string {
    const { previous } = head;
    const protection = this.#protection;
    if (!protection) {
      // `+` would leave it to the next read to copy both into one string, among V8's old objects: a save in memory took 23 µs instead of 20.
      return [headText(PLAIN, head, head.digest, previous?.digest), payload].join("");
    }
    // UTF-8 cannot hold a lone surrogate.
    if (!payload.isWellFormed())
      throw refusal("with protect, the codec must encode data as well-formed text", { id, userId });
    const { keyId } = protection;
    const keyed = (digest: string): string => protection.keyedDigest(keyId, digest);
    const text =
      headText(PROTECTED, head, keyed(head.digest), previous ? keyed(previous.digest) : undefined) +
      keyId.padEnd(PROTECTED_HEAD - PLAIN_HEAD, ".");
    const bytes = Buffer.concat([
      Buffer.from(head.digest, "base64url"),
      previous ? Buffer.from(previous.digest, "base64url") : Buffer.alloc(DIGEST),
      Buffer.from(payload),
    ]);
    return text + protection.encrypt(id, bytes, associatedWith(text, id, userId));
  }

  #withKey(keyId: string): Protection {
    if (this.#protection) return this.#protection;
    throw new StoreError(
      "read",
      `a session is protected with the key ${keyId}: give Sessions the option protect`,
    );
  }
}

const PLAIN = "1";
const PROTECTED = "2";
/** Characters. */
const PLAIN_HEAD = 129;
const PROTECTED_HEAD = 145;
/** Bytes of a SHA-256 digest. */
const DIGEST = 32;
const NO_DIGEST = "-".repeat(43);
const KEY_ID = /^([\w-]{1,16})\.*$/;
const KINDS = /^[12][0-3][vhl][-ua]/;

function headText(version: string, head: Head, digest: string, previous: string | undefined): string {
  const terms = (head.hasOwnIdle ? 1 : 0) + (head.hasOwnLifetime ? 2 : 0);
  const kind = head.previous === null ? "-" : head.previous.wasUsers ? "u" : "a";
  return (
    `${version}${terms}${head.isHidden ? "h" : head.isLeft ? "l" : "v"}${kind}` +
    digits(head.idle) +
    digits(head.lifetime) +
    digits(head.previous?.replacedAt ?? 0) +
    digest +
    (previous ?? NO_DIGEST)
  );
}

function associatedWith(head: string, id: string, userId: string | null): string {
  return `${head}${id}\0${userId === null ? "" : `u${userId}`}`;
}

const DIGITS = 13;

function digits(value: number): string {
  return String(value).padStart(DIGITS, "0");
}

/** NaN where there are not so many. A regular expression and `Number` take twice as long, a thirtieth of a page view. */
function digitsIn(data: string, start: number): number {
  let value = 0;
  for (let at = start; at < start + DIGITS; at += 1) {
    const digit = data.charCodeAt(at) - 0x30;
    value = digit >= 0 && digit <= 9 ? value * 10 + digit : Number.NaN;
  }
  return value;
}
