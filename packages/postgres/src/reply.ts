import type { SessionRecord } from "@tenure/core";
import { Fault } from "@tenure/core/store";
import type { Row } from "./driver.ts";
import { decodeText } from "./text.ts";

/**
 * A session, from a row whose first two columns are the reply's own.
 *
 * @throws Fault for a row that is not a session
 */
export function decodeRecord(row: Row): SessionRecord {
  const [, , id, userId, data, version, authenticatedAt, createdAt, touchedAt, idle, expiresAt, endsAt] = row;
  if ((userId === null) !== (authenticatedAt === null)) throw notASession();
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

/** What `decode` returns, or the `Fault` that it throws: of one row or call, which must not reject the others. */
export function orFault<Result>(decode: () => Result): Result | Fault {
  try {
    return decode();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

/** The last column, which is one of these words. */
export function wordIn<Word extends string>(row: Row, ...words: readonly Word[]): Word {
  const word = row.at(-1);
  if (word === "cancelled") throw cancelled();
  const found = words.find((each) => each === word);
  if (found === undefined) throw mixedUp();
  return found;
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

export function mixedUp(): Fault {
  return new Fault("the reply is to another call: something between pg and PostgreSQL mixes replies up");
}

export function cancelled(): Fault {
  return new Fault(
    "a trigger or a rule on the table cancelled the write: let it leave Tenure's statements as they are",
  );
}

function notASession(): Fault {
  return new Fault(
    "the reply is not what Tenure's statement selects: something changes rows, in the table or on their way",
  );
}
