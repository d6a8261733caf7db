import type { NewSession } from "@tenure/core";

export const HOUR = 3_600_000;

export function newSession(id: string, given: Partial<NewSession> = {}): NewSession {
  return { id, userId: "ada", data: "{}", idle: HOUR, lifetime: 12 * HOUR, ...given };
}
