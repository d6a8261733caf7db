import type { StoreClock } from "./clock.ts";
import type { Envelopes, StoredSession } from "./envelope.ts";
import type { Policy } from "./policy.ts";
import type { SessionStore } from "./store.ts";
import { timeoutsOf } from "./timeouts.ts";

interface PolicyContext {
  readonly policy: Policy<never>;
  readonly clock: StoreClock;
}

/**
 * Whether a policy that was shortened since has ended the session. The store enforces the record's own end.
 */
export function isOver(
  { policy, clock }: PolicyContext,
  stored: Pick<StoredSession, "record" | "head">,
): boolean {
  const { expiresAt } = timeoutsOf(stored, policy);
  return expiresAt < stored.record.expiresAt && clock.latest() >= expiresAt;
}

/**
 * Returns a session that was seen earlier, or `null` if a shortened policy has ended it. Reads it again
 * before it returns `null`, because another request may have used it since.
 */
export async function unlessOver(
  ctx: PolicyContext & { readonly store: SessionStore; readonly envelopes: Envelopes },
  seen: StoredSession,
): Promise<StoredSession | null> {
  if (!isOver(ctx, seen)) return seen;
  const record = await ctx.store.read(seen.record.id);
  const stored = record && ctx.envelopes.openRecord(record);
  return stored && !isOver(ctx, stored) ? stored : null;
}
