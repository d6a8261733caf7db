import assert from "node:assert/strict";
import type { SessionRecord } from "@tenure/core";
import { ignoreStoreError, repeated } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import { createMany } from "../many.ts";
import { scanFor } from "../scan-for.ts";
import { HOUR } from "../scene.ts";

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
      await store.update(live[0]!.id, { data: "later" });
      const first = found.find(({ id }) => id === live[0]!.id);
      assert.deepEqual(first, live[0], "a later update does not change a record that was returned");
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
            await write().catch(ignoreStoreError);
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

    "a scan misses no session while its consumer ends others (ASVS 7.4.5)": async (scene) => {
      const { store, other, user, random } = scene;
      const { ids } = await createMany(scene, user(), 1100, HOUR);
      const ending = random.shuffled(ids).slice(0, 100);
      const kept = ids.filter((id) => !ending.includes(id)).toSorted();
      const wanted = new Set(ids);
      const found = new Set<string>();
      for await (const { id } of store.scan()) {
        if (!wanted.has(id)) continue;
        assert.ok(!found.has(id), "no session twice");
        found.add(id);
        const next = found.size % 10 === 0 ? ending.pop() : undefined;
        if (next !== undefined) await other.revoke(next).catch(ignoreStoreError);
      }
      assert.deepEqual(
        kept.filter((id) => !found.has(id)),
        [],
        "missed",
      );
    },

    "a scan can be abandoned, and another started": async ({ store, stored }) => {
      const { id } = await stored();
      await repeated(async () => {
        for await (const record of store.scan()) {
          assert.equal(typeof record.id, "string");
          break;
        }
      });
      assert.equal(await store.update(id, { data: "new" }), "updated", "it blocks no write");
      const scans = await Promise.all([scanFor(store, [id]), scanFor(store, [id])]);
      for (const found of scans) assert.equal(found.length, 1);
    },
  },
};
