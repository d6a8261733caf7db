import assert from "node:assert/strict";
import type { SessionRecord } from "@tenure/core";
import { describe, test } from "vitest";
import type { Answer, Call } from "../src/model.ts";
import { hasOrder, type Observed } from "../src/order.ts";

const session = { id: "a", userId: "u", data: "old", idle: 1000, lifetime: 10_000 };
const create: Call = { on: "create", session };
const revoke: Call = { on: "revoke" };
const read: Call = { on: "read" };
const write: Call = { on: "update", changes: { data: "new" } };

describe("A concurrent history", () => {
  test("of one call after the other has their order", () => {
    assert.ok(
      ordered([create, true, 1, 2], [read, record("old", 1), 3, 4], [revoke, true, 5, 6], [read, null, 7, 8]),
    );
  });

  test("may order calls that overlap as it must", () => {
    assert.ok(ordered([create, true, 1, 2], [revoke, true, 3, 6], [write, "updated", 4, 5]));
    assert.ok(ordered([create, true, 1, 2], [revoke, true, 3, 6], [write, "gone", 4, 5]));
    assert.ok(ordered([create, true, 1, 4], [revoke, true, 2, 3]));
  });

  test("has none if a session lives after its revoke was answered", () => {
    assert.ok(!ordered([create, true, 1, 2], [revoke, true, 3, 4], [write, "updated", 5, 6]));
    assert.ok(!ordered([create, true, 1, 2], [revoke, true, 3, 4], [read, record("old", 1), 5, 6]));
  });

  test("has none if a write was lost, or read before it was begun", () => {
    assert.ok(!ordered([create, true, 1, 2], [write, "updated", 3, 4], [read, record("old", 1), 5, 6]));
    assert.ok(!ordered([create, true, 1, 2], [read, record("new", 2), 3, 4], [write, "updated", 5, 6]));
  });

  test("has none if two calls ended one session", () => {
    const all: Call = { on: "revokeUser", userId: "u", excepted: false };
    assert.ok(!ordered([create, true, 1, 2], [revoke, true, 3, 6], [all, true, 4, 5]));
    assert.ok(ordered([create, true, 1, 2], [revoke, false, 3, 6], [all, true, 4, 5]));
  });

  test("has none if two creates of one id were made", () => {
    assert.ok(!ordered([create, true, 1, 3], [create, true, 2, 4]));
  });

  test("may have made a call that was rejected, at any time since, or not", () => {
    const rejected = { call: write, answer: undefined, rejected: true, began: 3, ended: 4 };
    const created = observed([create, true, 1, 2]);
    for (const [data, version] of [
      ["old", 1],
      ["new", 2],
    ] as const) {
      const last = observed([read, record(data, version), 5, 6]);
      assert.ok(hasOrder([created, rejected, last], 0, 100));
    }
    const late = [observed([read, record("old", 1), 5, 6]), observed([read, record("new", 2), 7, 8])];
    assert.ok(hasOrder([created, rejected, ...late], 0, 100), "it was made between the two reads");
    const undone = [observed([read, record("new", 2), 5, 6]), observed([read, record("old", 1), 7, 8])];
    assert.ok(!hasOrder([created, rejected, ...undone], 0, 100), "but not undone");
  });
});

type Row = [call: Call, answer: Answer, began: number, ended: number];

function ordered(...rows: readonly Row[]): boolean {
  return hasOrder(rows.map(observed), 0, 100);
}

function observed([call, answer, began, ended]: Row): Observed {
  return { call, answer, rejected: false, began, ended };
}

function record(data: string, version: number): SessionRecord {
  const { id, userId, idle, lifetime } = session;
  const at = 50;
  return {
    id,
    userId,
    data,
    version,
    createdAt: at,
    touchedAt: at,
    idle,
    expiresAt: at + idle,
    endsAt: at + lifetime,
  };
}
