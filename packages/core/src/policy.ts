import { isAsynchronous } from "./asynchronous.ts";
import { type Duration, parseDuration } from "./duration.ts";
import { type Codec, jsonCodec } from "./encoding.ts";
import { type ProtectOptions, type Protection, protectionWith } from "./protection.ts";
import type { SessionStore } from "./store.ts";
import { assertKnownOptions } from "./store/validate.ts";
import { warnOnce } from "./store/warning.ts";
import { userOfData } from "./user.ts";

/** Options of `Sessions`. */
export interface SessionsOptions<Data extends object = Record<string, unknown>> {
  readonly store: SessionStore;
  /**
   * A session ends this long after its last use (OWASP ASVS 5.0 7.3.1). Default `"30m"`, or the lifetime if
   * that is shorter. A shorter value applies to live sessions immediately.
   */
  readonly idleTimeout?: Duration;
  /**
   * A session ends this long after its login, or after its creation while anonymous, however much it is used
   * (OWASP ASVS 5.0 7.3.2). Default `"12h"`. A shorter value applies to live sessions immediately.
   */
  readonly lifetime?: Duration;
  /** The longest idle timeout that a login may ask for ("remember me"). Default: `idleTimeout`. */
  readonly maxIdleTimeout?: Duration;
  /** The longest lifetime that a login may ask for ("remember me"). Default: `lifetime`. */
  readonly maxLifetime?: Duration;
  /**
   * The shortest time between two restarts of the idle timeout, so that not every request writes. At most a
   * quarter of `idleTimeout`. Default `"1m"`, or that quarter if it is shorter.
   */
  readonly touchEvery?: Duration;
  /** How many live sessions a user may have. Default: no limit. */
  readonly maxPerUser?: number;
  /**
   * What happens at a login beyond `maxPerUser`. `"end-oldest"` (default) ends the session whose user
   * authenticated first; `"refuse"` refuses `logIn`.
   */
  readonly onCap?: "end-oldest" | "refuse";
  /**
   * Derives the user from the session's data, for frameworks and applications that log in by writing to them.
   * Must be synchronous. Default: `data.userId`, else `data.passport.user`, else `data.passport`. A value that
   * cannot name a user means no user. Data may lack any key: a login without a session begins with `{}`. If it
   * throws, the save fails.
   */
  readonly userId?: (data: Partial<Data>) => unknown;
  /** Must be synchronous. Default: JSON. */
  readonly codec?: Codec;
  /** The most bytes of UTF-8 that encoded data may have. Default 1 MiB. */
  readonly maxDataBytes?: number;
  /** How many random bits a framework's token must have room for. Default 128 (OWASP ASVS 5.0 7.2.3). */
  readonly minTokenBits?: number;
  /**
   * Encrypts session data and keys the digests of tokens, so that read access to the backend reveals no data,
   * and write access cannot forge a session. Ids, user ids and times stay readable. Default: none.
   */
  readonly protect?: ProtectOptions;
}

/** The options with their defaults: durations in milliseconds, limits as numbers. */
export interface Policy<Data extends object> {
  readonly idleTimeout: number;
  readonly lifetime: number;
  readonly maxIdleTimeout: number;
  readonly maxLifetime: number;
  readonly touchEvery: number;
  readonly maxPerUser: number;
  readonly onCap: "end-oldest" | "refuse";
  readonly userId: (data: Partial<Data>) => unknown;
  readonly codec: Codec;
  readonly maxDataBytes: number;
  readonly minTokenBits: number;
  /** Holds keys: never log it. */
  readonly protection: Protection | undefined;
}

/** @throws TypeError naming the wrong or unknown option */
export function policyOf<Data extends object>(options: SessionsOptions<Data>): Policy<Data> {
  assertStore(options?.store);
  assertKnownOptions(options, Object.keys(OPTIONS));
  const { userId = userOfData, codec = jsonCodec, onCap = "end-oldest" } = options;
  if (onCap !== "end-oldest" && onCap !== "refuse")
    throw new TypeError('onCap must be "end-oldest" or "refuse"');
  assertUserId(userId);
  assertCodec(codec);
  return {
    ...durationsOf(options),
    maxPerUser: maxPerUserOf(options.maxPerUser),
    onCap,
    userId,
    codec,
    maxDataBytes: atLeastOne("maxDataBytes", options.maxDataBytes ?? 1024 * 1024),
    minTokenBits: atLeastOne("minTokenBits", options.minTokenBits ?? 128),
    protection: options.protect === undefined ? undefined : protectionWith(options.protect),
  };
}

