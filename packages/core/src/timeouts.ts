import type { StoreContext } from "./store-context.ts";
import type { StoreClock } from "./clock.ts";
import { type Duration, parseDuration } from "./duration.ts";
import type { Head, StoredSession } from "./envelope.ts";
import { publish } from "./events.ts";
import type { Policy } from "./policy.ts";
import type { SessionRecord } from "./store.ts";

/** Returns the timeouts in force: the record's, or the policy's where it has been shortened since. */
export function timeoutsOf(
  { record, head }: Pick<StoredSession, "record" | "head">,
  policy: Policy<never>,
): { readonly idle: number; readonly endsAt: number; readonly expiresAt: number } {
  const idle = head.hasOwnIdle ? record.idle : Math.min(record.idle, policy.idleTimeout);
  const shortened = head.hasOwnLifetime ? 0 : Math.max(0, head.lifetime - policy.lifetime);
  const endsAt = record.endsAt - shortened;
  return { idle, endsAt, expiresAt: Math.min(record.touchedAt + idle, endsAt) };
}

/**
 * Whether a policy that was shortened since has ended the session. The store enforces the record's own end.
 */
export function isOver<Data extends object>(
  { policy, clock }: StoreContext<Data>,
  stored: Pick<StoredSession, "record" | "head">,
): boolean {
  const { expiresAt } = timeoutsOf(stored, policy);
  return expiresAt < stored.record.expiresAt && clock.latest() >= expiresAt;
}

/**
 * Returns a session that was seen earlier, or `null` if a shortened policy has ended it. Reads it again
 * before it returns `null`, because another request may have used it since.
 */
export async function unlessOver<Data extends object>(
  ctx: StoreContext<Data>,
  seen: StoredSession,
): Promise<StoredSession | null> {
  if (!isOver(ctx, seen)) return seen;
  const record = await ctx.store.read(seen.record.id);
  const stored = record && ctx.envelopes.openRecord(record);
  return stored && !isOver(ctx, stored) ? stored : null;
}

/** Publishes that a session that is dead has expired, unless it ended before. */
export function publishIfExpired(clock: StoreClock, { id, userId, expiresAt }: SessionRecord): void {
  if (clock.latest() >= expiresAt) publish("expired", { id, userId });
}

/** The timeouts that a creation or a login gives a session, milliseconds. */
export interface GivenTimeouts {
  /** The session's own. Absent: the policy's. */
  readonly idle?: number | undefined;
  readonly lifetime?: number | undefined;
  /** An idle timeout below the policy's, from a cookie's `maxAge`. Does not count as the session's own. */
  readonly shorterIdle?: number | undefined;
}

export function headTimeouts(
  { idle, lifetime, shorterIdle }: GivenTimeouts,
  policy: Policy<never>,
): Pick<Head, "hasOwnIdle" | "hasOwnLifetime" | "idle" | "lifetime"> {
  return {
    hasOwnIdle: idle !== undefined,
    hasOwnLifetime: lifetime !== undefined,
    idle: idle ?? shorterIdle ?? policy.idleTimeout,
    lifetime: lifetime ?? policy.lifetime,
  };
}

/**
 * Returns a login's own timeouts, milliseconds.
 *
 * @throws TypeError for one above the policy's maximum, and for an idle timeout that the policy's lifetime
 *   would cut short
 */
export function ownTimeouts(
  given: { readonly idle?: Duration | undefined; readonly lifetime?: Duration | undefined },
  policy: Policy<never>,
): GivenTimeouts {
  const idle = upTo("idle", given.idle, "maxIdleTimeout", policy.maxIdleTimeout);
  const lifetime = upTo("lifetime", given.lifetime, "maxLifetime", policy.maxLifetime);
  if (idle !== undefined && lifetime === undefined && idle > policy.lifetime) {
    throw new TypeError("idle is longer than the policy's lifetime: pass lifetime too, or a shorter idle");
  }
  return { idle, lifetime };
}

function upTo(name: string, given: Duration | undefined, maximum: string, max: number): number | undefined {
  if (given === undefined) return undefined;
  const duration = parseDuration(name, given);
  if (duration <= max) return duration;
  throw new TypeError(
    `${name} is longer than the policy allows: raise ${maximum} of Sessions, or pass a shorter ${name}`,
  );
}
