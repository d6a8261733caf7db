import { subscribe } from "node:diagnostics_channel";
import { hostname } from "node:os";
import type { SessionEvents } from "@tenure/core";

/**
 * Writes every event of this process as a line of JSON with the time (UTC), place, user, event and outcome
 * (OWASP ASVS 5.0 16.2.1 to 16.2.4, 16.3.1, 16.3.3, 16.3.4). JSON keeps each event on one line, whatever its
 * strings contain (16.4.1).
 *
 * @param write gets one line, with its newline
 * @param service names the application in each line
 */
export function writeAuditLog(write: (line: string) => void, service: string): void {
  const where = { service, host: hostname(), pid: process.pid };
  for (const [name, level] of Object.entries(LEVELS)) {
    subscribe(`tenure:${name}`, (message) => {
      const { at, event, error, ...facts } = message as Event;
      const time = new Date(at).toISOString();
      write(`${JSON.stringify({ time, level, event, ...facts, ...described(error), ...where })}\n`);
    });
  }
}

/** An event of any kind. Some have an error. */
type Event = SessionEvents["created"] & { readonly error?: unknown };

/** The severity of each event. The type makes the compiler require one for a new event. */
const LEVELS: Record<keyof SessionEvents, "info" | "warning" | "error"> = {
  created: "info",
  "logged-in": "info",
  "login-refused": "warning",
  rotated: "info",
  revoked: "info",
  unbound: "info",
  expired: "info",
  "late-save-dropped": "info",
  "conflict-merged": "info",
  "touch-failed": "error",
  "superseded-token-used": "warning",
  unreadable: "error",
  refused: "warning",
  "store-failure": "error",
};

/**
 * Returns an error's message, without its stack and causes. Those come from a driver and belong in the error
 * log.
 */
function described(error: unknown): { readonly error?: string } {
  return error instanceof Error ? { error: `${error.name}: ${error.message}` } : {};
}
