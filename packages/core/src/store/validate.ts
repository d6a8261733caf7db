import { MAX_DURATION, type NewSession, type RevokeUserOptions, type SessionChanges } from "../store.ts";

/**
 * Checks the input of a store's `create`. Call it first, so that all stores refuse the same input.
 *
 * @throws TypeError before anything is written
 */
export function assertNewSession(session: NewSession): void {
  assertString("id", session.id);
  assertUserId(session.userId);
  assertString("data", session.data);
  assertDuration("idle", session.idle);
  assertDuration("lifetime", session.lifetime);
  if (session.authenticatedAt === undefined) return;
  assertInstant("authenticatedAt", session.authenticatedAt);
  if (session.userId === null)
    throw new TypeError("authenticatedAt needs a userId: an anonymous session has no login");
}

/**
 * Checks the input of a store's `update`.
 *
 * @throws TypeError before anything is written
 */
export function assertChanges(changes: SessionChanges): void {
  const { data, userId, idle, lifetime, authenticatedAt, touch, ifVersion } = changes;
  if (data !== undefined) assertString("data", data);
  if (userId !== undefined) assertUserId(userId);
  if (idle !== undefined) assertDuration("idle", idle);
  if (lifetime !== undefined) assertDuration("lifetime", lifetime);
  if (authenticatedAt !== undefined) {
    assertInstant("authenticatedAt", authenticatedAt);
    if (userId === null)
      throw new TypeError("authenticatedAt cannot be combined with userId null, which unbinds the session");
  }
  assertTouch(touch);
  if (ifVersion !== undefined && !Number.isSafeInteger(ifVersion)) {
    throw new TypeError("ifVersion must be the version of a record, a whole number");
  }
}

/** @throws TypeError for a `touch` that is given and is not a boolean */
export function assertTouch(touch: unknown): void {
  if (touch !== undefined && typeof touch !== "boolean") throw new TypeError("touch must be true or false");
}

/**
 * Checks the input of a store's `revokeUser`, except whether `authenticatedUpTo` is in the future: only the
 * store's clock shows that. See {@link instantInTheFuture}.
 *
 * @throws TypeError before anything is written
 */
export function assertRevokeUser(userId: string, options: RevokeUserOptions = {}): void {
  assertString("userId", userId);
  if (options.except !== undefined) assertString("except", options.except);
  if (options.authenticatedUpTo !== undefined) assertInstant("authenticatedUpTo", options.authenticatedUpTo);
}

/** Returns the error for an `authenticatedUpTo` after the store's clock. */
export function instantInTheFuture(): TypeError {
  return new TypeError("authenticatedUpTo must not be after the store's clock");
}

/**
 * Checks that strings can be stored as UTF-8, which cannot encode lone surrogates: all of them would become
 * the same character, and different ids the same id.
 *
 * @throws TypeError naming the string that cannot be stored
 */
export function assertWellFormed(texts: Readonly<Record<string, string | null | undefined>>): void {
  for (const name in texts) {
    const text = texts[name];
    if (text !== null && text !== undefined && !text.isWellFormed()) {
      throw new TypeError(
        `${name} must be a well-formed string: it has a lone surrogate, which UTF-8 cannot encode`,
      );
    }
  }
}

/**
 * Whether a session can exist under this id or user. None exists under a string with a lone surrogate.
 *
 * @throws TypeError for a value that is not a string
 */
export function canBeStored(name: string, text: unknown): boolean {
  assertString(name, text);
  return text.isWellFormed();
}

function assertString(name: string, value: unknown): asserts value is string {
  if (typeof value !== "string")
    throw new TypeError(`${name} must be a string, not ${value === null ? "null" : typeof value}`);
}

function assertUserId(value: unknown): void {
  if (value !== null) assertString("userId", value);
}

/**
 * Checks a duration of the contract, or of an option such as `tombstoneMinimum`.
 *
 * @throws TypeError for anything but a whole number of milliseconds from 1 to {@link MAX_DURATION}
 */
export function assertDuration(name: string, value: unknown): void {
  if (!(typeof value === "number" && Number.isSafeInteger(value) && value > 0 && value <= MAX_DURATION)) {
    throw new TypeError(
      `${name} must be a whole number of milliseconds from 1 to ${MAX_DURATION} (100 years)`,
    );
  }
}

/**
 * Checks that options hold no unknown name: a misspelled option would have no effect.
 *
 * @throws TypeError naming the unknown option and the known ones
 */
export function assertKnownOptions(options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`options must be an object. Known options: ${known.join(", ")}`);
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new TypeError(`Unknown option ${unknown}. Known options: ${known.join(", ")}`);
}

function assertInstant(name: string, value: unknown): void {
  if (!(typeof value === "number" && Number.isSafeInteger(value) && value >= 0)) {
    throw new TypeError(`${name} must be epoch milliseconds by the store's clock: a whole number, 0 or more`);
  }
}
