import { MAX_ATTEMPTS } from "./attempts.ts";
import { StoreError } from "./errors.ts";
import { readInUse, RETIRED } from "./retired.ts";
import type { SessionRecord, SessionStore } from "./store.ts";

/** What a session's successor does not take over as it is. */
export interface Inheritance {
  readonly userId: string | null;
  readonly idle: number;
}

export interface Succession {
  readonly old: SessionRecord;
  readonly successor: SessionRecord;
}

/**
 * Moves a session to another id, with its data, creation and end. `null`: it is dead, or died meanwhile, or another
 * rotation of it won.
 *
 * ```
 * update(old, no data, ifVersion)   out of use, by one conditional command: of two rotations one wins, and no save that was
 *                                   acknowledged is lost
 * create(successor, no data)        not in use yet, and there before the old one ends: whoever ends all of the user's sessions
 *                                   meets one of the two
 * revoke(old)                       true: nobody had ended the session until then
 * update(successor, data)           in use. Not "gone": nobody has ended it since
 * ```
 * So nobody sees the two side by side, and whatever fails in between, the login is lost rather than doubled: what is left is
 * out of use.
 *
 * @param inheritance told from the session as it is about to be retired; what it throws leaves all as it was
 */
export async function succeed(
  store: SessionStore,
  [oldId, id]: readonly [oldId: string, id: string],
  inheritance: (old: SessionRecord) => Inheritance,
): Promise<Succession | null> {
  const retired = await retire(store, oldId, inheritance);
  if (!retired) return null;
  const { old, userId, idle } = retired;
  const { data, createdAt, endsAt } = old;
  const unborn = { id, userId, data: RETIRED, idle, lifetime: endsAt - createdAt, createdAt };
  try {
    if (!(await store.create(unborn))) return null;
    if (await store.revoke(oldId)) {
      const isBorn = (await store.update(id, { data })) === "updated";
      return isBorn ? { old, successor: { ...old, id, userId, idle, version: 2 } } : null;
    }
  } catch (error) {
    // Also where a command may still be under way: the tombstone forbids what it would do.
    await store.revoke(id).catch(() => undefined);
    throw error;
  }
  await store.revoke(id);
  return null;
}

async function retire(
  store: SessionStore,
  id: string,
  inheritance: (old: SessionRecord) => Inheritance,
): Promise<({ readonly old: SessionRecord } & Inheritance) | null> {
  for (let attempt = 1; ; attempt += 1) {
    const old = await readInUse(store, id);
    if (!old) return null;
    const { userId, idle } = inheritance(old);
    // The user is bound here already: a user id that the store can't hold is refused before anything is written.
    const binding = userId === old.userId ? {} : { userId };
    const result = await store.update(id, { data: RETIRED, ...binding, ifVersion: old.version });
    if (result === "updated") return { old, userId, idle };
    if (result === "gone") return null;
    if (attempt >= MAX_ATTEMPTS)
      throw new StoreError(
        "update",
        "a session was saved too often to be rotated: rotate it before or after",
      );
  }
}
