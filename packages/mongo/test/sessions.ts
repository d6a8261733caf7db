import { randomUUID } from "node:crypto";
import type { NewSession, SessionStore } from "@tenure/core";
import { expect } from "vitest";

export const HOUR: number = 60 * 60 * 1000;

/** Returns an anonymous session with a new id. */
export function newSession(given: Partial<NewSession> = {}): NewSession {
  return { id: randomUUID(), userId: null, data: "old", idle: HOUR, lifetime: HOUR, ...given };
}

/** Creates a session and returns its id. */
export async function createSession(store: SessionStore, given: Partial<NewSession> = {}): Promise<string> {
  const session = newSession(given);
  expect(await store.create(session)).toBe("created");
  return session.id;
}
