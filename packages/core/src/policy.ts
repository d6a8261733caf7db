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

/** @throws TypeError naming the option that is wrong, or that there is none of */
export function policyOf<Data extends object>(options: SessionsOptions<Data>): Policy<Data> {
  assertStore(options?.store);
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(OPTIONS, name)) continue;
    throw new TypeError(`there is no option ${name}: use ${Object.keys(OPTIONS).join(", ")}`);
  }
  const { mayLengthen = false, userId, codec = jsonCodec } = options;
  const lifetime = parseDuration("lifetime", options.lifetime ?? "12h");
  const idleTimeout = parseDuration("idleTimeout", options.idleTimeout ?? Math.min(30 * 60_000, lifetime));
  if (idleTimeout > lifetime) throw new TypeError("idleTimeout must not be longer than lifetime");
  const quarter = Math.max(1, Math.floor(idleTimeout / 4));
  const touchEvery = parseDuration("touchEvery", options.touchEvery ?? Math.min(60_000, quarter));
  if (touchEvery > quarter) {
    throw new TypeError("touchEvery must be at most a quarter of idleTimeout, or sessions in use would die");
  }
  if (typeof mayLengthen !== "boolean") throw new TypeError("mayLengthen must be true or false");
  if (userId !== undefined && typeof userId !== "function") {
    throw new TypeError("userId must be a function of a session's data: (data) => data.userId");
  }
  if (typeof codec?.encode !== "function" || typeof codec.decode !== "function") {
    throw new TypeError("codec must have encode and decode");
  }
  return {
    idleTimeout,
    lifetime,
    touchEvery,
    mayLengthen,
    maxPerUser: atLeastOne("maxPerUser", options.maxPerUser ?? Number.POSITIVE_INFINITY),
    userId,
    codec,
    maxDataBytes: atLeastOne("maxDataBytes", options.maxDataBytes ?? 1024 * 1024),
    minTokenBits: atLeastOne("minTokenBits", options.minTokenBits ?? 128),
  };
}

const OPTIONS = {
  store: true,
  idleTimeout: true,
  lifetime: true,
  touchEvery: true,
  mayLengthen: true,
  maxPerUser: true,
  userId: true,
  codec: true,
  maxDataBytes: true,
  minTokenBits: true,
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
  if (typeof store !== "object" || store === null) {
    throw new TypeError("store is missing: new Sessions({ store: memoryStore() })");
  }
  const missing = METHODS.filter((name) => typeof store[name] !== "function");
  if (missing.length === 0) return;
  throw new TypeError(`store is no SessionStore, as memoryStore() answers: it lacks ${missing.join(", ")}`);
}

function atLeastOne(name: string, value: number): number {
  if (typeof value === "number" && value >= 1) return value;
  throw new TypeError(`${name} must be a number from 1 on`);
}
