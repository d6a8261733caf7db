import { publishRevoked, type RevokeReason } from "./events.ts";
import type { SessionRecord, SessionStore } from "./store.ts";

/**
 * Ends a session. Returns whether this call ended it, and publishes the event only then.
 *
 * @param actor the user or administrator who ends it. `null`: unknown
 */
export async function endSession(
  store: SessionStore,
  { id, userId }: Pick<SessionRecord, "id" | "userId">,
  why: RevokeReason,
  actor: string | null = null,
): Promise<boolean> {
  const ended = await store.revoke(id);
  if (ended) publishRevoked({ id, userId, why, actor });
  return ended;
}
