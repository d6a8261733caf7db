import {
  type CreateResult,
  type NewSession,
  type SessionChanges,
  type SessionRecord,
  type StoreOperation,
  type UpdateResult,
} from "@tenure/core";
import type { Query, Row } from "./driver.ts";
import { ReplyError } from "./failure.ts";
import { decodeRecord, integer } from "./record.ts";
import type { Statements } from "./statements.ts";
import { decodeText, encodeText } from "./text.ts";

/** One kind of call, as a statement and its reply. Keys in it are encoded already. */
export interface Operation<Call, Result> {
  readonly name: StoreOperation;
  /** What the call is about, as each row of its reply says in the second column. */
  readonly keyOf: (call: Call) => string;
  /** @param patience how long to wait for each lock, as PostgreSQL writes it; `null`: as long as the server lets it */
  readonly one: (call: Call, patience: string | null) => Query;
  /** Several calls in one statement. Absent: calls go one by one. */
  readonly many?: (calls: readonly Call[], patience: string | null) => Query;
  /** How many statements may be under way at once. */
  readonly slots: number;
  /** Calls with the same key get the same result, so that they may share a statement. Otherwise they go one after another. */
  readonly shares: boolean;
  /** How many bytes of data the call carries, where that matters. */
  readonly sizeOf?: (call: Call) => number;
  /**
   * What the rows of the call's key say: at least one.
   *
   * @throws ReplyError
   */
  readonly result: (rows: readonly Row[], call: Call) => Result | typeof AGAIN;
}

/** The row could be neither seen nor written, because another transaction has just made it. The next statement sees it. */
export const AGAIN: unique symbol = Symbol("again");

export type Change = SessionChanges & { readonly id: string };

/** The user's fence, and where it is set: `null` for the present. */
export interface Fencing {
  readonly userId: string;
  readonly upTo: number | null;
}

export interface Ending {
  readonly userId: string;
  readonly except: string | null;
  readonly upTo: number;
  /** Also sessions from before the clock was set back. */
  readonly all: boolean;
}

export interface Ended {
  /** Sessions that were alive. */
  readonly alive: number;
  /** Rows that were found, expired ones included. */
  readonly found: number;
  /** Whether there may be more. */
  readonly left: boolean;
}

export interface ScanPage {
  readonly records: readonly SessionRecord[];
  /** Where the next page begins; `null` after the last. */
  readonly next: string | null;
}

/** Pages of the table, from one up to another. */
export interface Strip {
  readonly from: number;
  readonly to: number;
  /** How many rows to delete at most. */
  readonly most: number;
  /** Only if no other instance sweeps at this moment. */
  readonly inTurn: boolean;
}

export interface Swept {
  readonly ours: boolean;
  readonly swept: number;
  /** Milliseconds by the server's clock, without the wait for a connection or the network. */
  readonly took: number;
  /** How many pages the table has. */
  readonly pages: number;
}

/** How many sessions one statement of `revokeUser` ends at most. */
export const END_BATCH = 1000;

export interface Operations {
  readonly create: Operation<NewSession, CreateResult>;
  readonly read: Operation<string, SessionRecord | null>;
  readonly touch: Operation<string, UpdateResult>;
  readonly update: Operation<Change, UpdateResult>;
  readonly revoke: Operation<string, boolean>;
  /** The fence's instant, or `null` if that is in the future. */
  readonly fence: Operation<Fencing, number | null>;
  readonly endUnlocked: Operation<Ending, Ended>;
  readonly end: Operation<Ending, Ended>;
  readonly listUser: Operation<string, SessionRecord[]>;
  readonly scan: Operation<string, ScanPage>;
  readonly now: Operation<null, number>;
  readonly sweep: Operation<Strip, Swept>;
}

