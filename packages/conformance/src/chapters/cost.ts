import assert from "node:assert/strict";
import type { NewSession, SessionRecord } from "@tenure/core";
import { assertOldestFirst } from "../assertions.ts";
import { isStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import { createMany, inParallel } from "../many.ts";
import { scanFor } from "../scan-for.ts";
import { DAY, HOUR, type Scene } from "../scene.ts";

/** Tests that no number of sessions is too large. Each store's own tests count commands and rows. */
export const cost: Chapter = {
  title: "11. Cost",
  sentences: {
    "all 1,001 sessions of a user are listed and ended (ASVS 7.4.2)": (scene) => listAndEnd(scene, 1001, 0),

    "all 12,000 sessions of a user are listed and ended (ASVS 7.4.2)": (scene) =>
      // More than the 8,000 values that Lua's unpack returns in Redis, and than pages of 10,000. On a slower
      // backend, as many as it creates in the same time.
      listAndEnd(scene, Math.ceil(Math.max(1001, Math.min(12_000, 3600 / scene.latency))), 1),

    "one of a user's many sessions is written, read and ended like any other": async (scene) => {
      const { store, user } = scene;
      const userId = user();
      const { ids, unsure } = await createMany(scene, userId, 100, DAY);
      const [one, ...rest] = ids;
      assert.equal(await store.update(one!, { data: "new" }), "updated");
      assert.equal((await store.read(one!))?.data, "new");
      assert.equal(await store.revoke(one!), true);
      assert.deepEqual(idsOf(await store.listUser(userId), unsure), rest.toSorted());
    },

    "a user's sessions are found behind hundreds of expired ones (ASVS 7.4.2)": async (scene) => {
      const { store, other, user, stored, reached, pace } = scene;
      const userId = user();
      const { unsure } = await createMany(scene, userId, 300, pace);
      await reached((await store.now()) + pace);
      const live = await Promise.all([1, 2, 3].map(() => stored({ userId })));
      const ids = live.map(({ id }) => id);
      assert.deepEqual(idsOf(await store.listUser(userId), unsure), ids.toSorted());
      const scanned = await scanFor(other, ids);
      assert.equal(scanned.length, live.length, "a scan finds them");
      const ended = await other.revokeUser(userId);
      assert.ok(ended >= live.length && ended <= live.length + unsure.size, `ended ${ended}`);
    },

    "each of a thousand users has a separate list": async ({ store, other, user, fresh }) => {
      const sessions: (NewSession & { readonly userId: string })[] = [];
      await inParallel(Array.from({ length: 1000 }, user), async (userId) => {
        const session = { ...fresh(), userId };
        try {
          await store.create(session);
          sessions.push(session);
        } catch (error) {
          if (!isStoreError(error)) throw error;
        }
      });
      await inParallel(sessions, async ({ id, userId }) => {
        const listed = await other.listUser(userId);
        assert.deepEqual(
          listed.map((record) => record.id),
          [id],
        );
      });
      const [first, ...rest] = sessions;
      assert.equal(await store.revokeUser(first!.userId), 1);
      await inParallel(rest, async ({ id }) => {
        assert.ok(await other.read(id));
      });
    },
  },
};

async function listAndEnd(scene: Scene, count: number, spared: 0 | 1): Promise<void> {
  const { store, other, user, fresh, random } = scene;
  const userId = user();
  // Tombstones last until the session's end. So many must not last longer than an hour.
  const { ids, unsure } = await createMany(scene, userId, count, HOUR);
  const listed = await store.listUser(userId);
  assert.deepEqual(idsOf(listed, unsure), ids.toSorted());
  assertOldestFirst(listed);
  const kept = random.shuffled(ids.slice(0, 50)).slice(0, spared);
  const ended = await other.revokeUser(userId, kept[0] === undefined ? {} : { except: kept[0] });
  assert.ok(ended >= count - spared && ended <= count - spared + unsure.size, `ended ${ended} of ${count}`);
  assert.deepEqual(idsOf(await store.listUser(userId), unsure), kept);
  const dead = ids.filter((id) => !kept.includes(id));
  for (const id of [dead[0]!, random.pick(dead), dead.at(-1)!]) {
    assert.equal(await store.read(id), null);
    assert.equal(await store.create(fresh({ id, lifetime: HOUR })), "taken", "its tombstone");
  }
}

function idsOf(sessions: readonly SessionRecord[], except: ReadonlySet<string>): string[] {
  return sessions
    .map(({ id }) => id)
    .filter((id) => !except.has(id))
    .toSorted();
}
