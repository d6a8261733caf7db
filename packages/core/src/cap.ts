import { listInUse } from "./retired.ts";
import type { SessionRecord, SessionStore } from "./store.ts";

/** A session that logged a user in just now, and is not to go by its creation. */
export interface Login {
  readonly id: string;
  /**
   * The user's sessions before its creation: beside others it does go by that, so that concurrent logins agree on who stays.
   * Absent: it is older than its login.
   */
  readonly before?: ReadonlySet<string>;
}

/**
 * The sessions that a user has too many: the oldest. Of concurrent logins the last one to look sees them all, and all judge
 * by the same order, so that they agree on who stays.
 *
 * What counts is what two looks in a row both show: it was alive in between, all at once. One look is not taken at one
 * instant, and may show a session that leaves for its successor as well as the successor.
 */
export async function overCap(
  store: SessionStore,
  userId: string,
  cap: number,
  login?: Login,
): Promise<SessionRecord[]> {
  const first = await listInUse(store, userId);
  if (first.length <= cap) return [];
  const seen = new Set(first.map(({ id }) => id));
  const alive = (await listInUse(store, userId)).filter(({ id }) => seen.has(id));
  return oldestFirst(alive, login).slice(0, Math.max(0, alive.length - cap));
}

function oldestFirst(sessions: readonly SessionRecord[], login: Login | undefined): readonly SessionRecord[] {
  const others = sessions.filter(({ id }) => id !== login?.id);
  if (!login || others.some(({ id }) => login.before?.has(id) === false)) return sessions;
  return [...others, ...sessions.filter(({ id }) => id === login.id)];
}
