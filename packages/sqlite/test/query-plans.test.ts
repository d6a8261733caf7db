import { DatabaseSync } from "node:sqlite";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { expect, test } from "vitest";

test("every statement finds its rows by an index, and needs no temporary B-tree to sort them", async () => {
  const database = new DatabaseSync(":memory:");
  await migrate(database);
  const statements: string[] = [];
  const store = sqliteStore({
    exec: (sql) => database.exec(sql),
    prepare(sql) {
      if (/ tenure_/.test(sql)) statements.push(sql);
      return database.prepare(sql);
    },
  });
  await store.read("");
  expect(statements.length).toBeGreaterThan(10);
  for (const sql of statements) {
    const plan = database.prepare(`explain query plan ${sql}`).all() as { readonly detail: string }[];
    for (const { detail } of plan) expect(`${detail}: ${sql}`).not.toMatch(/^SCAN |^USE TEMP B-TREE/);
  }
});
