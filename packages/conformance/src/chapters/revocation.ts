import assert from "node:assert/strict";
import type { Chapter } from "../chapter.ts";
import { countOf, race, rounds } from "../race.ts";
import { DAY } from "../scene.ts";
import { Unclear } from "../unclear.ts";

export const revocation: Chapter = {
  title: "3. No resurrection",
  sentences: {
    "revoke ends a live session, and says true (ASVS 7.4.1)": async ({ store, born }) => {
      const { id } = await born();
      assert.equal(await store.revoke(id), true);
      assert.equal(await store.read(id), null);
    },

    "a revoked session is dead to every process at once (ASVS 7.4.1, 7.5.2)": async (scene) => {
      const { store, other, born, user } = scene;
      const { id, userId } = await born({ userId: user() });
      assert.ok(await other.read(id), "which has just read it");
      await store.revoke(id);
      assert.equal(await other.read(id), null);
      assert.equal(await other.update(id, {}), "gone");
      assert.deepEqual(await other.listUser(userId!), []);
      assert.equal(await other.revoke(id), false);
      assert.equal(await other.revokeUser(userId!), 0);
    },

    "revoke of a session that is not alive says false": async ({ store, born, id, reached, pace }) => {
      const revoked = await born();
      await store.revoke(revoked.id);
      assert.equal(await store.revoke(revoked.id), false, "revoked before");
      assert.equal(await store.revoke(id()), false, "unknown");
      const expired = await born({ idle: pace });
      await reached(expired.expiresAt);
      assert.equal(await store.revoke(expired.id), false, "expired");
    },

    "no update brings a revoked session back (ASVS 7.4.1)": async ({ store, other, born, user }) => {
      const { id, version } = await born({ userId: user() });
      const newUser = user();
      await store.revoke(id);
      for (const changes of [
        {},
        { data: "late" },
        { userId: newUser },
        { userId: null },
        { idle: DAY },
        { data: "late", userId: newUser, idle: DAY },
        { data: "late", ifVersion: version },
        { ifVersion: version },
      ]) {
        assert.equal(await store.update(id, changes), "gone");
        assert.equal(await other.update(id, changes), "gone");
      }
      assert.equal(await store.read(id), null);
      assert.deepEqual(await store.listUser(newUser), []);
    },

    "a revoked id is not created again (ASVS 7.4.1)": async ({ store, other, born, fresh }) => {
      const { id } = await born();
      await store.revoke(id);
      assert.equal(await store.create(fresh({ id })), false);
      assert.equal(await other.create(fresh({ id })), false);
      assert.equal(await store.read(id), null);
    },

    "an unknown id that was revoked is not created afterwards": async ({ store, other, fresh }) => {
      const session = fresh();
      await store.revoke(session.id);
      assert.equal(await other.create(session), false);
      assert.equal(await store.read(session.id), null);
    },

    "a tombstone outlives the session's own end (ASVS 7.4.1)": async ({
      store,
      born,
      fresh,
      reached,
      pace,
    }) => {
      const { id, endsAt } = await born({ idle: pace, lifetime: pace });
      if (!(await store.revoke(id)) && (await store.now()) >= endsAt)
        throw new Unclear("the revoke came too late");
      await reached(endsAt + 50);
      assert.equal(await store.create(fresh({ id })), false);
      assert.equal(await store.read(id), null);
    },

    "an expired session that is revoked is not created afterwards": async (scene) => {
      const { store, born, fresh, reached, pace } = scene;
      const { id, endsAt } = await born({ idle: pace, lifetime: pace });
      await reached(endsAt);
      await store.revoke(id);
      assert.equal(await store.create(fresh({ id })), false);
      assert.equal(await store.read(id), null);
    },

    "a tombstone is still there seconds later, whatever was revoked": async (scene) => {
      const { store, born, fresh, reached, pace, user } = scene;
      const userId = user();
      const [alive, expired, listed] = [
        await born(),
        await born({ idle: pace, lifetime: pace }),
        await born({ userId }),
      ];
      const unknown = fresh();
      await reached(expired.endsAt);
      for (const { id } of [alive, expired, unknown]) await store.revoke(id);
      await store.revoke(alive.id);
      await store.revokeUser(userId);
      await reached((await store.now()) + 2500);
      for (const { id } of [alive, expired, unknown, listed]) {
        assert.equal(await store.create(fresh({ id })), false);
      }
    },

    "of any number of concurrent revokes of one session, one says true": (scene) =>
      rounds(scene, 15, async ({ store, other, born, user }, random) => {
        const { id, userId } = await born({ userId: user() });
        const revokes = [store, other, store, other, store].map((each) => () => each.revoke(id));
        const answers = await race(scene, random, revokes);
        assert.equal(countOf(answers, true), 1);
        assert.equal(await store.read(id), null);
        assert.deepEqual(await store.listUser(userId!), []);
      }),

    "writes that race with a revoke bring nothing back (ASVS 7.4.1)": (scene) =>
      rounds(scene, 40, async ({ store, other, born, fresh, user }, random) => {
        const { id, userId } = await born({ userId: user() });
        const elsewhere = user();
        const writes = [
          () => store.update(id, {}),
          () => other.update(id, { data: "late" }),
          () => store.update(id, { userId: elsewhere }),
          () => other.update(id, { data: "later", userId, idle: DAY }),
          () => store.create(fresh({ id, userId })),
          () => other.update(id, { data: "late", ifVersion: 1 }),
        ];
        const revoke = async (): Promise<unknown> => {
          assert.equal(await store.revoke(id), true);
          return other.read(id);
        };
        const [afterRevoke] = await race<unknown>(scene, random, [revoke, ...writes]);
        assert.equal(afterRevoke, null, "dead as soon as the revoke was answered");
        assert.equal(await store.read(id), null, "dead after the late writes");
        assert.equal(await store.update(id, {}), "gone");
        assert.deepEqual(await store.listUser(userId!), []);
        assert.deepEqual(await store.listUser(elsewhere), []);
      }),

    "an id that is created and revoked at once ends dead": (scene) =>
      rounds(scene, 30, async ({ store, other, fresh, user }, random) => {
        const session = fresh({ userId: user() });
        const [created, revoked] = await race(scene, random, [
          () => store.create(session),
          () => other.revoke(session.id),
        ]);
        assert.equal(created, revoked, "created, then revoked; or revoked, then refused");
        assert.equal(await store.read(session.id), null);
        assert.equal(await store.create(session), false);
        assert.deepEqual(await store.listUser(session.userId!), []);
      }),
  },
};
