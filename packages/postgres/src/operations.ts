import type { NewSession, SessionChanges, SessionRecord, StoreOperation, UpdateResult } from "@tenure/core";
import type { Query, Rows } from "./driver.ts";
import { StandbyError } from "./failure.ts";
import { decodeFound } from "./record.ts";
import type { Statements } from "./statements.ts";
import { decodeText, encodeText } from "./text.ts";

/** Something a store is asked, as statements and their answers. Keys in it are encoded already. */
export interface Operation<Call, Answer> {
  readonly name: StoreOperation;
  /** Whether calls of one key that wait together may share one answer. */
  readonly merges: boolean;
  /** Whether its statement may take long, as one does that waits for the disk. */
  readonly slow: boolean;
  one(call: Call): Query;
  /** Absent: calls go one by one. */
  many?(calls: readonly Call[]): Query;
  /** Waits for rows that others hold. Absent: never `busy`. */
  patient?(call: Call): Query;
  /** In the order of the calls. `busy`: ask the patient form. */
  answers(rows: Rows, calls: readonly Call[]): readonly (Answer | typeof BUSY)[];
}

/** A transaction of someone else decides the answer, and has not ended yet. */
export const BUSY: unique symbol = Symbol("busy");

export interface Operations {
  readonly create: Operation<NewSession, boolean>;
  readonly read: Operation<string, SessionRecord | null>;
  readonly touch: Operation<string, UpdateResult>;
  readonly update: Operation<Change, UpdateResult>;
  readonly revoke: Operation<string, boolean>;
  readonly revokeUser: Operation<UserRevocation, number>;
  readonly listUser: Operation<string, SessionRecord[]>;
  readonly scan: Operation<string, ScanPage>;
  readonly now: Operation<null, number>;
  /** How many pages the table of that name has. */
  readonly pages: Operation<string, number>;
  readonly sweep: Operation<Strip, Swept>;
}

export interface Change extends SessionChanges {
  readonly id: string;
}

export interface UserRevocation {
  readonly userId: string;
  readonly except: string | null;
  /** How many sessions the statements of this call have ended so far. */
  ended: number;
}

export interface ScanPage {
  readonly live: readonly SessionRecord[];
  /** Ids, as they are stored, of which only a patient read can tell. */
  readonly busy: readonly string[];
  /** Where the next page begins; `null` after the last. */
  readonly next: string | null;
}

/** Pages of the table, from one up to another. */
export interface Strip {
  readonly table: string;
  readonly from: number;
  readonly to: number;
  /** How many rows to delete at most. */
  readonly most: number;
  /** Only if no other instance is at it this very moment. */
  readonly inTurn: boolean;
}

export interface Swept {
  readonly ours: boolean;
  readonly swept: number;
  /** Milliseconds, by the server's clock: no wait for a connection or for the network is in it. */
  readonly took: number;
}

