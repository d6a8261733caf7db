import { assertDuration, assertKnownOptions } from "@tenure/core/store";

/** Options of `redisStore`. */
export interface RedisStoreOptions {
  /** Prefix of every key of the store, after the client's own `keyPrefix`. Default `"tenure:"`. */
  readonly prefix?: string;
  /**
   * How long one command may take, milliseconds, from 1 to 30,000, until the call rejects. Default: the
   * client's `commandTimeout`, else 5000. The `commandTimeout` also caps it.
   */
  readonly timeout?: number;
  /** Minimum life of tombstones and fences, milliseconds: longer than any request. Default one hour. */
  readonly tombstoneMinimum?: number;
  /**
   * Makes `create`, `revoke` and `revokeUser` wait until replicas have the change, and an `update` that binds
   * until they have its index entry. Default: no wait. A waiting connection replies to nothing else: give
   * sessions their own client.
   */
  readonly waitForReplicas?: ReplicaWait;
}

/** How `waitForReplicas` waits. */
export interface ReplicaWait {
  /** How many replicas of the primary must confirm. */
  readonly count: number;
  /**
   * How long to wait, milliseconds, at most half the store's `timeout`. Then the call rejects, although the
   * primary has the change.
   */
  readonly timeout: number;
}

export interface Settings {
  readonly prefix: string;
  readonly timeout: number;
  readonly tombstoneMinimum: number;
  readonly waitForReplicas: ReplicaWait | undefined;
}

/**
 * @param commandTimeout the client's own limit, milliseconds
 * @throws TypeError naming the invalid option
 */
export function settingsFrom(options: RedisStoreOptions, commandTimeout: number | undefined): Settings {
  assertKnownOptions(options, OPTIONS);
  const { prefix = "tenure:", tombstoneMinimum = 60 * 60 * 1000, waitForReplicas } = options;
  if (typeof prefix !== "string" || !prefix.isWellFormed()) {
    throw new TypeError("prefix must be a well-formed string");
  }
  const given = options.timeout ?? Math.min(commandTimeout || DEFAULT_TIMEOUT, MAX_TIMEOUT);
  assertDuration("timeout", given);
  if (given > MAX_TIMEOUT) throw new TypeError(`timeout must be at most ${MAX_TIMEOUT} ms`);
  const timeout = Math.min(given, commandTimeout || MAX_TIMEOUT);
  assertDuration("tombstoneMinimum", tombstoneMinimum);
  if (tombstoneMinimum < 2 * timeout) {
    throw new TypeError(
      "tombstoneMinimum must be at least twice the timeout, so that late commands still find tombstones",
    );
  }
  if (waitForReplicas !== undefined) {
    assertKnownOptions(waitForReplicas, ["count", "timeout"]);
    if (!Number.isSafeInteger(waitForReplicas.count) || waitForReplicas.count < 1) {
      throw new TypeError("waitForReplicas.count must be a whole number of at least 1");
    }
    assertDuration("waitForReplicas.timeout", waitForReplicas.timeout);
    if (2 * waitForReplicas.timeout > timeout) {
      throw new TypeError(
        "waitForReplicas.timeout must be at most half the timeout, because a call may first wait for another call's WAIT",
      );
    }
  }
  return { prefix, timeout, tombstoneMinimum, waitForReplicas };
}

const OPTIONS = [
  "prefix",
  "timeout",
  "tombstoneMinimum",
  "waitForReplicas",
] satisfies (keyof RedisStoreOptions)[];

const DEFAULT_TIMEOUT = 5000;
/** `PATIENCE` in the user index depends on this. */
const MAX_TIMEOUT = 30_000;
