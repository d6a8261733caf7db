import assert from "node:assert/strict";
import type { SessionRecord } from "@tenure/core";
import { describe, test } from "vitest";
import type { Call, Result } from "../src/model.ts";
import { hasOrder, type Observed } from "../src/order.ts";

const session = { id: "a", userId: "u", data: "old", idle: 1000, lifetime: 10_000 };
const create: Call = { on: "create", session };
const revoke: Call = { on: "revoke" };
const read: Call = { on: "read" };
const write: Call = { on: "update", changes: { data: "new" } };
const revokeAll: Call = { on: "revokeUser", userId: "u", excepted: false };

describe("hasOrder", () => {
  test("accepts calls that follow each other, in that order", () => {
    assert.ok(
      ordered(
        [create, "created", 1, 2],
        [read, record("old", 1), 3, 4],
        [revoke, true, 5, 6],
        [read, null, 7, 8],
      ),
    );
  });

  test("accepts either order of calls that overlap", () => {
    assert.ok(ordered([create, "created", 1, 2], [revoke, true, 3, 6], [write, "updated", 4, 5]));
    assert.ok(ordered([create, "created", 1, 2], [revoke, true, 3, 6], [write, "gone", 4, 5]));
    assert.ok(ordered([create, "created", 1, 4], [revoke, true, 2, 3]));
  });

  test("rejects a history in which a session is alive after its revoke", () => {
    assert.ok(!ordered([create, "created", 1, 2], [revoke, true, 3, 4], [write, "updated", 5, 6]));
    assert.ok(!ordered([create, "created", 1, 2], [revoke, true, 3, 4], [read, record("old", 1), 5, 6]));
  });

  test("rejects a history in which a write is lost, or is read before it began", () => {
    assert.ok(!ordered([create, "created", 1, 2], [write, "updated", 3, 4], [read, record("old", 1), 5, 6]));
    assert.ok(!ordered([create, "created", 1, 2], [read, record("new", 2), 3, 4], [write, "updated", 5, 6]));
  });

  test("rejects a history in which two calls both ended one session", () => {
    assert.ok(!ordered([create, "created", 1, 2], [revoke, true, 3, 6], [revokeAll, true, 4, 5]));
    assert.ok(ordered([create, "created", 1, 2], [revoke, false, 3, 6], [revokeAll, true, 4, 5]));
  });

  test("rejects a history in which two creates of one id both succeeded", () => {
    assert.ok(!ordered([create, "created", 1, 3], [create, "created", 2, 4]));
  });

  test("allows that a rejected call takes effect at any time after it began, or never, but not that it is undone", () => {
    const rejected = observed([write, undefined, 3, 4], true);
    const created = observed([create, "created", 1, 2]);
    for (const [data, version] of [
      ["old", 1],
      ["new", 2],
    ] as const) {
      assert.ok(hasOrder([created, rejected, observed([read, record(data, version), 5, 6])]));
    }
    const late = [observed([read, record("old", 1), 5, 6]), observed([read, record("new", 2), 7, 8])];
    assert.ok(hasOrder([created, rejected, ...late]), "it was made between the two reads");
    const undone = [observed([read, record("new", 2), 5, 6]), observed([read, record("old", 1), 7, 8])];
    assert.ok(!hasOrder([created, rejected, ...undone]), "it was not undone");
  });
});

