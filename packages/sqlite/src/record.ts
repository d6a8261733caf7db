import type { SessionRecord } from "@tenure/core";

/** The columns of a session, as {@link decodeRecord} reads them. */
export const RECORD =
  "id, user_id, authenticated_at, data, version, created_at, touched_at, idle, expires_at, ends_at";

/** The session in a row; `undefined` if the row is not one. */
export function decodeRecord(row: unknown): SessionRecord | undefined {
  // The one cast of a row: each value is checked below.
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
