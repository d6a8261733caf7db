import assert from "node:assert/strict";
import type { Chapter } from "../chapter.ts";
import { race, rounds } from "../race.ts";

export const userIndex: Chapter = {
  title: "5. The index never lies",
  sentences: {
    "listUser answers the user's live sessions, as read answers them (ASVS 7.5.2)": async (scene) => {
      const { store, other, born, user } = scene;
      const userId = user();
      const sessions = [await born({ userId }), await born({ userId, data: "" }), await born({ userId })];
      await born({ userId: user() });
      await born();
      assert.deepEqual(byId(await store.listUser(userId)), byId(sessions));
      assert.deepEqual(byId(await other.listUser(userId)), byId(sessions));
    },

    "listUser of a user without sessions is empty": async ({ store, user }) => {
      assert.deepEqual(await store.listUser(user()), []);
    },

    "listUser answers the oldest createdAt first": async ({ store, born, user, random }) => {
      const userId = user();
      const now = await store.now();
      const ages = random.shuffled([1, 2, 3, 4, 5, 6]);
      for (const age of ages) await born({ userId, createdAt: now - age * 10_000 });
      const created = (await store.listUser(userId)).map(({ createdAt }) => createdAt);
      assert.deepEqual(
        created,
        [6, 5, 4, 3, 2, 1].map((age) => now - age * 10_000),
      );
    },

    "neither a touch, an update nor a late binding changes the order of listUser": async (scene) => {
      const { store, born, user, reached } = scene;
      const userId = user();
      const now = await store.now();
      const oldest = await born({ createdAt: now - 50_000 });
      const middle = await born({ userId, createdAt: now - 40_000 });
      const newest = await born({ userId, createdAt: now - 30_000 });
      await reached(now + 5);
      await store.update(newest.id, { data: "new" });
      await reached((await store.now()) + 5);
      await store.update(middle.id, {});
      await reached((await store.now()) + 5);
      await store.update(oldest.id, { userId });
      const listed = (await store.listUser(userId)).map(({ id }) => id);
      assert.deepEqual(listed, [oldest.id, middle.id, newest.id]);
    },

    "listUser has no session that was revoked": async ({ store, other, born, user }) => {
      const userId = user();
      const kept = await born({ userId });
      const revoked = await born({ userId });
      await store.revoke(revoked.id);
      assert.deepEqual(await store.listUser(userId), [kept]);
      assert.deepEqual(await other.listUser(userId), [kept]);
    },

    "listUser has no session that expired": async ({ store, other, born, user, reached, pace }) => {
      const userId = user();
      const expiring = await born({ userId, idle: pace });
      const kept = await born({ userId });
      await reached(expiring.expiresAt);
      assert.deepEqual(await store.listUser(userId), [kept]);
      assert.deepEqual(await other.listUser(userId), [kept]);
    },

    "a session bound by an update is in the user's list at once": async ({ store, other, born, user }) => {
      const userId = user();
      const { id } = await born();
      await store.update(id, { userId });
      assert.deepEqual(await other.listUser(userId), [await store.read(id)]);
    },

    "a session rebound to another user leaves the first one's list": async ({ store, other, born, user }) => {
      const [userId, next] = [user(), user()];
      const { id } = await born({ userId });
      await store.update(id, { userId: next });
      assert.deepEqual(await other.listUser(userId), []);
      assert.deepEqual(await other.listUser(next), [await store.read(id)]);
    },

    "a session that is unbound leaves its user's list and lives on": async ({ store, other, born, user }) => {
      const userId = user();
      const { id } = await born({ userId });
      assert.equal(await store.update(id, { userId: null }), "updated");
      assert.deepEqual(await other.listUser(userId), []);
      assert.equal((await other.read(id))?.userId, null);
    },

    "a session bound to its own user again, or there and back, is listed once": async ({
      store,
      born,
      user,
    }) => {
      const [userId, next] = [user(), user()];
      const { id } = await born({ userId });
      await store.update(id, { userId });
      await store.update(id, { userId: next });
      await store.update(id, { userId });
      assert.deepEqual(await store.listUser(userId), [await store.read(id)]);
      assert.deepEqual(await store.listUser(next), []);
      assert.equal(await store.revokeUser(userId), 1);
    },

    "an update that was refused binds nothing": async ({ store, born, user, id }) => {
      const [userId, next] = [user(), user()];
      const alive = await born({ userId });
      const revoked = await born({ userId });
      await store.revoke(revoked.id);
      assert.equal(await store.update(alive.id, { userId: next, ifVersion: 7 }), "conflict");
      assert.equal(await store.update(revoked.id, { userId: next }), "gone");
      assert.equal(await store.update(id(), { userId: next }), "gone");
      assert.deepEqual(await store.listUser(next), []);
      assert.deepEqual(await store.listUser(userId), [alive]);
    },

    "a create that was refused binds nothing": async ({ store, born, fresh, user }) => {
      const [userId, next] = [user(), user()];
      const alive = await born({ userId });
      assert.equal(await store.create(fresh({ id: alive.id, userId: next })), false);
      assert.deepEqual(await store.listUser(next), []);
      assert.equal(await store.revokeUser(next), 0);
      assert.deepEqual(await store.listUser(userId), [alive]);
    },

    "after rebindings that raced, the session is in the list of its user and in no other": (scene) =>
      rounds(scene, 30, async ({ store, other, born, user }, random) => {
        const users = [user(), user(), user()];
        const { id } = await born({ userId: users[0]! });
        const rebindings = [users[0]!, users[1]!, users[2]!, null].map(
          (userId, index) => () => (index % 2 ? store : other).update(id, { userId }),
        );
        const answers = await race(scene, random, rebindings);
        assert.deepEqual(answers, ["updated", "updated", "updated", "updated"]);
        const record = await store.read(id);
        assert.ok(record);
        for (const userId of users) {
          assert.deepEqual(await store.listUser(userId), record.userId === userId ? [record] : []);
        }
        for (const userId of users) {
          assert.equal(await other.revokeUser(userId), record.userId === userId ? 1 : 0);
        }
      }),
  },
};

function byId<Item extends { id: string }>(items: readonly Item[]): Item[] {
  return items.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}
