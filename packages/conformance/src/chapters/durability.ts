import assert from "node:assert/strict";
import { assertWithin } from "../assertions.ts";
import type { Chapter } from "../chapter.ts";
import { rounds } from "../race.ts";

/** Tests that every process sees acknowledged writes. Each store's own tests kill the server. */
export const durability: Chapter = {
  title: "8. Durable where it matters",
  sentences: {
    "a write acknowledged to one process is visible to every other immediately": (scene) =>
      rounds(scene, 20, async ({ store, other, fresh, user }, random) => {
        const [here, there] = random.below(2) ? [store, other] : [other, store];
        const [userId, next] = [user(), user()];
        const session = fresh({ userId });
        await here.create(session);
        const created = await there.read(session.id);
        assert.equal(created?.data, session.data, "a create");
        assert.deepEqual(await there.listUser(userId), [created]);
        await there.update(session.id, { data: "new", userId: next });
        const updated = await here.read(session.id);
        assert.deepEqual([updated?.data, updated?.userId], ["new", next], "an update");
        assert.deepEqual(await here.listUser(next), [updated]);
        assert.deepEqual(await there.read(session.id), updated);
        await here.revokeUser(next);
        assert.equal(await there.read(session.id), null, "a revokeUser");
        const second = fresh();
        await there.create(second);
        assert.ok(await there.read(second.id));
        await here.revoke(second.id);
        assert.equal(await there.read(second.id), null, "a revoke");
      }),

    "an acknowledged touch counts immediately, in every process": async (scene) => {
      const { store, other, stored, timed, reached } = scene;
      const { id, touchedAt } = await stored();
      let last = touchedAt;
      for (let uses = 0; uses < 5; uses += 1) {
        await reached(last + 5);
        const touch = await timed(() => (uses % 2 ? store : other).update(id, {}));
        const record = await (uses % 2 ? other : store).read(id);
        assert.ok(record);
        assertWithin(record.touchedAt, touch, "touchedAt");
        last = record.touchedAt;
      }
    },

    "all acknowledged writes are kept, in their order": async ({ store, other, stored }) => {
      const { id } = await stored();
      for (let n = 1; n <= 40; n += 1) {
        assert.equal(await (n % 2 ? store : other).update(id, { data: `${n}` }), "updated");
      }
      const record = await store.read(id);
      assert.deepEqual([record?.data, record?.version], ["40", 41]);
    },
  },
};
