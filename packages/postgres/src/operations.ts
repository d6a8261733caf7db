import type { CreateResult, NewSession, SessionChanges, SessionRecord, UpdateResult } from "@tenure/core";
import { orError, type ScanPage } from "@tenure/core/store";
import type { Query, Statement } from "./driver.ts";
import { AGAIN, type Operation } from "./operation.ts";
import { cancelled, decodeRecord, integer, mixedUp, wordIn } from "./reply.ts";
import type { Forms, Statements } from "./statements.ts";
import { decodeText, encodeText } from "./text.ts";

export type Change = SessionChanges & { readonly id: string };

export interface Fence {
  readonly userId: string;
  /** The instant of the fence; `null` means now. */
  readonly upTo: number | null;
}

export interface Fenced {
  readonly instant: number;
  /**
   * Nothing was set if the server's clock has only reached the instant (`"early"`) or is before it
   * (`"future"`).
   */
  readonly state: "fenced" | "early" | "future";
}

export interface Ending {
  readonly userId: string;
  readonly except: string | null;
  readonly upTo: number;
  /** Whether to include sessions that were authenticated before the clock was set back. */
  readonly all: boolean;
}

export interface Ended {
  readonly alive: number;
  /** Includes expired sessions. */
  readonly found: number;
  /** Whether sessions may be left. */
  readonly left: boolean;
}

/** A range of the table's pages, without `to` itself. */
export interface PageRange {
  readonly from: number;
  readonly to: number;
  /** The most rows to delete. */
  readonly limit: number;
  /** Whether to do nothing while another instance sweeps. */
  readonly inTurn: boolean;
}

export interface Swept {
  readonly isOurTurn: boolean;
  readonly swept: number;
  /** Milliseconds by the server's clock, excluding the wait for a connection and the network. */
  readonly took: number;
  /** The size of the whole table. */
  readonly pages: number;
}

export interface Operations {
  readonly create: Operation<NewSession, CreateResult>;
  readonly read: Operation<string, SessionRecord | null>;
  readonly touch: Operation<string, UpdateResult>;
  readonly update: Operation<Change, UpdateResult>;
  readonly revoke: Operation<string, boolean>;
  /** Its commit is asynchronous; that of `end` or `endUnlocked` makes the fence durable. */
  readonly fence: Operation<Fence, Fenced>;
  readonly durableFence: Operation<Fence, Fenced>;
  readonly endUnlocked: Operation<Ending, Ended>;
  readonly end: Operation<Ending, Ended>;
  readonly listUser: Operation<string, SessionRecord[]>;
  readonly scan: Operation<string, ScanPage<string>>;
  readonly now: Operation<null, number>;
  readonly sweep: Operation<PageRange, Swept>;
}

export const END_BATCH = 1000;
/** Rows per page of a scan, dead ones included, so that the cost of a statement is bounded. */
const SCAN_PAGE = 200;

