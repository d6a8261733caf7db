import type { SessionRecord } from "@tenure/core";
import { Fault } from "@tenure/core/store";

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

/** A row of tenure_sessions, before it is checked. Each statement selects some of these columns. */
export interface Row {
  readonly n: number;
  readonly id: string;
  readonly user_id: string | null;
  readonly authenticated_at: number | null;
  readonly version: number;
  readonly created_at: number;
  readonly touched_at: number;
  readonly idle: number;
  readonly ends_at: number;
  readonly expires_at: number;
  readonly revoked_at: number | null;
  readonly sweep_at: number;
  readonly data: string;
}

/** @throws Fault for a row that is not a session */
export function decodeRecord(row: Row): SessionRecord {
  const isOne =
    isText(row.id) &&
    isText(row.data) &&
    (row.user_id === null
      ? row.authenticated_at === null
      : isText(row.user_id) && isInteger(row.authenticated_at)) &&
    [row.version, row.created_at, row.touched_at, row.idle, row.expires_at, row.ends_at].every(isInteger);
  if (!isOne) throw new Fault("a row of tenure_sessions is not a session");
  return {
    id: row.id,
    userId: row.user_id,
    authenticatedAt: row.authenticated_at,
    data: row.data,
    version: row.version,
    createdAt: row.created_at,
    touchedAt: row.touched_at,
    idle: row.idle,
    expiresAt: row.expires_at,
    endsAt: row.ends_at,
  };
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isInteger(value: unknown): boolean {
  return Number.isSafeInteger(value);
}
