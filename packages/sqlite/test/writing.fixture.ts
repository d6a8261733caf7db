/**
 * A process that writes to the file in its argument until it is killed, and reports each change once it has
 * resolved.
 */
import { randomUUID } from "node:crypto";
import { flushCompileCache } from "node:module";
import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "@tenure/sqlite";

/** A change that has resolved. */
export type Done =
  | { readonly did: "created" | "revoked"; readonly id: string }
  | { readonly did: "updated"; readonly id: string; readonly data: string }
  | { readonly did: "revokedUser"; readonly userId: string };

const HOUR = 3_600_000;
const store = sqliteStore(new DatabaseSync(process.argv[2]!));
const report = (done: Done): unknown => process.send!(done);

async function session(count: number): Promise<void> {
  const id = randomUUID();
  const userId = `user ${id}`;
  await store.create({ id, userId, data: "0", idle: HOUR, lifetime: HOUR });
  report({ did: "created", id });
  const data = "x".repeat(count % 5 === 0 ? 20_000 : 500);
  await store.update(id, { data });
  report({ did: "updated", id, data });
  if (count % 3 === 0) {
    await store.revoke(id);
    report({ did: "revoked", id });
  } else if (count % 3 === 1) {
    await store.revokeUser(userId);
    report({ did: "revokedUser", userId });
  }
}

async function forever(count: number): Promise<never> {
  for (;;) await session((count += 1));
}

// For the next process, because this one is killed.
flushCompileCache();
// At any moment, some sessions are in the middle of each of these changes.
await Promise.all(Array.from({ length: 8 }, (_, count) => forever(count)));
