import type { SessionStore } from "@tenure/core";
import { newId, newSession } from "./sessions.ts";

/** Two users, one with three sessions and one with one, and an anonymous session. */
export interface Fixture {
  readonly userId: string;
  readonly otherUserId: string;
  readonly ids: readonly string[];
}

/** The operations that send several commands, or end a session. */
export const OPERATIONS: Record<string, (store: SessionStore, fixture: Fixture) => Promise<unknown>> = {
  create: (store, { userId, ids }) => store.create(newSession({ id: ids[5]!, userId })),
  "binding update": (store, { userId, ids }) => store.update(ids[4]!, { userId, data: "bound" }),
  login: (store, { userId, ids }) => store.update(ids[4]!, { userId, lifetime: 3_600_000, data: "in" }),
  "rebinding update": (store, { otherUserId, ids }) => store.update(ids[0]!, { userId: otherUserId }),
  "unbinding update": (store, { ids }) => store.update(ids[0]!, { userId: null }),
  revoke: (store, { ids }) => store.revoke(ids[1]!),
  revokeUser: (store, { userId }) => store.revokeUser(userId),
  "revokeUser with except": (store, { userId, ids }) => store.revokeUser(userId, { except: ids[2]! }),
};

export async function createFixture(store: SessionStore): Promise<Fixture> {
  const [userId, otherUserId] = [newId(), newId()];
  const owners = [userId, userId, userId, otherUserId, null];
  const sessions = owners.map((owner) => newSession({ userId: owner }));
  for (const session of sessions) await store.create(session);
  return { userId, otherUserId, ids: [...sessions.map(({ id }) => id), newId()] };
}

/**
 * Returns the inconsistencies between index and sessions: a live session must be in its user's list, and
 * revokeUser must end it. Ends all sessions.
 *
 * @param store a store with its own prefix
 */
export async function inconsistencies(
  store: SessionStore,
  { userId, otherUserId, ids }: Fixture,
): Promise<string[]> {
  const found: string[] = [];
  const records = await Promise.all(ids.map((id) => store.read(id)));
  for (const owner of [userId, otherUserId]) {
    const listed = await store.listUser(owner);
    const listedIds = new Set(listed.map(({ id }) => id));
    for (const record of records) {
      if (record?.userId === owner && !listedIds.has(record.id)) found.push("alive but not listed");
    }
    for (const { id } of listed) {
      if ((await store.read(id))?.userId !== owner) found.push("listed but not alive");
    }
    const ended = await store.revokeUser(owner);
    if (ended !== listed.length) found.push(`${listed.length} listed but ${ended} ended`);
    for (const { id } of listed) if (await store.read(id)) found.push("alive after revokeUser");
    if ((await store.listUser(owner)).length > 0) found.push("listed after revokeUser");
  }
  for await (const { userId: owner } of store.scan()) {
    if (owner !== null) found.push("out of reach of revokeUser");
  }
  return found;
}
