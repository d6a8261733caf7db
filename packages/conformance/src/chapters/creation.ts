import assert from "node:assert/strict";
import type { Chapter } from "../chapter.ts";
import { countOf, race, rounds } from "../race.ts";

export const creation: Chapter = {
  title: "6. Create never overwrites",
  sentences: {
    "create of an id that is alive is refused as taken and changes nothing": async ({
      store,
      other,
      stored,
      fresh,
      user,
    }) => {
      const before = await stored({ userId: user() });
      const second = fresh({ id: before.id, userId: user(), data: "second", idle: 1000, lifetime: 2000 });
      assert.equal(await store.create(second), "taken");
      assert.equal(await other.create(second), "taken");
      assert.deepEqual(await store.read(before.id), before);
    },

    "create of an id that expired is refused, or begins a new session": async (scene) => {
      const { store, stored, fresh, user, reached, pace } = scene;
      const [userId, next] = [user(), user()];
      const { id, expiresAt } = await stored({ userId, idle: pace, data: "old" });
      await reached(expiresAt);
      const created = await store.create(fresh({ id, userId: next, data: "" }));
      const record = await store.read(id);
      if (created === "created") {
        assert.ok(record);
        assert.deepEqual([record.userId, record.data, record.version], [next, "", 1]);
        assert.ok(record.createdAt >= expiresAt && record.authenticatedAt! >= expiresAt);
        assert.deepEqual(await store.listUser(next), [record]);
      } else {
        assert.equal(created, "taken");
        assert.equal(record, null);
        assert.deepEqual(await store.listUser(next), []);
      }
      assert.deepEqual(await store.listUser(userId), []);
    },

    "of concurrent creates of one id, exactly one succeeds and is stored": (scene) =>
      rounds(scene, 40, async ({ store, other, fresh, id, user }, random) => {
        const shared = id();
        const sessions = [1, 2, 3, 4, 5, 6].map((n) => fresh({ id: shared, userId: user(), data: `${n}` }));
        const results = await race(
          scene,
          random,
          sessions.map((session, index) => () => (index % 2 ? store : other).create(session)),
        );
        assert.equal(countOf(results, "created"), 1);
        const record = await store.read(shared);
        const winner = sessions[results.indexOf("created")]!;
        assert.deepEqual([record?.data, record?.userId, record?.version], [winner.data, winner.userId, 1]);
        for (const { userId } of sessions) {
          assert.deepEqual(await other.listUser(userId!), userId === winner.userId ? [record] : []);
        }
      }),
  },
};