export function operationsOn(statements: Statements, tombstoneMinimum: number): Operations {
  const { create, read, touch, update, revoke, revokeUser, listUser, scan, now } = statements;
  return {
    create: {
      name: "create",
      merges: false,
      slow: true,
      one: (session) => ({ statement: create.one, values: sessionValues(session) }),
      many: (sessions) => ({ statement: create.many, values: columns(sessions.map(sessionValues)) }),
      answers: (rows, sessions) => {
        const created = new Set(rows.map(([id]) => id));
        return sessions.map(({ id }) => created.has(id));
      },
    },

    read: {
      name: "read",
      merges: true,
      slow: false,
      one: (id) => ({ statement: read.one, values: [id] }),
      many: (ids) => ({ statement: read.many, values: [ids] }),
      patient: (id) => ({ statement: read.patient, values: [id] }),
      answers: (rows, ids) => {
        const found = new Map(decodeFound(rows).map((row) => [row.id, row]));
        return ids.map((id) => {
          const row = found.get(id);
          if (row?.life === "busy") return BUSY;
          return row?.life === "live" ? row.record : null;
        });
      },
    },

    touch: {
      name: "update",
      merges: true,
      slow: false,
      one: (id) => ({ statement: touch.one, values: [id] }),
      many: (ids) => ({ statement: touch.many, values: [ids] }),
      patient: (id) => ({ statement: touch.patient, values: [id] }),
      answers: (rows, ids) => updateResults(rows, ids),
    },

    update: {
      name: "update",
      merges: false,
      slow: true,
      one: (change) => ({ statement: update.one, values: changeValues(change) }),
      many: (changes) => ({ statement: update.many, values: columns(changes.map(changeValues)) }),
      patient: (change) => ({ statement: update.patient, values: changeValues(change) }),
      answers: (rows, changes) =>
        updateResults(
          rows,
          changes.map(({ id }) => id),
        ),
    },

    revoke: {
      name: "revoke",
      merges: false,
      slow: true,
      one: (id) => ({ statement: revoke.one, values: [id, tombstoneMinimum] }),
      many: (ids) => ({ statement: revoke.many, values: [ids, tombstoneMinimum] }),
      patient: (id) => ({ statement: revoke.patient, values: [id, tombstoneMinimum] }),
      answers: (rows, ids) => {
        const ended = new Map(rows.map(([id, alive]) => [id, alive === "true"]));
        return ids.map((id) => ended.get(id) ?? BUSY);
      },
    },

    revokeUser: {
      name: "revokeUser",
      merges: false,
      slow: true,
      one: ({ userId, except }) => ({
        statement: revokeUser.one,
        values: [userId, except, tombstoneMinimum],
      }),
      patient: ({ userId, except }) => ({
        statement: revokeUser.patient,
        values: [userId, except, tombstoneMinimum],
      }),
      answers: (rows, calls) =>
        calls.map((call) => {
          call.ended += Number(rows[0]?.[0]);
          return rows[0]?.[1] === "true" ? BUSY : call.ended;
        }),
    },

    listUser: {
      name: "listUser",
      merges: true,
      slow: false,
      one: (userId) => ({ statement: listUser.many, values: [[userId]] }),
      many: (userIds) => ({ statement: listUser.many, values: [userIds] }),
      patient: (userId) => ({ statement: listUser.patient, values: [userId] }),
      answers: (rows, userIds) => {
        const found = Map.groupBy(decodeFound(rows), ({ record }) => record.userId);
        return userIds.map((userId) => {
          const sessions = found.get(decodeText(userId)) ?? [];
          if (sessions.some(({ life }) => life === "busy")) return BUSY;
          return sessions
            .filter(({ life }) => life === "live")
            .map(({ record }) => record)
            .toSorted((a, b) => a.createdAt - b.createdAt);
        });
      },
    },

    scan: {
      name: "scan",
      merges: false,
      slow: false,
      one: (from) => ({ statement: scan, values: [from, SCAN_PAGE] }),
      answers: (rows) => {
        const found = decodeFound(rows);
        const last = found.length === SCAN_PAGE ? found.at(-1) : undefined;
        return [
          {
            live: found.filter(({ life }) => life === "live").map(({ record }) => record),
            busy: found.filter(({ life }) => life === "busy").map(({ id }) => id),
            // Nothing that text can hold sorts between the two.
            next: last === undefined ? null : `${last.id}\u0001`,
          },
        ];
      },
    },

    now: {
      name: "now",
      merges: true,
      slow: false,
      one: () => ({ statement: now, values: [] }),
      answers: ([row]) => {
        if (row?.[0] === "true") throw new StandbyError();
        return [Number(row?.[1])];
      },
    },

    pages: {
      name: "sweep",
      merges: true,
      slow: false,
      one: (table) => ({ statement: statements.pages, values: [table] }),
      answers: ([row]) => [Number(row?.[0])],
    },

    sweep: {
      name: "sweep",
      merges: false,
      slow: true,
      one: ({ table, from, to, most, inTurn }) => ({
        statement: statements.sweep,
        values: [`(${from},0)`, `(${to},0)`, most, inTurn, table],
      }),
      answers: ([row]) => [{ ours: row?.[0] === "true", swept: Number(row?.[1]), took: Number(row?.[2]) }],
    },
  };
}

/** Rows of a page of a scan, live or not: what one statement costs is bounded. */
const SCAN_PAGE = 200;

function sessionValues({ id, userId, data, idle, lifetime, createdAt }: NewSession): unknown[] {
  return [id, userId, encodeText(data), idle, lifetime, createdAt ?? null];
}

function changeValues({ id, data, userId, idle, ifVersion }: Change): unknown[] {
  return [
    id,
    data === undefined ? null : encodeText(data),
    userId !== undefined,
    userId ?? null,
    idle ?? null,
    ifVersion ?? null,
  ];
}

function columns(rows: readonly unknown[][]): unknown[][] {
  return rows[0]!.map((_, column) => rows.map((row) => row[column]));
}

function updateResults(rows: Rows, ids: readonly string[]): (UpdateResult | typeof BUSY)[] {
  const results = new Map(rows.map(([id, result]) => [id, result]));
  return ids.map((id) => {
    const result = results.get(id);
    if (result === "busy") return BUSY;
    return result === "updated" || result === "conflict" ? result : "gone";
  });
}
