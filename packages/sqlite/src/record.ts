import { type SessionRecord, StoreError, type StoreOperation } from "@tenure/core";

const TEXTS = ["id", "user_id", "data"];
const NUMBERS = ["authenticated_at", "version", "created_at", "touched_at", "idle", "expires_at", "ends_at"];
const LARGEST = Number.MAX_SAFE_INTEGER;

/** The columns that {@link decodeRecord} reads. */
export const RECORD: string = [...TEXTS, ...NUMBERS].join(", ");

/**
 * The same for a scan. An unsafe integer, written by hand, becomes null: node:sqlite would reject the whole
 * page.
 */
export const SCANNED: string = [
  ...TEXTS,
  ...NUMBERS.map(
    (column) => `iif(${column} between ${-LARGEST} and ${LARGEST}, ${column}, null) as ${column}`,
  ),
].join(", ");

/**
 * `expires_at` for calls about other sessions, clamped: an unsafe integer written by hand must not make them
 * fail.
 */
export const EXPIRES_AT: string = `max(${-LARGEST}, min(expires_at, ${LARGEST})) as expires_at`;

/** Decodes a row. `undefined`: the row is not a session. */
export function decodeRecord(row: unknown): SessionRecord | undefined {
  // The only cast of a row: each value is checked below.
  const given = row as Readonly<Record<string, unknown>> | null | undefined;
  const { id, user_id: userId, authenticated_at: authenticatedAt, data, version } = given ?? {};
  const {
    created_at: createdAt,
    touched_at: touchedAt,
    idle,
    expires_at: expiresAt,
    ends_at: endsAt,
  } = given ?? {};
  const record = {
    id,
    userId,
    authenticatedAt,
    data,
    version,
    createdAt,
    touchedAt,
    idle,
    expiresAt,
    endsAt,
  };
  const isOne =
    isText(id) &&
    isText(data) &&
    (userId === null ? authenticatedAt === null : isText(userId) && isInteger(authenticatedAt)) &&
    [version, createdAt, touchedAt, idle, expiresAt, endsAt].every(isInteger);
  return isOne ? (record as SessionRecord) : undefined;
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isInteger(value: unknown): boolean {
  return Number.isSafeInteger(value);
}

export function notASession(operation: StoreOperation): StoreError {
  return new StoreError(operation, "a row of tenure_sessions is not a session");
}
