import type { NewSession } from "@tenure/core";

export const HOUR = 3_600_000;

/** Returns an anonymous session with an id that is new in its test file. */
export function newSession(given: Partial<NewSession> = {}): NewSession {
  return { id: `session ${(count += 1)}`, userId: null, data: "{}", idle: HOUR, lifetime: HOUR, ...given };
}

let count = 0;
