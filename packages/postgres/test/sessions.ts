import type { NewSession } from "@tenure/core";
import type { Pool } from "pg";

export const HOUR = 3_600_000;

/** Returns an anonymous session with an id that is new in its test file. */
export function newSession(given: Partial<NewSession> = {}): NewSession {
  return { id: `session ${(count += 1)}`, userId: null, data: "{}", idle: HOUR, lifetime: HOUR, ...given };
}

let count = 0;

export interface Inserted {
  /** An SQL expression over `i`, the number of the session. Default: anonymous. */
  readonly userId?: string;
  /** Bytes of data. */
  readonly size?: number;
  readonly expired?: boolean;
}

/** Inserts `sessions` sessions with the ids `<prefix> 1`, `<prefix> 2`, … in one statement, past the store. */
export async function insertSessions(
  pool: Pool,
  table: string,
  prefix: string,
  sessions: number,
  { userId = "null", size = 100, expired = false }: Inserted = {},
): Promise<void> {
  await pool.query(
    `insert into ${table}
       (id, user_id, authenticated_at, data, version, created_at, idle_timeout, ends_at, touched_at, expires_at)
     select $1 || ' ' || i, user_id, case when user_id is not null then t end, repeat('x', $3), 1, t, '1 hour',
       t + interval '1 hour', t, t + interval '1 hour'
     from generate_series(1, $2::int) i, lateral (select ${userId} as user_id) owner,
       (select now() - $4::interval as t) clock`,
    [prefix, sessions, size, expired ? "2 hours" : "0"],
  );
}
