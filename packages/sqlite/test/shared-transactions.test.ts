import { DatabaseSync } from "node:sqlite";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { beforeEach, describe, expect, test } from "vitest";
import { newFiles } from "./files.ts";
import { HOUR, newSession } from "./new-session.ts";
import { observeTransactions, type Transaction } from "./observed-transactions.ts";

const newFile = newFiles();

describe("the calls of one turn of the event loop", () => {
  let transactions: Transaction[] = [];
  let store: ReturnType<typeof sqliteStore>;
  let database: DatabaseSync;
  beforeEach(async () => {
    database = new DatabaseSync(newFile());
    await migrate(database);
    store = sqliteStore(observeTransactions(database, (one) => transactions.push(one)));
    await store.create(newSession("one"));
    transactions = [];
  });

  test("share one transaction for reads and one for writes", async () => {
    const results = await Promise.all([
      store.read("one"),
      store.listUser("ada"),
      store.create(newSession("two")),
      store.update("one", { data: "new" }),
      store.revoke("unknown"),
    ]);
    expect(results.slice(2)).toEqual(["created", "updated", false]);
    expect(transactions.map(({ kind }) => kind).toSorted()).toEqual(["begin", "begin immediate"]);
  });

  test("are split into several transactions if they are many or large", async () => {
    await Promise.all(Array.from({ length: 200 }, (_, count) => store.create(newSession(`many ${count}`))));
    expect(transactions).toHaveLength(4);
    transactions = [];
    const data = "x".repeat(300_000);
    await Promise.all(
      Array.from({ length: 4 }, (_, count) => store.create(newSession(`large ${count}`, { data }))),
    );
    expect(transactions).toHaveLength(4);
  });

  test("wait for the disk once, or not at all if all are touches", async () => {
    await Promise.all([store.update("one", {}), store.update("one", { touch: true })]);
    await Promise.all([store.update("one", {}), store.update("one", { data: "new" })]);
    await store.update("one", { touch: false, idle: HOUR });
    await store.revoke("one");
    expect(transactions.map(({ synchronous }) => synchronous)).toEqual(["normal", "full", "full", "full"]);
  });

  test("each get their own result, and one that fails rejects alone", async () => {
    // An edit by hand, which makes the row invalid.
    database.exec("update tenure_sessions set user_id = 'ada', authenticated_at = null where id = 'one'");
    await store.create(newSession("two"));
    const outcomes = await Promise.allSettled([store.read("one"), store.read("two"), store.read("three")]);
    expect(outcomes).toMatchObject([
      { status: "rejected", reason: { name: "StoreError", operation: "read" } },
      { status: "fulfilled", value: { id: "two" } },
      { status: "fulfilled", value: null },
    ]);
  });

  test("all reject and write nothing if the commit fails", async () => {
    const failing = sqliteStore({
      prepare: (sql) => database.prepare(sql),
      exec(sql) {
        if (sql === "commit") throw Object.assign(new Error("disk I/O error"), { errcode: 10 });
        return database.exec(sql);
      },
    });
    const outcomes = await Promise.allSettled([failing.create(newSession("two")), failing.revoke("one")]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect((await store.listUser("ada")).map(({ id }) => id)).toEqual(["one"]);
  });
});
