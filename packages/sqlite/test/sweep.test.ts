import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { expect, test } from "vitest";
import { newFiles } from "./files.ts";

const newFile = newFiles();
const HOUR = 3_600_000;
const session = (id: string) => ({ id, userId: "ada", data: "{}", idle: HOUR, lifetime: 12 * HOUR });

async function open() {
  const database = new DatabaseSync(newFile());
  await migrate(database);
  const rows = (): number =>
    Number(database.prepare("select count(*) as n from tenure_sessions").get()!["n"]);
  return { database, store: sqliteStore(database), rows };
}

/** Moves every instant in the file into the past, as if time had passed. */
function pass(database: DatabaseSync, ms: number): void {
  const columns = "created_at touched_at ends_at expires_at sweep_at authenticated_at revoked_at".split(" ");
  database.exec(
    `update tenure_sessions set ${columns.map((column) => `${column} = ${column} - ${ms}`).join(", ")}`,
  );
  database.exec(`update tenure_fences set instant = instant - ${ms}`);
}

test("what has expired is deleted by the calls that write, a few rows each", async () => {
  const { database, store, rows } = await open();
  await Promise.all(Array.from({ length: 100 }, (_, count) => store.create(session(`old ${count}`))));
  pass(database, 13 * HOUR);
  await store.read("old 1");
  expect(rows()).toBe(100);
  await store.create(session("new"));
  expect(rows()).toBe(99);
  for (let calls = 0; calls < 49; calls += 1) await store.update("unknown", {});
  expect(rows()).toBe(1);
});

test("a session that was used, or that began to live longer, is not swept when it was first to expire", async () => {
  const { database, store } = await open();
  for (let hours = 0; hours < 5; hours += 1) {
    if (hours === 0) await store.create(session("used"));
    pass(database, HOUR * 0.9);
    expect(await store.update("used", {})).toBe("updated");
    for (let calls = 0; calls < 3; calls += 1) await store.update("unknown", {});
  }
  expect(await store.update("used", { idle: 10 * HOUR })).toBe("updated");
  pass(database, 5 * HOUR);
  for (let calls = 0; calls < 3; calls += 1) await store.update("unknown", {});
  expect(await store.read("used")).toMatchObject({ id: "used" });
});

test("a session that was made shorter is swept at its new end", async () => {
  const { store, rows } = await open();
  await store.create(session("short"));
  await store.update("short", { idle: 1 });
  await sleep(5);
  await store.update("unknown", {});
  expect(rows()).toBe(0);
});

test("a tombstone is kept until the session would have ended, and an hour at least", async () => {
  const { database, store, rows } = await open();
  await store.create(session("long"));
  await store.create({ ...session("short"), lifetime: HOUR / 2 });
  await store.revoke("long");
  await store.revoke("short");
  await store.revoke("unknown");
  const revived = async (id: string) => (await store.create({ ...session(id), userId: null })) === "created";
  pass(database, 0.9 * HOUR);
  for (const id of ["long", "short", "unknown"]) expect(await revived(id)).toBe(false);
  pass(database, 0.2 * HOUR);
  for (let calls = 0; calls < 5; calls += 1) await store.update("nobody", {});
  expect(rows()).toBe(1);
  expect(await revived("long")).toBe(false);
  pass(database, 12 * HOUR);
  for (let calls = 0; calls < 5; calls += 1) await store.update("nobody", {});
  expect(rows()).toBe(0);
});

test("a fence is kept for an hour, and forgotten by a later revokeUser", async () => {
  const { database, store } = await open();
  const fences = (): number =>
    Number(database.prepare("select count(*) as n from tenure_fences").get()!["n"]);
  await store.revokeUser("ada");
  await store.revokeUser("grace");
  pass(database, 0.9 * HOUR);
  await store.revokeUser("alan");
  expect(fences()).toBe(3);
  pass(database, 0.2 * HOUR);
  await store.revokeUser("alan");
  expect(fences()).toBe(1);
});
