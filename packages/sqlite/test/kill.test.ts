import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { SessionStore } from "@tenure/core";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { expect, test } from "vitest";
import { newFiles } from "./files.ts";
import { newSession } from "./new-session.ts";
import { messageOf, startProcess } from "./other-process.ts";
import type { Change } from "./writing.fixture.ts";

const ROUNDS = Number(process.env["TENURE_KILL_ROUNDS"] || 100);
/** How many files are tested concurrently, because a round mostly waits for a process to start. */
const LANES = 4;
const newFile = newFiles();

test(`after kill -9 during writes, ${ROUNDS} times, every change that had resolved is kept`, async () => {
  let left = ROUNDS;
  const counts = await Promise.all(
    Array.from({ length: LANES }, async () => {
      const file = newFile();
      const database = new DatabaseSync(file);
      await migrate(database);
      const store = sqliteStore(database);
      let count = 0;
      while ((left -= 1) >= 0) count += await round(file, store);
      expect(database.prepare("pragma integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
      database.close();
      return count;
    }),
  );
  console.log(`${counts.reduce((sum, count) => sum + count, 0)} changes that had resolved, none lost`);
}, 600_000);

async function round(file: string, store: SessionStore): Promise<number> {
  const child = startProcess("writing.fixture.ts", [file]);
  const resolved: Change[] = [];
  child.on("message", (change: Change) => resolved.push(change));
  await messageOf(child);
  await sleep(Math.random() * 30);
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  expect(await exit).toEqual([null, "SIGKILL"]);
  await assertKept(store, resolved);
  return resolved.length;
}

async function assertKept(store: SessionStore, resolved: readonly Change[]): Promise<void> {
  const ended = new Set(resolved.flatMap((change) => (change.type === "revoked" ? change.id : [])));
  const endedUsers = new Set(
    resolved.flatMap((change) => (change.type === "revokedUser" ? change.userId : [])),
  );
  const began = await store.now();
  await Promise.all(
    resolved.map(async (change) => {
      if (change.type === "revokedUser") {
        const { userId } = change;
        expect(await store.listUser(userId)).toEqual([]);
        const late = newSession(`${userId} again`, { userId, authenticatedAt: began - 60_000 });
        expect(await store.create(late)).toBe("fenced");
      } else if (ended.has(change.id) || endedUsers.has(`user ${change.id}`)) {
        expect(await store.read(change.id)).toBeNull();
        expect(await store.update(change.id, {})).toBe("gone");
      } else {
        const record = await store.read(change.id);
        // If it is dead, the process revoked it and was killed before it could report that, so there is a
        // tombstone.
        if (record === null)
          expect(await store.create(newSession(change.id, { userId: null }))).toBe("taken");
        else if (change.type === "updated") expect(record.data).toBe(change.data);
      }
    }),
  );
}
