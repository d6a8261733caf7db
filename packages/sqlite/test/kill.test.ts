import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { SessionStore } from "@tenure/core";
import { migrate, sqliteStore } from "@tenure/sqlite";
import { expect, test } from "vitest";
import { newFiles } from "./files.ts";
import { messageOf, startProcess } from "./other-process.ts";
import type { Done } from "./writing.fixture.ts";

const ROUNDS = Number(process.env["TENURE_KILL_ROUNDS"] || 100);
/** Concurrent files: most of a round is the start of a process. */
const LANES = 4;
const HOUR = 3_600_000;
const anonymous = { userId: null, data: "", idle: HOUR, lifetime: HOUR };
const newFile = newFiles();

test(`of a process that is killed with kill -9 in the middle of writes, ${ROUNDS} times, nothing that it was told is done is lost`, async () => {
  let left = ROUNDS;
  const changes = await Promise.all(
    Array.from({ length: LANES }, async () => {
      const file = newFile();
      const database = new DatabaseSync(file);
      await migrate(database);
      const store = sqliteStore(database);
      let done = 0;
      while ((left -= 1) >= 0) done += await round(file, store);
      expect(database.prepare("pragma integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
      database.close();
      return done;
    }),
  );
  console.log(`${changes.reduce((sum, count) => sum + count, 0)} changes that had resolved, none lost`);
}, 600_000);

async function round(file: string, store: SessionStore): Promise<number> {
  const child = startProcess("writing.fixture.ts", [file]);
  const done: Done[] = [];
  child.on("message", (one: Done) => done.push(one));
  await messageOf(child);
  await sleep(Math.random() * 30);
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  expect(await exit).toEqual([null, "SIGKILL"]);
  await assertKept(store, done);
  return done.length;
}

async function assertKept(store: SessionStore, done: readonly Done[]): Promise<void> {
  const ended = new Set(done.flatMap((one) => (one.did === "revoked" ? one.id : [])));
  const endedUsers = new Set(done.flatMap((one) => (one.did === "revokedUser" ? one.userId : [])));
  const began = await store.now();
  await Promise.all(
    done.map(async (one) => {
      if (one.did === "revokedUser") {
        const session = { ...anonymous, id: `${one.userId} again`, userId: one.userId };
        expect(await store.listUser(one.userId)).toEqual([]);
        // The fence exists.
        expect(await store.create({ ...session, authenticatedAt: began - 60_000 })).toBe("fenced");
      } else if (ended.has(one.id) || endedUsers.has(`user ${one.id}`)) {
        expect(await store.read(one.id)).toBeNull();
        expect(await store.update(one.id, {})).toBe("gone");
      } else {
        const record = await store.read(one.id);
        // If it is dead, the process ended it and was killed before it could report that. Otherwise the id
        // would be free.
        if (record === null) expect(await store.create({ ...anonymous, id: one.id })).toBe("taken");
        else if (one.did === "updated") expect(record.data).toBe(one.data);
      }
    }),
  );
}
