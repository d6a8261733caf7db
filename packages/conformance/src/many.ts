import assert from "node:assert/strict";
import type { NewSession } from "@tenure/core";
import { isStoreError } from "./backend.ts";
import type { Scene } from "./scene.ts";

export interface Many {
  readonly ids: readonly string[];
  /** Ids whose create rejected, and may have taken effect. */
  readonly unsure: ReadonlySet<string>;
}

/** Creates sessions of a user, many at a time. */
export async function createMany(
  { store, fresh }: Scene,
  userId: string,
  count: number,
  lifetime: number,
): Promise<Many> {
  const ids: string[] = [];
  const unsure = new Set<string>();
  while (ids.length < count) {
    const sessions = Array.from({ length: count - ids.length }, () => fresh({ userId, lifetime }));
    await inParallel(sessions, async (session: NewSession) => {
      try {
        assert.equal(await store.create(session), "created");
        ids.push(session.id);
      } catch (error) {
        if (!isStoreError(error) || unsure.size > count) throw error;
        unsure.add(session.id);
      }
    });
  }
  return { ids, unsure };
}

/** Makes a call for each item, many at a time. */
export async function inParallel<Item>(
  items: readonly Item[],
  call: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const item of rest) await call(item);
    }),
  );
}

const AT_ONCE = 128;
