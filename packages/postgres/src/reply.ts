import type { SessionRecord } from "@tenure/core";
import { Fault } from "@tenure/core/store";
import type { Row } from "./driver.ts";
import { decodeText } from "./text.ts";

/**
 * Decodes a session. The first two columns of the row are the server's state and the call's key.
 *
 * @throws Fault for a row that is not a session
 */
export function decodeRecord(row: Row): SessionRecord {
  const [, , id, userId, data, version, authenticatedAt, createdAt, touchedAt, idle, expiresAt, endsAt] = row;
  if ((userId === null) !== (authenticatedAt === null)) throw malformed();
  return {
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
}

/** Returns the last column, which must be one of these words. */
export function wordIn<Word extends string>(row: Row, ...words: readonly Word[]): Word {
  const word = row.at(-1);
  if (word === "cancelled") throw cancelled();
  const found = words.find((each) => each === word);
  if (found === undefined) throw mixedUp();
  return found;
}

function text(value: string | null | undefined): string {
  if (typeof value !== "string") throw malformed();
  return decodeText(value);
}

export function integer(value: string | null | undefined): number {
  const number = typeof value === "string" && value !== "" ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw malformed();
  return number;
}

export function mixedUp(): Fault {
  return new Fault("the reply belongs to another call: something between pg and PostgreSQL mixes up replies");
}

export function cancelled(): Fault {
  return new Fault(
    "a trigger or rule on the table cancelled the write: remove it, or make it ignore Tenure's statements",
  );
}

function malformed(): Fault {
  return new Fault(
    "the reply is not in Tenure's format: something changed the row, in the table or in transit",
  );
}