/** Parses the durations, checks them against each other, and warns of a long one. */
function durationsOf(options: Omit<SessionsOptions, "userId">) {
  const lifetime = parseDuration("lifetime", options.lifetime ?? "12h");
  const idleTimeout = parseDuration("idleTimeout", options.idleTimeout ?? Math.min(30 * 60_000, lifetime));
  if (idleTimeout > lifetime) throw new TypeError("idleTimeout must not be longer than lifetime");
  const maxIdleTimeout = parseDuration("maxIdleTimeout", options.maxIdleTimeout ?? idleTimeout);
  if (maxIdleTimeout < idleTimeout)
    throw new TypeError("maxIdleTimeout must not be shorter than idleTimeout");
  const maxLifetime = parseDuration("maxLifetime", options.maxLifetime ?? lifetime);
  if (maxLifetime < lifetime) throw new TypeError("maxLifetime must not be shorter than lifetime");
  if (maxIdleTimeout > maxLifetime) {
    throw new TypeError("maxIdleTimeout must not be longer than maxLifetime: raise maxLifetime too");
  }
  const quarter = Math.max(1, Math.floor(idleTimeout / 4));
  const touchEvery = parseDuration("touchEvery", options.touchEvery ?? Math.min(60_000, quarter));
  if (touchEvery > quarter) {
    throw new TypeError("touchEvery must be at most a quarter of idleTimeout, or sessions in use would end");
  }
  if (maxLifetime > LONGEST_OF_NIST) {
    const name = lifetime > LONGEST_OF_NIST ? "lifetime" : "maxLifetime";
    warnOnce(
      "TENURE_TIMEOUT_LONG",
      `${name} is longer than the 30 days after which NIST SP 800-63B-4 asks users to authenticate again: use new Sessions({ ${name}: "30d" }), or document why not and run node with --disable-warning=TENURE_TIMEOUT_LONG`,
    );
  }
  return { idleTimeout, lifetime, maxIdleTimeout, maxLifetime, touchEvery };
}

const OPTIONS = {
  store: true,
  idleTimeout: true,
  lifetime: true,
  maxIdleTimeout: true,
  maxLifetime: true,
  touchEvery: true,
  maxPerUser: true,
  onCap: true,
  userId: true,
  codec: true,
  maxDataBytes: true,
  minTokenBits: true,
  protect: true,
} satisfies Record<keyof SessionsOptions, true>;

const METHODS: readonly (keyof SessionStore)[] = [
  "create",
  "read",
  "update",
  "revoke",
  "revokeUser",
  "listUser",
  "scan",
  "now",
];

function assertStore(store: SessionStore | undefined): void {
  if (store === undefined || store === null) {
    throw new TypeError("store is missing: new Sessions({ store: memoryStore() })");
  }
  const missing = METHODS.filter((name) => typeof store[name] !== "function");
  if (missing.length === 0) return;
  throw new TypeError(`store is not a SessionStore such as memoryStore(): it lacks ${missing.join(", ")}`);
}

/**
 * Milliseconds. NIST's overall timeout for AAL1 (2.1.3), the longest of all assurance levels. AAL1 needs no
 * idle timeout.
 */
const LONGEST_OF_NIST = 30 * 24 * 60 * 60 * 1000;

function assertUserId<Data extends object>(userId: (data: Partial<Data>) => unknown): void {
  if (typeof userId !== "function") {
    throw new TypeError("userId must be a function of a session's data: (data) => data.userId");
  }
  let user: unknown;
  try {
    user = userId({});
  } catch (cause) {
    // A visitor's save would fail, and so would a logout that removes the user from the data.
    throw new TypeError(
      "userId throws for data without a user: return undefined for them, as in (data) => data.user?.id",
      { cause },
    );
  }
  // A promise would name nobody.
  if (isAsynchronous(user)) {
    throw new TypeError("userId must be synchronous: it returned a promise. Read the user from the data");
  }
}

function assertCodec(codec: Codec): void {
  if (typeof codec?.encode !== "function" || typeof codec.decode !== "function") {
    throw new TypeError("codec must have the functions encode and decode");
  }
  const text: unknown = resultOf(() => codec.encode({}));
  const isEncoded = typeof text === "string";
  if (!isAsynchronous(isEncoded ? resultOf(() => codec.decode(text)) : text)) return;
  throw new TypeError(
    `codec must be synchronous: its ${isEncoded ? "decode" : "encode"} returned a promise. Encrypt with node:crypto instead of WebCrypto`,
  );
}

/** `undefined`: the function refuses empty data, as it may. Real data show whether it works. */
function resultOf(call: () => unknown): unknown {
  try {
    return call();
  } catch {
    return undefined;
  }
}

function maxPerUserOf(given: number = Number.POSITIVE_INFINITY): number {
  if (given === Number.POSITIVE_INFINITY || (Number.isSafeInteger(given) && given >= 1)) return given;
  throw new TypeError("maxPerUser must be a whole number of at least 1");
}

function atLeastOne(name: string, value: number): number {
  if (typeof value === "number" && value >= 1) return value;
  throw new TypeError(`${name} must be a number of at least 1`);
}
