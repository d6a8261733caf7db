import type { SessionRecord, SessionStore } from "./store.ts";

/**
 * The data of a session that left for its successor, and of a successor that is not in use yet: every caller takes them for
 * dead. No codec writes "".
 */
export const RETIRED = "";

export async function readInUse(store: SessionStore, id: string): Promise<SessionRecord | null> {
  const record = await store.read(id);
  return record && isInUse(record) ? record : null;
}

/** Oldest first; ties by id, so that all who look agree on the order. */
export async function listInUse(store: SessionStore, userId: string): Promise<SessionRecord[]> {
  const records = await store.listUser(userId);
  return records.filter(isInUse).toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
}

export function isInUse({ data }: SessionRecord): boolean {
  return data !== RETIRED;
}
