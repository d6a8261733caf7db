import assert from "node:assert/strict";
import { memoryStore, type SessionStore } from "@tenure/core";
import { test } from "vitest";
import { trial } from "./trial.ts";

test("a seed makes the same races again, and another seed makes others", async () => {
  const first = await callsOf("20261123");
  assert.ok(first.length > 1000);
  assert.deepEqual(await callsOf("20261123"), first);
  assert.notDeepEqual(await callsOf("7"), first);
});

/** The calls of the concurrent histories in no order, without what is new in each run. */
async function callsOf(seed: string): Promise<string[]> {
  const calls: string[] = [];
  const store = told(memoryStore(), (operation, given) => {
    const changes = typeof given === "object" && given !== null ? given : {};
    const { data = null, idle = null, ifVersion = null } = changes as Record<string, unknown>;
    if (operation === "create" || operation === "update") {
      calls.push(`${operation} ${JSON.stringify([data, idle, ifVersion])}`);
    } else if (operation !== "now") calls.push(operation);
  });
  const before = process.env["TENURE_SEED"];
  process.env["TENURE_SEED"] = seed;
  try {
    const failed = await trial({ open: () => store, unreachable: null, mixedUp: null }, (sentence) =>
      sentence.startsWith("concurrent calls of one session"),
    );
    assert.equal(failed.size, 0);
  } finally {
    if (before === undefined) delete process.env["TENURE_SEED"];
    else process.env["TENURE_SEED"] = before;
  }
  return calls.toSorted((a, b) => (a < b ? -1 : 1));
}

function told(store: SessionStore, tell: (operation: string, given: unknown) => void): SessionStore {
  const tellFirst =
    <Args extends unknown[], Result>(operation: string, call: (...given: Args) => Result) =>
    (...given: Args): Result => {
      tell(operation, given[1] ?? given[0]);
      return call(...given);
    };
  return {
    create: tellFirst("create", (session) => store.create(session)),
    read: tellFirst("read", (id) => store.read(id)),
    update: tellFirst("update", (id, changes) => store.update(id, changes)),
    revoke: tellFirst("revoke", (id) => store.revoke(id)),
    revokeUser: tellFirst("revokeUser", (userId, options) => store.revokeUser(userId, options)),
    listUser: tellFirst("listUser", (userId) => store.listUser(userId)),
    scan: tellFirst("scan", () => store.scan()),
    now: tellFirst("now", () => store.now()),
  };
}
