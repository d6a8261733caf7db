import { assertDuration } from "@tenure/core/store";

/** Options of `redisStore`. */
export interface RedisStoreOptions {
  /** Stands before every key of the store, after the client's own `keyPrefix`. Default `"tenure:"`. */
  readonly prefix?: string;
  /**
   * How long one command may take, milliseconds, from 1 to 30,000; then the call rejects. Default: the client's
   * `commandTimeout`, else 5000. It is never longer than the `commandTimeout`.
   */
  readonly timeout?: number;
  /** How long a tombstone, and a user's fence, lasts at least, milliseconds: longer than any request takes. Default one hour. */
  readonly tombstoneMinimum?: number;
  /**
   * Lets `create`, `revoke` and `revokeUser` wait until replicas have the change. Default: they wait for none. A connection
   * that waits replies to nothing else: give sessions a client of their own.
   */
  readonly waitForReplicas?: ReplicaWait;
}

/** For how many replicas a change waits, and how long. */
export interface ReplicaWait {
  /** How many replicas of the primary must confirm. */
  readonly count: number;
  /**
   * How long to wait for them, milliseconds, at most half the store's `timeout`; then the call rejects, although the primary
   * has the change.
   */
  readonly timeout: number;
}

/** The options with their defaults. */
export interface Settings {
  readonly prefix: string;
  readonly timeout: number;
  readonly tombstoneMinimum: number;
  readonly waitForReplicas: ReplicaWait | undefined;
}

/**
 * @param commandTimeout the client's own limit, milliseconds
 * @throws TypeError naming the option that is wrong
 */
export function settingsFrom(options: RedisStoreOptions, commandTimeout: number | undefined): Settings {
  const { prefix = "tenure:", tombstoneMinimum = 60 * 60 * 1000, waitForReplicas } = options;
  const limit = Math.min(commandTimeout || MAX_TIMEOUT, MAX_TIMEOUT);
  const given = options.timeout ?? (commandTimeout ? limit : DEFAULT_TIMEOUT);
  if (typeof prefix !== "string" || !prefix.isWellFormed()) {
    throw new TypeError("prefix must be a well-formed string");
  }
  assertDuration("timeout", given);
  if (given > MAX_TIMEOUT) throw new TypeError(`timeout must be at most ${MAX_TIMEOUT} ms`);
  const timeout = Math.min(given, limit);
  assertDuration("tombstoneMinimum", tombstoneMinimum);
  if (tombstoneMinimum < 2 * timeout) {
    throw new TypeError(
      "tombstoneMinimum must be at least twice the timeout, so that late commands still meet it",
    );
  }
  if (waitForReplicas !== undefined) {
    if (!Number.isSafeInteger(waitForReplicas.count) || waitForReplicas.count < 1) {
      throw new TypeError("waitForReplicas.count must be a whole number from 1");
    }
    assertDuration("waitForReplicas.timeout", waitForReplicas.timeout);
    if (2 * waitForReplicas.timeout > timeout) {
      throw new TypeError(
        "waitForReplicas.timeout must be at most half the timeout: a call may have to wait for another's WAIT first",
      );
    }
  }
  return { prefix, timeout, tombstoneMinimum, waitForReplicas };
}

const DEFAULT_TIMEOUT = 5000;
/** The user index relies on it: see its patience. */
const MAX_TIMEOUT = 30_000;
