import { MAX_DURATION, Sessions } from "@tenure/core";
import type { Backend } from "./backend.ts";
import type { Terminal } from "./terminal.ts";

/** What a command works with. */
export interface Context {
  readonly terminal: Terminal;
  readonly backend: Backend;
}

/** 0: done, or nothing wrong. 1: something was found, or failed. */
export type Outcome = 0 | 1;

/**
 * Every session as its record says. The application's policy is not known here, so a shorter idle timeout or lifetime that it
 * was given since is not seen.
 */
export function sessionsOf({ store }: Backend): Sessions {
  return new Sessions({ store, idleTimeout: MAX_DURATION, lifetime: MAX_DURATION });
}

export function numberOfSessions(count: number): string {
  return count === 1 ? "1 session" : `${count} sessions`;
}
