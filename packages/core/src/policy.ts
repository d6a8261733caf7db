import { type Codec, jsonCodec } from "./codec.ts";
import { type Duration, parseDuration } from "./duration.ts";
import type { SessionStore } from "./store.ts";
import type { UserId } from "./user.ts";

export interface SessionsOptions<Data extends object = Record<string, unknown>> {
  readonly store: SessionStore;
  /** A session dies this long after its last use (ASVS 5.0 7.3.1). Default `"30m"`, or the lifetime if that is shorter. */
  readonly idleTimeout?: Duration;
  /** A session dies this long after its creation, whatever its use (ASVS 5.0 7.3.2). Default `"12h"`. */
  readonly lifetime?: Duration;
  /**
   * A use restarts the idle timeout at most this often, so that not every request writes. At most a quarter of the idle
   * timeout. Default `"1m"`, or that quarter if it is shorter.
   */
  readonly touchEvery?: Duration;
  /** Whether a session may be given a longer idle timeout or lifetime than these. Default `false`: the shorter counts. */
  readonly mayLengthen?: boolean;
  /** How many sessions a user may have alive; a login too many ends the oldest. Default: no cap. */
  readonly maxPerUser?: number;
  /** Whose session it is, told from its data at every create, save and rotate. Default: only what the calls are given. */
  readonly userId?: (data: Data) => UserId | null | undefined;
  /** Default JSON. */
  readonly codec?: Codec;
  /** Encoded data over this many bytes of UTF-8 is refused. Default 1 MiB. */
  readonly maxDataBytes?: number;
  /** How many random bits a framework's token must have room for. Default 128 (ASVS 5.0 7.2.3). */
  readonly minTokenBits?: number;
}

/** The options as they are in force: durations in milliseconds, limits as numbers. */
export interface Policy<Data extends object> {
  readonly idleTimeout: number;
  readonly lifetime: number;
  readonly touchEvery: number;
  readonly mayLengthen: boolean;
  readonly maxPerUser: number;
  readonly userId: ((data: Data) => UserId | null | undefined) | undefined;
  readonly codec: Codec;
  readonly maxDataBytes: number;
  readonly minTokenBits: number;
}

/** @throws TypeError naming the option that is wrong */
export function policyOf<Data extends object>(options: SessionsOptions<Data>): Policy<Data> {
  if (typeof options?.store?.create !== "function") {
    throw new TypeError("store is missing: new Sessions({ store: memoryStore() })");
  }
  const lifetime = parseDuration("lifetime", options.lifetime ?? "12h");
  const idleTimeout = parseDuration("idleTimeout", options.idleTimeout ?? Math.min(30 * 60_000, lifetime));
  if (idleTimeout > lifetime) throw new TypeError("idleTimeout must not be longer than lifetime");
  const quarter = Math.max(1, Math.floor(idleTimeout / 4));
  const touchEvery = parseDuration("touchEvery", options.touchEvery ?? Math.min(60_000, quarter));
  if (touchEvery > quarter) {
    throw new TypeError("touchEvery must be at most a quarter of idleTimeout, or sessions in use would die");
  }
  return {
    idleTimeout,
    lifetime,
    touchEvery,
    mayLengthen: options.mayLengthen ?? false,
    maxPerUser: atLeastOne("maxPerUser", options.maxPerUser ?? Number.POSITIVE_INFINITY),
    userId: options.userId,
    codec: options.codec ?? jsonCodec,
    maxDataBytes: atLeastOne("maxDataBytes", options.maxDataBytes ?? 1024 * 1024),
    minTokenBits: atLeastOne("minTokenBits", options.minTokenBits ?? 128),
  };
}

function atLeastOne(name: string, value: number): number {
  if (typeof value === "number" && value >= 1) return value;
  throw new TypeError(`${name} must be a number from 1 on`);
}
