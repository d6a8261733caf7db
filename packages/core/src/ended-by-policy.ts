import type { StoreClock } from "./clock.ts";
import type { Envelopes, StoredSession } from "./envelope.ts";
import type { Policy } from "./policy.ts";
import type { SessionStore } from "./store.ts";
import { timeoutsOf } from "./timeouts.ts";

interface PolicyContext {
  readonly policy: Policy<never>;
  readonly clock: StoreClock;
}

/** Whether a policy that was shortened since has ended the session. The store's own times are the store's business. */
export function isOver(
  { policy, clock }: PolicyContext,
  stored: Pick<StoredSession, "record" | "head">,
): boolean {
  const { expiresAt } = timeoutsOf(stored, policy);
  return expiresAt < stored.record.expiresAt && clock.latest() >= expiresAt;
}

/**
 * A session that was seen some time ago, unless a shortened policy has ended it. If it seems so, the store is asked: another request may have used
 * it since.
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
