import assert from "node:assert/strict";
import type { Chapter } from "../chapter.ts";

export const absence: Chapter = {
  title: "9. Absence is a value, failure is an error",
  sentences: {
    "for an id that was never created, read is null, update is gone and revoke is false": async ({
      store,
      id,
    }) => {
      assert.equal(await store.read(id()), null);
      assert.equal(await store.update(id(), {}), "gone");
      assert.equal(await store.update(id(), { data: "late", userId: null, ifVersion: 1 }), "gone");
      assert.equal(await store.revoke(id()), false);
    },

    "an update creates nothing": async ({ store, id, user }) => {
      const [unknown, userId] = [id(), user()];
      await store.update(unknown, { data: "new", userId, idle: 1000 });
      assert.equal(await store.read(unknown), null);
      assert.deepEqual(await store.listUser(userId), []);
    },
  },
};
