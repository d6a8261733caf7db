import type { SessionRecord } from "@tenure/core";
import type { Row } from "./driver.ts";
import { ReplyError } from "./failure.ts";
import { decodeText } from "./text.ts";

/**
 * A session, from a row whose first two columns are the reply's own.
 *
 * @throws ReplyError for a row that is not a session
 */
export function decodeRecord(row: Row): SessionRecord {
  const [, , id, userId, data, version, authenticatedAt, createdAt, touchedAt, idle, expiresAt, endsAt] = row;
  const record = {
    id: text(id),
    userId: userId === null ? null : text(userId),
    authenticatedAt: authenticatedAt === null ? null : integer(authenticatedAt),
    data: text(data),
    version: integer(version),
    createdAt: integer(createdAt),
    touchedAt: integer(touchedAt),
    idle: integer(idle),
    expiresAt: integer(expiresAt),
    endsAt: integer(endsAt),
  };
  if ((record.userId === null) !== (record.authenticatedAt === null)) throw notASession();
  return record;
}

function text(value: string | null | undefined): string {
  if (typeof value !== "string") throw notASession();
  return decodeText(value);
}

export function integer(value: string | null | undefined): number {
  const number = typeof value === "string" && value !== "" ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw notASession();
  return number;
}

function notASession(): ReplyError {
  return new ReplyError(
    "the reply is not what Tenure's statement selects: something changes rows on their way",
  );
}
