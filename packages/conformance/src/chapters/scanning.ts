import assert from "node:assert/strict";
import type { SessionRecord, SessionStore } from "@tenure/core";
import { isStoreError, repeated } from "../backend.ts";
import type { Chapter } from "../chapter.ts";

export const scanning: Chapter = {
  title: "Scan returns every live session",
  sentences: {
    "scan returns every live session once, as read returns it, and no dead one (ASVS 7.4.5)": async (
      scene,
    ) => {
      const { store, other, stored, user, reached, pace, random } = scene;
      const userId = user();
      const live = [
        ...(await Promise.all(Array.from({ length: 12 }, () => stored({ userId })))),
        await stored(),
        await stored({ userId: user(), data: "" }),
      ];
      const rebound = await stored({ userId });
      await store.update(rebound.id, { userId: null, data: "new" });
      live.push((await store.read(rebound.id))!);
      const revoked = await stored();
      const ended = await stored({ userId: user() });
      const expired = await stored({ userId, idle: pace });
      await store.revoke(revoked.id);
      await store.revokeUser(ended.userId!);
      await reached(expired.expiresAt);
      const found = await scanFor(
        random.pick([store, other]),
        [...live, revoked, ended, expired].map(({ id }) => id),
      );
      for (const record of live) {
        assert.deepEqual(
          found.filter(({ id }) => id === record.id),
          [record],
        );
      }
      assert.equal(found.length, live.length, "no dead session");
    },

    "scan returns every session that is alive throughout, whatever is written meanwhile": async (scene) => {
      const { store, other, stored, fresh, user } = scene;
      const userId = user();
      const sessions = await Promise.all(Array.from({ length: 30 }, () => stored({ userId })));
      const ids = sessions.map(({ id }) => id);
      const done = new AbortController();
      const writing = async (): Promise<void> => {
        for (let n = 0; !done.signal.aborted && n < 300; n += 1) {
          const id = ids[n % ids.length]!;
          const passing = fresh({ userId });
          const changes = n % 3 ? {} : { data: "x".repeat(n), userId: n % 2 ? userId : null };
          const writes = [
            () => other.update(id, changes),
            () => other.create(passing),
            () => other.revoke(passing.id),
          ];
          for (const write of writes) {
            await write().catch((error: unknown) => {
              if (!isStoreError(error)) throw error;
            });
          }
        }
      };
      const looking = async (): Promise<SessionRecord[]> => {
        try {
          return await scanFor(store, ids);
        } finally {
          done.abort();
        }
      };
      const [records] = await Promise.all([looking(), writing()]);
      const found = new Set(records.map(({ id }) => id));
      assert.deepEqual([...found].toSorted(), ids.toSorted());
    },

    "a scan can be abandoned, and another started": async ({ store, stored }) => {
      const { id } = await stored();
      await repeated(async () => {
        for await (const record of store.scan()) {
          assert.equal(typeof record.id, "string");
          break;
        }
      });
      const scans = await Promise.all([scanFor(store, [id]), scanFor(store, [id])]);
      for (const found of scans) assert.equal(found.length, 1);
    },
  },
};

/** Returns the records of these ids from a scan. Other sessions share the backend. */
async function scanFor(store: SessionStore, ids: readonly string[]): Promise<SessionRecord[]> {
  const wanted = new Set(ids);
  return repeated(async () => {
    const found: SessionRecord[] = [];
    for await (const record of store.scan()) if (wanted.has(record.id)) found.push(record);
    return found;
  });
}
