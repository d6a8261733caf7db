import assert from "node:assert/strict";
import { memoryStore, type SessionStore } from "@tenure/core";
import { test } from "vitest";
import { runSentences } from "./run-sentences.ts";

test("a seed repeats the same races, and another seed gives others", async () => {
  const first = await callsOf("20261123");
  assert.ok(first.length > 1000);
  assert.deepEqual(await callsOf("20261123"), first);
  assert.notDeepEqual(await callsOf("7"), first);
});

/** Returns the calls of the concurrent histories, sorted, without ids and users, which are new in each run. */
async function callsOf(seed: string): Promise<string[]> {
  const calls: string[] = [];
  const store = observed(memoryStore(), (operation, input) => {
    const changes = typeof input === "object" && input !== null ? input : {};
    const { data = null, idle = null, ifVersion = null } = changes as Record<string, unknown>;
    if (operation === "create" || operation === "update") {
      calls.push(`${operation} ${JSON.stringify([data, idle, ifVersion])}`);
    } else if (operation !== "now") calls.push(operation);
  });
  const before = process.env["TENURE_SEED"];
  process.env["TENURE_SEED"] = seed;
  try {
    const failed = await runSentences({ open: () => store, unreachable: null, mixedUp: null }, (sentence) =>
      sentence.startsWith("concurrent calls of one session"),
    );
    assert.equal(failed.size, 0);
  } finally {
    if (before === undefined) delete process.env["TENURE_SEED"];
    else process.env["TENURE_SEED"] = before;
  }
  return calls.toSorted((a, b) => (a < b ? -1 : 1));
}

/** Calls back before each call of a store, with the session or the changes if it has any. */
function observed(store: SessionStore, callback: (operation: string, input: unknown) => void): SessionStore {
  const observe =
    <Args extends unknown[], Result>(operation: string, call: (...args: Args) => Result) =>
    (...args: Args): Result => {
      callback(operation, args[1] ?? args[0]);
      return call(...args);
    };
  return {
    create: observe("create", (session) => store.create(session)),
    read: observe("read", (id) => store.read(id)),
    update: observe("update", (id, changes) => store.update(id, changes)),
    revoke: observe("revoke", (id) => store.revoke(id)),
    revokeUser: observe("revokeUser", (userId, options) => store.revokeUser(userId, options)),
    listUser: observe("listUser", (userId) => store.listUser(userId)),
    scan: observe("scan", () => store.scan()),
    now: observe("now", () => store.now()),
  };
}
