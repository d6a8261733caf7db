import { StoreError } from "./errors.ts";
import type { Protection } from "./protection.ts";
import { refusal } from "./refusal.ts";
import type { SessionRecord } from "./store.ts";
import { isSameDigest } from "./token.ts";

/**
 * The head of an envelope. An envelope is what `Sessions` writes into a record's `data`: a head of fixed
 * width, then the payload, which is the session's encoded data. Its layout is in docs/PROTECTED-DATA.md, "The
 * format, byte by byte".
 */
export interface Head {
  readonly hasOwnIdle: boolean;
  readonly hasOwnLifetime: boolean;
  readonly isHidden: boolean;
  /** A user has logged out by a change of the data. The next user must not get what is left. */
  readonly isLeft: boolean;
  readonly idle: number;
  readonly lifetime: number;
  /** The SHA-256 of the token, base64url, in both formats. */
  readonly digest: string;
  readonly previous: PreviousToken | null;
}

/** The token before the last rotation. */
export interface PreviousToken {
  readonly digest: string;
  /** Epoch milliseconds of the store's clock, estimated. */
  readonly replacedAt: number;
  /** Whether it belonged to the session's user. If not, it may have been planted. */
  readonly wasUsers: boolean;
}

/**
 * A record that `Sessions` wrote, with its envelope open and its payload still encoded.
 *
 * Objects that a request holds and that refer to others are of classes. V8 allocates a literal in old space
 * once most of its objects have survived a collection, and there each retains all that it refers to until the
 * next major collection: in about half of the processes that had been idle for a second, a page view on the
 * memory store took 17 µs instead of 10.
 */
export class StoredSession {
  readonly record: SessionRecord;
  readonly head: Head;
  /** The session's data, encoded. */
  readonly payload: string;

  constructor(record: SessionRecord, head: Head, payload: string) {
    this.record = record;
    this.head = head;
    this.payload = payload;
  }
}

/** A record whose head was read and whose envelope is not open. */
export class SealedSession {
  readonly record: SessionRecord;
  /** `null`: plain. */
  readonly keyId: string | null;
  /** With the digests as stored. */
  readonly head: Head;

  constructor(record: SessionRecord, keyId: string | null, head: Head) {
    this.record = record;
    this.keyId = keyId;
    this.head = head;
  }
}

export class Envelopes {
  readonly #protection: Protection | undefined;

  constructor(protection?: Protection) {
    this.#protection = protection;
  }

  /** Reads the head of a record. `null`: this version, with these options, cannot read it. */
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
   * Returns which of a session's tokens has this digest. `null`: none. Call it before {@link open}: nothing
   * is decrypted for a wrong token.
   *
   * @throws StoreError if the session's key is missing
   */
  tokenOf({ keyId, head }: SealedSession, digest: string): "current" | PreviousToken | null {
    const stored = keyId === null ? digest : this.#withKey(keyId).keyedDigest(keyId, digest);
    if (isSameDigest(stored, head.digest)) return "current";
    return head.previous && isSameDigest(stored, head.previous.digest) ? head.previous : null;
  }

  /**
   * Opens an envelope. `null`: it was changed, truncated, or belongs to another session or user.
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

  /** Reads the head and opens the envelope. `null` as for both. */
  openRecord(record: SessionRecord): StoredSession | null {
    const sealed = this.read(record);
    return sealed && this.open(sealed);
  }

  /** Whether the session's key, or the lack of one, is not what {@link seal} uses. */
  isOutdated({ keyId }: SealedSession): boolean {
    return keyId !== (this.#protection?.keyId ?? null);
  }

  /** Whether an envelope authenticates the user, so that a change of user must write the data. */
  get bindsUser(): boolean {
    return this.#protection !== undefined;
  }

  seal({ id, userId }: Pick<SessionRecord, "id" | "userId">, head: Head, payload: string): string {
    const { previous } = head;
    const protection = this.#protection;
    if (!protection) {
      // `+` would leave the copying to the next read, in V8's old space: a save in memory took 23 µs instead
      // of 20.
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
      `a session is protected with the key ${keyId}: set the option protect of Sessions`,
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

/** NaN for fewer digits. A regular expression and `Number` take twice as long, a thirtieth of a page view. */
function digitsIn(data: string, start: number): number {
  let value = 0;
  for (let at = start; at < start + DIGITS; at += 1) {
    const digit = data.charCodeAt(at) - 0x30;
    value = digit >= 0 && digit <= 9 ? value * 10 + digit : Number.NaN;
  }
  return value;
}
