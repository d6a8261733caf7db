/**
 * A process that writes to the file in its argument until it is killed, and reports each change once it has
 * resolved.
 */
import { randomUUID } from "node:crypto";
import { flushCompileCache } from "node:module";
import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "@tenure/sqlite";
import { newSession } from "./new-session.ts";

/** A change that has resolved. */
export type Change =
  | { readonly type: "created" | "revoked"; readonly id: string }
  | { readonly type: "updated"; readonly id: string; readonly data: string }
  | { readonly type: "revokedUser"; readonly userId: string };

const store = sqliteStore(new DatabaseSync(process.argv[2]!));
const report = (change: Change): unknown => process.send!(change);

async function changeSession(count: number): Promise<void> {
  const id = randomUUID();
  const userId = `user ${id}`;
  await store.create(newSession(id, { userId }));
  report({ type: "created", id });
  const data = "x".repeat(count % 5 === 0 ? 20_000 : 500);
  await store.update(id, { data });
  report({ type: "updated", id, data });
  if (count % 3 === 0) {
    await store.revoke(id);
    report({ type: "revoked", id });
  } else if (count % 3 === 1) {
    await store.revokeUser(userId);
    report({ type: "revokedUser", userId });
  }
}

async function changeForever(count: number): Promise<never> {
  for (;;) await changeSession((count += 1));
}

// The compile cache is otherwise written at exit, and this process is killed.
flushCompileCache();
// Eight at once, so that at any moment some change of each type is in progress.
await Promise.all(Array.from({ length: 8 }, (_, count) => changeForever(count)));
