import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type NewSession, type SessionRecord, type SessionStore, StoreError } from "@tenure/core";

export function newId(): string {
  return randomUUID();
}

/** Returns an anonymous session with an idle timeout of an hour and a lifetime of a day. */
export function newSession(given: Partial<NewSession> = {}): NewSession {
  return { id: newId(), userId: null, data: '{"a":1}', idle: 3_600_000, lifetime: 86_400_000, ...given };
}

/** Creates a session and returns its id. */
export async function createSession(store: SessionStore, given: Partial<NewSession> = {}): Promise<string> {
  const session = newSession(given);
  assert.equal(await store.create(session), "created");
  return session.id;
}

/** Reads a session, or returns the StoreError, so that a test can poll until the server is up. */
export async function readOrError(
  store: SessionStore,
  id: string,
): Promise<SessionRecord | StoreError | null> {
  try {
    return await store.read(id);
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
}

/**
 * Runs every command once. The first script of a store learns the server's clock, INFO follows the first
 * reply, and the server gets each script that it does not have.
 */
export async function warmUp(store: SessionStore): Promise<void> {
  const { id, userId } = newSession({ userId: newId() });
  await store.create(newSession({ id, userId }));
  await store.update(id, {});
  await store.update(id, { data: "new" });
  await store.read(id);
  await store.listUser(userId!);
  await store.revokeUser(userId!);
  await store.revoke(id);
  // Wait for revokeUser's background command, which is sent twice if the server does not have its script.
  for (let turn = 0; turn < 3; turn += 1) await store.now();
}
