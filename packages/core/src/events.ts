import { channel, type Channel } from "node:diagnostics_channel";

/** Why a session was ended. */
export type RevokeReason = "logout" | "id" | "user" | "everyone" | "cap" | "rotation";

/** What every event tells. Never a token, never session data (ASVS 5.0 16.2.1, 16.2.5). */
export interface SessionEvent {
  /** Epoch milliseconds, this process's clock. */
  readonly at: number;
  /** `null` where an event concerns no one session. */
  readonly id: string | null;
  /** `null` while anonymous or not known. */
  readonly userId: string | null;
}

export interface SessionEvents {
  created: SessionEvent;
  /** `from`: the id that is dead now. */
  rotated: SessionEvent & { readonly from: string };
  /** `count`: how many sessions, where `id` is `null`. */
  revoked: SessionEvent & { readonly why: RevokeReason; readonly count: number };
  /**
   * A touch or a save found its session dead, its time being over. A `get` can't tell: to it a store answers `null`
   * whether a session expired, was revoked or never was.
   */
  expired: SessionEvent;
  /** A save of a session that died meanwhile: nothing was written. */
  "late-save-dropped": SessionEvent;
  /** A save met another's and kept the changes of both. */
  "conflict-merged": SessionEvent;
  /** The idle timeout was not restarted; the request went on. */
  "touch-failed": SessionEvent & { readonly error: unknown };
  /** Bad input was turned away before anything was written. `why`: one line for a person. */
  refused: SessionEvent & { readonly why: string };
  "store-failure": SessionEvent & { readonly error: Error };
}

/** Publishes on `node:diagnostics_channel`, channel `tenure:` and the event's name. */
export function publish<Name extends keyof SessionEvents>(
  name: Name,
  event: Omit<SessionEvents[Name], "at">,
): void {
  const target = channels[name];
  if (target.hasSubscribers) target.publish({ at: Date.now(), ...event });
}

/** Whether anybody listens, for what only an event needs. */
export function isHeard(name: keyof SessionEvents): boolean {
  return channels[name].hasSubscribers;
}

const channels: Record<keyof SessionEvents, Channel> = {
  created: channel("tenure:created"),
  rotated: channel("tenure:rotated"),
  revoked: channel("tenure:revoked"),
  expired: channel("tenure:expired"),
  "late-save-dropped": channel("tenure:late-save-dropped"),
  "conflict-merged": channel("tenure:conflict-merged"),
  "touch-failed": channel("tenure:touch-failed"),
  refused: channel("tenure:refused"),
  "store-failure": channel("tenure:store-failure"),
};
