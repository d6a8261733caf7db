import { MAX_DURATION, Sessions } from "@tenure/core";
import type { Backend } from "./backend.ts";
import type { Terminal } from "./terminal.ts";

/** Passed to every command. */
export interface Context {
  readonly terminal: Terminal;
  readonly backend: Backend;
}

/** 0: done. 1: a problem was found, sessions were left behind, or the user declined. */
export type Outcome = 0 | 1;

/**
 * Opens the store with the longest timeouts, so that sessions end as their records say. The application's
 * policy is not known here: a session that a shortened policy has ended counts as live.
 */
export function sessionsOf({ store }: Backend): Sessions {
  return new Sessions({ store, idleTimeout: MAX_DURATION, lifetime: MAX_DURATION });
}