describe("hasOrder, for calls with a fence,", () => {
  const login: Call = { on: "create", session: { ...session, authenticatedAt: 10 } };
  const loginLater: Call = { on: "create", session: { ...session, authenticatedAt: 20 } };
  const fence: Call = { ...revokeAll, authenticatedUpTo: 15 };
  const seen = { ...record("old", 1), authenticatedAt: 10 };

  test("requires that a login at or before the fence is refused, and that a later one is not", () => {
    assert.ok(ordered([fence, false, 1, 2], [login, "fenced", 3, 4], [read, null, 5, 6]));
    assert.ok(!ordered([fence, false, 1, 2], [login, "created", 3, 4]));
    assert.ok(ordered([fence, false, 1, 2], [loginLater, "created", 3, 4]));
    assert.ok(!ordered([fence, false, 1, 2], [loginLater, "fenced", 3, 4]));
    assert.ok(!ordered([login, "fenced", 1, 2], [fence, false, 3, 4]), "there was no fence");
  });

  test("allows that a login without authenticatedAt is refused only during a revokeUser", () => {
    assert.ok(ordered([revokeAll, false, 1, 2], [create, "created", 3, 4]));
    assert.ok(!ordered([revokeAll, false, 1, 2], [create, "fenced", 3, 4]));
    assert.ok(ordered([revokeAll, false, 1, 3], [create, "fenced", 2, 4]));
  });

  test("allows that a session survives a revokeUser if it logs in again after the fence during the call", () => {
    const again = (authenticatedAt: number): Call => ({ on: "update", changes: { authenticatedAt } });
    assert.ok(ordered([login, "created", 1, 2], [revokeAll, false, 3, 6], [again(70), "updated", 4, 5]));
    assert.ok(!ordered([login, "created", 1, 2], [revokeAll, false, 3, 6], [again(40), "updated", 4, 5]));
    assert.ok(!ordered([login, "created", 1, 2], [again(70), "updated", 3, 4], [revokeAll, false, 5, 6]));
    assert.ok(!ordered([login, "created", 1, 2], [revokeAll, false, 3, 4], [again(70), "updated", 5, 6]));
  });

  test("requires that a later revokeUser does not lower the fence", () => {
    const older: Call = { ...revokeAll, authenticatedUpTo: 5 };
    assert.ok(!ordered([fence, false, 1, 2], [older, false, 3, 4], [login, "created", 5, 6]));
  });

  test("requires that revokeUser ends exactly the sessions that were authenticated at or before authenticatedUpTo", () => {
    assert.ok(!ordered([loginLater, "created", 1, 2], [fence, true, 3, 4]));
    assert.ok(!ordered([login, "created", 1, 2], [fence, false, 3, 4]));
    assert.ok(ordered([login, "created", 1, 2], [fence, true, 3, 4], [read, null, 5, 6]));
  });

  test("allows that a refused login is readable while it runs, and never later", () => {
    assert.ok(ordered([fence, false, 1, 2], [login, "fenced", 3, 6], [read, seen, 4, 5], [read, null, 7, 8]));
    assert.ok(!ordered([fence, false, 1, 2], [login, "fenced", 3, 4], [read, seen, 5, 6]));
  });

  test("requires that a refused update ends its session", () => {
    const bind: Call = { on: "update", changes: { userId: "v", authenticatedAt: 10 } };
    const begin = [
      [create, "created", 1, 2],
      [{ ...fence, userId: "v" }, false, 3, 4],
      [bind, "fenced", 5, 6],
    ] as const satisfies readonly Row[];
    assert.ok(ordered(...begin, [read, null, 7, 8]));
    assert.ok(!ordered(...begin, [read, record("old", 1), 7, 8]));
    assert.ok(!ordered(...begin, [create, "created", 7, 8]), "the id is taken");
  });
});

type Row = readonly [call: Call, result: Result, began: number, ended: number];

function ordered(...rows: readonly Row[]): boolean {
  return hasOrder(rows.map((row) => observed(row)));
}

function observed([call, result, began, ended]: Row, rejected = false): Observed {
  return { call, result, rejected, began, ended, during: [50, 100] };
}

function record(data: string, version: number): SessionRecord {
  const { id, userId, idle, lifetime } = session;
  const at = 50;
  return {
    id,
    userId,
    authenticatedAt: at,
    data,
    version,
    createdAt: at,
    touchedAt: at,
    idle,
    expiresAt: at + idle,
    endsAt: at + lifetime,
  };
}
