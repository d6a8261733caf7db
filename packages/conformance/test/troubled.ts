import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { type SessionStore, StoreError, type StoreOperation } from "@tenure/core";
import type { Parts } from "./workshop.ts";

/**
 * A sound store whose backend fails sometimes: one call in `every` rejects, before it is made, after it was made, or while it
 * is delayed and will still be made.
 */
export function flaky(store: SessionStore, every: number): SessionStore {
  return wrapped(store, async (operation, call) => {
    const failure = new StoreError(operation, "the connection was lost");
    if (Math.random() * every >= 1) return call();
    const when = Math.floor(Math.random() * 3);
    if (when === 0) throw failure;
    if (when === 1) await call();
    else setTimeout(() => void call().catch(() => {}), Math.random() * 30);
    throw failure;
  });
}

/** A sound store behind a slow network: each call is delayed by up to `most` milliseconds, and its result too. */
export function slow(store: SessionStore, most: number): SessionStore {
  return wrapped(store, async (_operation, call) => {
    await sleep(Math.random() * most);
    const result = await call();
    await sleep(Math.random() * most);
    return result;
  });
}

/** A sound store that cannot check the fence and write in one command. */
export function undoing(sound: Parts): Partial<Parts> {
  const isFenced = (userId: string | null | undefined, authenticatedAt: number | undefined): boolean =>
    typeof userId === "string" && sound.isRefused(userId, authenticatedAt, sound.clock());
  const undo = (id: string): "fenced" => {
    sound.bury(id, sound.find(id, sound.clock()), sound.clock());
    return "fenced";
  };
  return {
    async create(session) {
      const result = await sound.create(session);
      await turn();
      const isRefused = result === "created" && isFenced(session.userId, session.authenticatedAt);
      return isRefused ? undo(session.id) : result;
    },
    async update(id, changes) {
      const isOwn = sound.find(id, sound.clock())?.userId === changes.userId;
      const result = await sound.update(id, changes);
      await turn();
      const isRefused = result === "updated" && !isOwn && isFenced(changes.userId, changes.authenticatedAt);
      return isRefused ? undo(id) : result;
    },
  };
}

function wrapped(
  store: SessionStore,
  around: <Result>(operation: StoreOperation, call: () => Promise<Result>) => Promise<Result>,
): SessionStore {
  return {
    create: (session) => around("create", () => store.create(session)),
    read: (id) => around("read", () => store.read(id)),
    update: (id, changes) => around("update", () => store.update(id, changes)),
    revoke: (id) => around("revoke", () => store.revoke(id)),
    revokeUser: (userId, options) => around("revokeUser", () => store.revokeUser(userId, options)),
    listUser: (userId) => around("listUser", () => store.listUser(userId)),
    async *scan() {
      await around("scan", async () => {});
      yield* store.scan();
      await around("scan", async () => {});
    },
    now: () => around("now", () => store.now()),
  };
}
