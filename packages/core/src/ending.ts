import { publishRevoked, type RevokeReason } from "./events.ts";
import type { SessionRecord, SessionStore } from "./store.ts";

/**
 * Ends a session and publishes that, unless it had ended before. Returns whether this call ended it.
 *
 * @param actor who ends it, if the application named it. `null`: it did not
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
