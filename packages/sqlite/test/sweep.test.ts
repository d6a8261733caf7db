import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { expect, test } from "vitest";
import { newFiles } from "./files.ts";
import { HOUR, newSession } from "./new-session.ts";

const newFile = newFiles();

async function open() {
  const database = new DatabaseSync(newFile());
  await migrate(database);
  const rowsOf = (table: string): number =>
    Number(database.prepare(`select count(*) as n from ${table}`).get()!["n"]);
  return {
    database,
    store: sqliteStore(database),
    sessions: () => rowsOf("tenure_sessions"),
    fences: () => rowsOf("tenure_fences"),
  };
}

/** Moves every instant in the file into the past, as if time had passed. */
function advance(database: DatabaseSync, ms: number): void {
  const columns = "created_at touched_at ends_at expires_at sweep_at authenticated_at revoked_at".split(" ");
  database.exec(
    `update tenure_sessions set ${columns.map((column) => `${column} = ${column} - ${ms}`).join(", ")}`,
  );
  database.exec(`update tenure_fences set instant = instant - ${ms}`);
}

test("each call that writes deletes a few expired rows", async () => {
  const { database, store, sessions } = await open();
  await Promise.all(Array.from({ length: 100 }, (_, count) => store.create(newSession(`old ${count}`))));
  advance(database, 13 * HOUR);
  await store.read("old 1");
  expect(sessions()).toBe(100);
  await store.create(newSession("new"));
  expect(sessions()).toBe(99);
  for (let calls = 0; calls < 49; calls += 1) await store.update("unknown", {});
  expect(sessions()).toBe(1);
});

test("a session whose expiry was moved by a use or a longer idle timeout is not swept at its first expiry", async () => {
  const { database, store } = await open();
  for (let hours = 0; hours < 5; hours += 1) {
    if (hours === 0) await store.create(newSession("used"));
    advance(database, HOUR * 0.9);
    expect(await store.update("used", {})).toBe("updated");
    for (let calls = 0; calls < 3; calls += 1) await store.update("unknown", {});
  }
  expect(await store.update("used", { idle: 10 * HOUR })).toBe("updated");
  advance(database, 5 * HOUR);
  for (let calls = 0; calls < 3; calls += 1) await store.update("unknown", {});
  expect(await store.read("used")).toMatchObject({ id: "used" });
});

test("a session whose idle timeout was shortened is swept at its new expiry", async () => {
  const { store, sessions } = await open();
  await store.create(newSession("short"));
  await store.update("short", { idle: 1 });
  await sleep(5);
  await store.update("unknown", {});
  expect(sessions()).toBe(0);
});

test("a tombstone is kept until the endsAt of its session, and for at least an hour", async () => {
  const { database, store, sessions } = await open();
  await store.create(newSession("long"));
  await store.create(newSession("short", { lifetime: HOUR / 2 }));
  await store.revoke("long");
  await store.revoke("short");
  await store.revoke("unknown");
  const isFree = async (id: string) => (await store.create(newSession(id, { userId: null }))) === "created";
  advance(database, 0.9 * HOUR);
  for (const id of ["long", "short", "unknown"]) expect(await isFree(id)).toBe(false);
  advance(database, 0.2 * HOUR);
  for (let calls = 0; calls < 5; calls += 1) await store.update("nobody", {});
  expect(sessions()).toBe(1);
  expect(await isFree("long")).toBe(false);
  advance(database, 12 * HOUR);
  for (let calls = 0; calls < 5; calls += 1) await store.update("nobody", {});
  expect(sessions()).toBe(0);
});

test("a fence is kept for an hour, and deleted by a later revokeUser", async () => {
  const { database, store, fences } = await open();
  await store.revokeUser("ada");
  await store.revokeUser("grace");
  advance(database, 0.9 * HOUR);
  await store.revokeUser("alan");
  expect(fences()).toBe(3);
  advance(database, 0.2 * HOUR);
  await store.revokeUser("alan");
  expect(fences()).toBe(1);
});
