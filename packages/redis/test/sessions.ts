import { randomUUID } from "node:crypto";
import { type NewSession, type SessionRecord, type SessionStore, StoreError } from "@tenure/core";

export function freshId(): string {
  return randomUUID();
}

/** An hour idle, a day at most. */
export function newSession(given: Partial<NewSession> = {}): NewSession {
  return { id: freshId(), userId: null, data: '{"a":1}', idle: 3_600_000, lifetime: 86_400_000, ...given };
}

/** Reads a session, or returns the StoreError of a backend that is down, to poll until it is up. */
export async function stored(store: SessionStore, id: string): Promise<SessionRecord | StoreError | null> {
  try {
    return await store.read(id);
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
}
