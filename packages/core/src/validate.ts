import { MAX_DURATION, type NewSession, type SessionChanges } from "./store.ts";

/**
 * Refuses what no store may write. For the first line of a store's `create`, so that all stores refuse alike.
 *
 * @throws TypeError before anything is written
 */
export function assertNewSession(session: NewSession): void {
  assertString("id", session.id);
  assertUserId(session.userId);
  assertString("data", session.data);
  assertDuration("idle", session.idle);
  assertDuration("lifetime", session.lifetime);
  const { createdAt } = session;
  if (createdAt !== undefined && !(Number.isSafeInteger(createdAt) && createdAt >= 0)) {
    throw new TypeError(
      "createdAt must be epoch milliseconds, as they stand in the record of the session that is continued",
    );
  }
}

/**
 * Refuses what no store may write. For the first line of a store's `update`.
 *
 * @throws TypeError before anything is written
 */
export function assertChanges(changes: SessionChanges): void {
  if (changes.data !== undefined) assertString("data", changes.data);
  if (changes.userId !== undefined) assertUserId(changes.userId);
  if (changes.idle !== undefined) assertDuration("idle", changes.idle);
  if (changes.ifVersion !== undefined && !Number.isSafeInteger(changes.ifVersion)) {
    throw new TypeError("ifVersion must be the version of a record that was read");
  }
}

function assertString(name: string, value: unknown): void {
  if (typeof value !== "string") throw new TypeError(`${name} must be a string, not ${kindOf(value)}`);
}

function assertUserId(value: unknown): void {
  if (value !== null) assertString("userId", value);
}

function assertDuration(name: string, value: unknown): void {
  if (!(typeof value === "number" && Number.isSafeInteger(value) && value > 0 && value <= MAX_DURATION)) {
    throw new TypeError(
      `${name} must be a whole number of milliseconds from 1 to ${MAX_DURATION} (100 years)`,
    );
  }
}

function kindOf(value: unknown): string {
  return value === null ? "null" : typeof value;
}