export function operationsOn(statements: Statements, tombstoneMinimum: number): Operations {
  const create: Operation<NewSession, CreateResult> = {
    name: "create",
    keyOf: ({ id }) => id,
    one: (session, patience) => ({
      statement: (session.userId === null ? statements.createAnonymous : statements.createForUser).one,
      values: [...sessionValues(session), tombstoneMinimum, patience],
    }),
    many: (sessions, patience) => ({
      statement: (sessions.every(({ userId }) => userId === null)
        ? statements.createAnonymous
        : statements.createForUser
      ).many,
      values: [...columns(sessions.map(sessionValues)), tombstoneMinimum, patience],
    }),
    slots: 1,
    shares: false,
    sizeOf: ({ data }) => data.length,
    result: ([row]) => again(row!) ?? oneOf(row!, "created", "taken", "fenced"),
  };

  const read: Operation<string, SessionRecord | null> = {
    name: "read",
    keyOf: (id) => id,
    one: (id) => ({ statement: statements.read.one, values: [id] }),
    many: (ids) => ({ statement: statements.read.many, values: [unique(ids)] }),
    // One reply is decoded here while the server is at the next statement.
    slots: 2,
    shares: true,
    result([row], id) {
      if (row![2] === null) return null;
      if (row![2] !== id) throw mixedUp();
      return decodeRecord(row!);
    },
  };

  const touch: Operation<string, UpdateResult> = {
    name: "update",
    keyOf: (id) => id,
    one: (id, patience) => ({ statement: statements.touch.one, values: [id, patience] }),
    many: (ids, patience) => ({ statement: statements.touch.many, values: [unique(ids), patience] }),
    slots: 1,
    shares: true,
    result: ([row]) => oneOf(row!, "updated", "gone"),
  };

  const update: Operation<Change, UpdateResult> = {
    name: "update",
    keyOf: ({ id }) => id,
    one: (change, patience) => ({
      statement: (typeof change.userId === "string" ? statements.updateWithUser : statements.update).one,
      values: [...changeValues(change), tombstoneMinimum, patience],
    }),
    many: (changes, patience) => ({
      statement: (changes.some(({ userId }) => typeof userId === "string")
        ? statements.updateWithUser
        : statements.update
      ).many,
      values: [...columns(changes.map(changeValues)), tombstoneMinimum, patience],
    }),
    slots: 1,
    shares: false,
    sizeOf: ({ data = "" }) => data.length,
    result: ([row]) => oneOf(row!, "updated", "gone", "conflict", "fenced"),
  };

  const revoke: Operation<string, boolean> = {
    name: "revoke",
    keyOf: (id) => id,
    one: (id, patience) => ({ statement: statements.revoke.one, values: [id, tombstoneMinimum, patience] }),
    many: (ids, patience) => ({
      statement: statements.revoke.many,
      values: [ids, tombstoneMinimum, patience],
    }),
    slots: 1,
    shares: false,
    result: ([row]) => again(row!) ?? oneOf(row!, "ended", "dead") === "ended",
  };

  const fence: Operation<Fencing, number | null> = {
    name: "revokeUser",
    keyOf: ({ userId }) => userId,
    one: ({ userId, upTo }, patience) => ({
      statement: statements.fence,
      values: [userId, upTo, tombstoneMinimum, patience],
    }),
    slots: 1,
    shares: false,
    result: ([row]) => (oneOf(row!, "fenced", "future") === "future" ? null : integer(row![2])),
  };

  const endValues = ({ userId, except, upTo, all }: Ending): unknown[] => [
    userId,
    except,
    upTo,
    all,
    tombstoneMinimum,
    END_BATCH,
  ];
  const endUnlocked: Operation<Ending, Ended> = {
    name: "revokeUser",
    keyOf: ({ userId }) => userId,
    one: (ending) => ({ statement: statements.endUnlocked, values: endValues(ending) }),
    slots: 1,
    shares: false,
    result([row]) {
      const [, , alive, found, ended, left] = row!;
      if (found !== ended) throw cancelled();
      return { alive: integer(alive), found: integer(found), left: left === "true" };
    },
  };
  const end: Operation<Ending, Ended> = {
    ...endUnlocked,
    one: (ending, patience) => ({ statement: statements.end, values: [...endValues(ending), patience] }),
  };

  const listUser: Operation<string, SessionRecord[]> = {
    name: "listUser",
    keyOf: (userId) => userId,
    one: (userId) => ({ statement: statements.listUser, values: [[userId]] }),
    many: (userIds) => ({ statement: statements.listUser, values: [unique(userIds)] }),
    slots: 1,
    shares: true,
    result(rows, userId) {
      const records = rows.filter((row) => row[2] !== null).map(decodeRecord);
      if (records.some((record) => record.userId !== decodeText(userId))) throw mixedUp();
      return records.toSorted((a, b) => a.createdAt - b.createdAt);
    },
  };

  const scan: Operation<string, ScanPage> = {
    name: "scan",
    keyOf: (from) => from,
    one: (from) => ({ statement: statements.scan, values: [from, SCAN_PAGE] }),
    slots: 1,
    shares: false,
    result: (rows) => ({
      records: rows.filter((row) => row.at(-1) === "true").map(decodeRecord),
      // Nothing that text can hold sorts between the two.
      next: rows.length === SCAN_PAGE ? `${rows.at(-1)![2]}\u0001` : null,
    }),
  };

  const now: Operation<null, number> = {
    name: "now",
    keyOf: () => "now",
    one: () => ({ statement: statements.now, values: [] }),
    many: () => ({ statement: statements.now, values: [] }),
    slots: 1,
    shares: true,
    result: ([row]) => integer(row![2]),
  };

  const sweep: Operation<Strip, Swept> = {
    name: "sweep",
    keyOf: () => "sweep",
    one: ({ from, to, most, inTurn }) => ({
      statement: statements.sweep,
      values: [`(${from},0)`, `(${to},0)`, most, inTurn],
    }),
    slots: 1,
    shares: false,
    result([row]) {
      const [, , ours, swept, took, pages] = row!;
      return { ours: ours === "true", swept: integer(swept), took: Number(took), pages: integer(pages) };
    },
  };

  return { create, read, touch, update, revoke, fence, endUnlocked, end, listUser, scan, now, sweep };
}

