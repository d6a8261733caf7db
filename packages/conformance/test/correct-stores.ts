import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { type SessionStore, StoreError, type StoreOperation } from "@tenure/core";
import type { ModularStore } from "./modular-store.ts";

/**
 * Makes one call in `every` reject: before it is made, after it was made, or while it is delayed and will
 * still be made.
 */
export function flakyStore(store: SessionStore, every: number): SessionStore {
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

/** Delays each call, and its result, by up to `most` milliseconds. */
export function slowStore(store: SessionStore, most: number): SessionStore {
  return wrapped(store, async (_operation, call) => {
    await sleep(Math.random() * most);
    const result = await call();
    await sleep(Math.random() * most);
    return result;
  });
}

/** Makes the store one that cannot check the fence and write in one command. It is still correct. */
export function undoFencedLogins(base: ModularStore): Partial<ModularStore> {
  const isFenced = (userId: string | null | undefined, authenticatedAt: number | undefined): boolean =>
    typeof userId === "string" && base.isRefused(userId, authenticatedAt, base.clock());
  const undo = (id: string): "fenced" => {
    base.end(id, base.find(id, base.clock()), base.clock());
    return "fenced";
  };
  return {
    async create(session) {
      const result = await base.create(session);
      await turn();
      const isRefused = result === "created" && isFenced(session.userId, session.authenticatedAt);
      return isRefused ? undo(session.id) : result;
    },
    async update(id, changes) {
      const isOwn = base.find(id, base.clock())?.userId === changes.userId;
      const result = await base.update(id, changes);
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