export function operationsOn(statements: Statements): Operations {
  const end: Operation<Ending, Ended> = {
    name: "revokeUser",
    joins: "none",
    keyOf: ({ userId }) => userId,
    query: ([ending], patience) => ({
      statement: statements.end,
      values: [...endingValues(ending!), patience],
    }),
    result([row]) {
      const [, , alive, found, ended, left] = row!;
      if (found !== ended) throw cancelled();
      return { alive: integer(alive), found: integer(found), left: left === "true" };
    },
  };

  return {
    create: {
      name: "create",
      joins: "different keys",
      keyOf: ({ id }) => id,
      lengthOf: ({ data }) => data.length,
      query(sessions, patience) {
        const forUser = sessions.some(({ userId }) => userId !== null);
        const forms = forUser ? statements.createForUser : statements.createAnonymous;
        return byRow(forms, sessions.map(sessionValues), patience);
      },
      result: ([row]) => (row![2] === "again" ? AGAIN : wordIn(row!, "created", "taken", "fenced")),
    },

    read: {
      name: "read",
      joins: "all",
      // This process decodes one reply while the server runs the next statement.
      slots: 2,
      keyOf: (id) => id,
      query: (ids) => byKey(statements.read, ids),
      result([row], id) {
        if (row![2] === null) return null;
        if (row![2] !== id) throw mixedUp();
        return decodeRecord(row!);
      },
    },

    touch: {
      name: "update",
      joins: "all",
      keyOf: (id) => id,
      query: (ids, patience) => byKey(statements.touch, ids, patience),
      result: ([row]) => (row![2] === "again" ? AGAIN : wordIn(row!, "updated", "gone")),
    },

    update: {
      name: "update",
      joins: "different keys",
      keyOf: ({ id }) => id,
      lengthOf: ({ data = "" }) => data.length,
      query(changes, patience) {
        const withUser = changes.some(({ userId }) => typeof userId === "string");
        const forms = withUser ? statements.updateWithUser : statements.update;
        return byRow(forms, changes.map(changeValues), patience);
      },
      result: ([row]) => wordIn(row!, "updated", "gone", "conflict", "fenced"),
    },

    revoke: {
      name: "revoke",
      joins: "different keys",
      keyOf: (id) => id,
      query: (ids, patience) => byKey(statements.revoke, ids, patience),
      result: ([row]) => (row![2] === "again" ? AGAIN : wordIn(row!, "ended", "dead") === "ended"),
    },

    fence: fenceBy(statements.fence),
    durableFence: fenceBy(statements.durableFence),

    end,

    endUnlocked: {
      ...end,
      query: ([ending]) => ({ statement: statements.endUnlocked, values: endingValues(ending!) }),
    },

    listUser: {
      name: "listUser",
      joins: "all",
      keyOf: (userId) => userId,
      query: (userIds) => ({ statement: statements.listUser, values: [unique(userIds)] }),
      result(rows, userId) {
        const records = rows.filter((row) => row[2] !== null).map(decodeRecord);
        if (records.some((record) => record.userId !== decodeText(userId))) throw mixedUp();
        return records.toSorted((a, b) => a.createdAt - b.createdAt);
      },
    },

    scan: {
      name: "scan",
      joins: "none",
      keyOf: (from) => from,
      query: ([from]) => ({ statement: statements.scan, values: [from, SCAN_PAGE] }),
      result: (rows) => ({
        records: rows.filter((row) => row.at(-1) === "true").map((row) => orError(() => decodeRecord(row))),
        // No stored text sorts between the last id and this one.
        next: rows.length === SCAN_PAGE ? `${rows.at(-1)![2]}\u0001` : undefined,
      }),
    },

    now: {
      name: "now",
      joins: "all",
      keyOf: () => "now",
      query: () => ({ statement: statements.now, values: [] }),
      result: ([row]) => integer(row![2]),
    },

    sweep: {
      name: "sweep",
      joins: "none",
      keyOf: () => "sweep",
      query: ([range]) => ({
        statement: statements.sweep,
        values: [`(${range!.from},0)`, `(${range!.to},0)`, range!.limit, range!.inTurn],
      }),
      result([row]) {
        const [, , isOurTurn, swept, took, pages] = row!;
        return {
          isOurTurn: isOurTurn === "true",
          swept: integer(swept),
          took: Number(took),
          pages: integer(pages),
        };
      },
    },
  };
}

function fenceBy(statement: Statement): Operation<Fence, Fenced> {
  return {
    name: "revokeUser",
    joins: "none",
    keyOf: ({ userId }) => userId,
    query: ([call], patience) => ({ statement, values: [call!.userId, call!.upTo, patience] }),
    result: ([row]) => ({ instant: integer(row![2]), state: wordIn(row!, "fenced", "early", "future") }),
  };
}

/** Builds the statement for calls whose only value is their key. */
function byKey({ one, many }: Forms, keys: readonly string[], ...shared: readonly unknown[]): Query {
  return keys.length === 1
    ? { statement: one, values: [keys[0], ...shared] }
    : { statement: many, values: [unique(keys), ...shared] };
}

/** Builds the statement for calls with several values each. */
function byRow({ one, many }: Forms, rows: readonly unknown[][], ...shared: readonly unknown[]): Query {
  const [first] = rows;
  return rows.length === 1
    ? { statement: one, values: [...first!, ...shared] }
    : { statement: many, values: [...first!.map((_, column) => rows.map((row) => row[column])), ...shared] };
}

function unique(keys: readonly string[]): string[] {
  return [...new Set(keys)];
}

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

function endingValues({ userId, except, upTo, all }: Ending): unknown[] {
  return [userId, except, upTo, all, END_BATCH];
}