/** Rows of a page of a scan, live or not, so that the cost of a statement is bounded. */
const SCAN_PAGE = 200;

function sessionValues({ id, userId, data, idle, lifetime, authenticatedAt }: NewSession): unknown[] {
  return [id, userId, encodeText(data), idle, lifetime, authenticatedAt ?? null];
}

function changeValues(change: Change): unknown[] {
  const { id, data, userId, idle, lifetime, authenticatedAt, touch = true, ifVersion } = change;
  return [
    id,
    data === undefined ? null : encodeText(data),
    userId !== undefined,
    userId ?? null,
    idle ?? null,
    lifetime ?? null,
    authenticatedAt ?? null,
    touch,
    ifVersion ?? null,
  ];
}

function columns(rows: readonly unknown[][]): unknown[][] {
  return rows[0]!.map((_, column) => rows.map((row) => row[column]));
}

function unique(keys: readonly string[]): string[] {
  return [...new Set(keys)];
}

function again(row: Row): typeof AGAIN | undefined {
  return row[2] === "again" ? AGAIN : undefined;
}

/** The last column, which is one of these words. */
function oneOf<Word extends string>(row: Row, ...words: readonly Word[]): Word {
  const word = row.at(-1);
  if (word === "cancelled") throw cancelled();
  const found = words.find((each) => each === word);
  if (found === undefined) throw mixedUp();
  return found;
}

function cancelled(): ReplyError {
  return new ReplyError(
    "a trigger or a rule on the table cancelled the write: let it leave Tenure's statements as they are",
  );
}

function mixedUp(): ReplyError {
  return new ReplyError(
    "the reply is not to this call: something between pg and PostgreSQL mixes replies up",
  );
}
