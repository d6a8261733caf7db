import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { ignoreStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import { createMany } from "../many.ts";
import { race, rounds, together } from "../race.ts";
import { HOUR } from "../scene.ts";

export const userIndex: Chapter = {
  title: "5. The index never lies",
  sentences: {
    "listUser returns the user's live sessions, as read returns them (ASVS 7.5.2)": async (scene) => {
      const { store, other, stored, user } = scene;
      const userId = user();
      const sessions = [
        await stored({ userId }),
        await stored({ userId, data: "" }),
        await stored({ userId }),
      ];
      await stored({ userId: user() });
      await stored();
      assert.deepEqual(byId(await store.listUser(userId)), byId(sessions));
      assert.deepEqual(byId(await other.listUser(userId)), byId(sessions));
    },

    "listUser of a user without sessions is empty": async ({ store, user }) => {
      assert.deepEqual(await store.listUser(user()), []);
    },

    "listUser returns the oldest createdAt first": async ({ store, stored, user, reached }) => {
      const userId = user();
      const created: string[] = [];
      for (let n = 0; n < 6; n += 1) {
        const { id, createdAt } = await stored({ userId });
        created.push(id);
        await reached(createdAt + 2);
      }
      const listed = (await store.listUser(userId)).map(({ id }) => id);
      assert.deepEqual(listed, created);
    },

    "no update changes the order of listUser, nor does a late binding": async (scene) => {
      const { store, stored, user, reached } = scene;
      const userId = user();
      const oldest = await stored();
      await reached(oldest.createdAt + 5);
      const middle = await stored({ userId });
      await reached(middle.createdAt + 5);
      const newest = await stored({ userId });
      await reached(newest.createdAt + 5);
      await store.update(newest.id, { data: "new", lifetime: HOUR });
      await reached((await store.now()) + 5);
      await store.update(middle.id, {});
      await reached((await store.now()) + 5);
      await store.update(oldest.id, { userId });
      const listed = (await store.listUser(userId)).map(({ id }) => id);
      assert.deepEqual(listed, [oldest.id, middle.id, newest.id]);
    },

    "listUser leaves out revoked sessions": async ({ store, other, stored, user }) => {
      const userId = user();
      const kept = await stored({ userId });
      const revoked = await stored({ userId });
      await store.revoke(revoked.id);
      assert.deepEqual(await store.listUser(userId), [kept]);
      assert.deepEqual(await other.listUser(userId), [kept]);
    },

    "listUser leaves out expired sessions": async ({ store, other, stored, user, reached, pace }) => {
      const userId = user();
      const expiring = await stored({ userId, idle: pace });
      const kept = await stored({ userId });
      await reached(expiring.expiresAt);
      assert.deepEqual(await store.listUser(userId), [kept]);
      assert.deepEqual(await other.listUser(userId), [kept]);
    },

    "a session that outlives the idle timeout it began with is listed and ended (ASVS 7.4.2)": async (
      scene,
    ) => {
      const { store, other, stored, user, reached, inTime, pace } = scene;
      const userId = user();
      const { id, expiresAt } = await stored({ userId, idle: pace });
      await reached(expiresAt - pace / 2);
      const touch = await inTime(expiresAt, () => store.update(id, {}));
      assert.equal(touch.result, "updated");
      await inTime(touch.from + pace, () => store.update(id, { idle: HOUR }));
      await reached(touch.to + pace + 50);
      assert.deepEqual(await other.listUser(userId), [await store.read(id)]);
      assert.equal(await other.revokeUser(userId), 1);
    },

    "a session bound by an update is in the user's list immediately": async ({
      store,
      other,
      stored,
      user,
    }) => {
      const userId = user();
      const { id } = await stored();
      await store.update(id, { userId });
      assert.deepEqual(await other.listUser(userId), [await store.read(id)]);
    },

    "a session bound to another user leaves the first user's list": async ({
      store,
      other,
      stored,
      user,
    }) => {
      const [userId, next] = [user(), user()];
      const { id } = await stored({ userId });
      await store.update(id, { userId: next });
      assert.deepEqual(await other.listUser(userId), []);
      assert.deepEqual(await other.listUser(next), [await store.read(id)]);
    },

    "a session that loses its user leaves the list and lives on": async ({ store, other, stored, user }) => {
      const userId = user();
      const { id } = await stored({ userId });
      assert.equal(await store.update(id, { userId: null }), "updated");
      assert.deepEqual(await other.listUser(userId), []);
      assert.equal((await other.read(id))?.userId, null);
    },

    "a session bound to its own user again, or to another and back, is listed once": async ({
      store,
      stored,
      user,
    }) => {
      const [userId, next] = [user(), user()];
      const { id } = await stored({ userId });
      await store.update(id, { userId });
      assert.deepEqual(await store.listUser(userId), [await store.read(id)]);
      await store.update(id, { userId, authenticatedAt: await store.now() });
      assert.deepEqual(await store.listUser(userId), [await store.read(id)]);
      await store.update(id, { userId: next });
      await store.update(id, { userId });
      assert.deepEqual(await store.listUser(userId), [await store.read(id)]);
      assert.deepEqual(await store.listUser(next), []);
      assert.equal(await store.revokeUser(userId), 1);
    },

    "an update that was refused binds nothing": async ({ store, stored, user, id }) => {
      const [userId, next] = [user(), user()];
      const alive = await stored({ userId });
      const revoked = await stored({ userId });
      await store.revoke(revoked.id);
      assert.equal(await store.update(alive.id, { userId: next, ifVersion: 7 }), "conflict");
      assert.equal(await store.update(revoked.id, { userId: next }), "gone");
      assert.equal(await store.update(id(), { userId: next }), "gone");
      assert.deepEqual(await store.listUser(next), []);
      assert.deepEqual(await store.listUser(userId), [alive]);
    },

    "a create that was refused binds nothing": async ({ store, stored, fresh, user }) => {
      const [userId, next] = [user(), user()];
      const alive = await stored({ userId });
      assert.equal(await store.create(fresh({ id: alive.id, userId: next })), "taken");
      assert.deepEqual(await store.listUser(next), []);
      assert.equal(await store.revokeUser(next), 0);
      assert.deepEqual(await store.listUser(userId), [alive]);
    },

    "listUser and revokeUser miss no session while others of the user end (ASVS 7.4.2)": async (scene) => {
      const { store, other, user, random } = scene;
      const userId = user();
      const { ids, unsure } = await createMany(scene, userId, 300, HOUR);
      const shuffled = random.shuffled(ids);
      const kept = shuffled.slice(120);
      const end = async (ending: readonly string[]): Promise<void> => {
        for (const id of ending) {
          await other.revoke(id).catch(ignoreStoreError);
          await turn();
        }
      };
      const list = async (): Promise<void> => {
        const listed = (await store.listUser(userId)).map(({ id }) => id);
        const found = new Set(listed);
        assert.equal(found.size, listed.length, "no session twice");
        assert.deepEqual(
          kept.filter((id) => !found.has(id)),
          [],
          "missed",
        );
      };
      // A list misses a session only if one before it ends between two pages. So there are many lists.
      for (let at = 0; at < 80; at += 4) await together([end(shuffled.slice(at, at + 4)), list()]);
      await together<unknown>([end(shuffled.slice(80, 120)), store.revokeUser(userId)]);
      const left = (await store.listUser(userId)).filter(({ id }) => !unsure.has(id));
      assert.deepEqual(left, []);
      for (const id of kept) assert.equal(await store.read(id), null);
    },

    "after concurrent changes of its user, a session is in the list of its user and in no other": (scene) =>
      rounds(scene, 30, async ({ store, other, stored, user }, random) => {
        const users = [user(), user(), user()];
        const { id } = await stored({ userId: users[0]! });
        const rebindings = [users[0]!, users[1]!, users[2]!, null, users[0]!, users[1]!].map(
          (userId, index) => () => (index % 2 ? store : other).update(id, { userId }),
        );
        const results = await race(scene, random, rebindings);
        assert.deepEqual(
          results,
          rebindings.map(() => "updated"),
        );
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
