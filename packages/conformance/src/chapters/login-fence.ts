import assert from "node:assert/strict";
import { assertWithin } from "../assertions.ts";
import { isStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import { TOMBSTONE_MINIMUM } from "../model.ts";
import { race, rounds } from "../race.ts";
import { HOUR } from "../scene.ts";

export const loginFence: Chapter = {
  title: "4. Revoke-all is complete: the login fence",
  sentences: {
    "a login that began before revokeUser is refused after it (ASVS 7.4.2)": async (scene) => {
      const { store, other, user, fresh, stored } = scene;
      const userId = user();
      const anonymous = await stored();
      const anothers = await stored({ userId: user() });
      const authenticatedAt = await other.now();
      await store.revokeUser(userId);
      const created = fresh({ userId, authenticatedAt });
      assert.equal(await other.create(created), "fenced");
      assert.equal(await other.read(created.id), null);
      for (const { id } of [anonymous, anothers]) {
        assert.equal(await other.update(id, { userId, authenticatedAt, data: "late" }), "fenced");
        assert.equal(await store.read(id), null);
      }
      assert.deepEqual(await store.listUser(userId), []);
    },

    "a login that overlaps revokeUser and began before it is refused or ended (ASVS 7.4.2)": (scene) =>
      rounds(scene, 50, async ({ store, other, user, fresh, stored }, random) => {
        const userId = user();
        await stored({ userId });
        const bound = [await stored(), await stored({ userId: user() })];
        const created = [fresh({ userId }), fresh({ userId })];
        const authenticatedAt = await store.now();
        const results = await race<unknown>(scene, random, [
          () => store.revokeUser(userId),
          ...created.map((session) => () => other.create({ ...session, authenticatedAt })),
          ...bound.map(
            ({ id }) =>
              () =>
                other.update(id, { userId, authenticatedAt }),
          ),
        ]);
        assert.ok(
          results
            .slice(1)
            .every((one) => ["created", "updated", "fenced", "taken", "gone"].includes(String(one))),
        );
        for (const { id } of [...created, ...bound]) assert.equal(await store.read(id), null);
        assert.deepEqual(await other.listUser(userId), []);
        assert.equal(await other.revokeUser(userId), 0);
      }),

    "a login that begins after revokeUser is accepted: the clock is past the fence": (scene) =>
      rounds(scene, 30, async ({ store, other, user, fresh, stored }) => {
        const userId = user();
        const { id } = await stored();
        await store.revokeUser(userId);
        const authenticatedAt = await other.now();
        const session = fresh({ userId, authenticatedAt });
        assert.equal(await other.create(session), "created");
        assert.equal((await store.read(session.id))?.authenticatedAt, authenticatedAt);
        assert.equal(await store.update(id, { userId, authenticatedAt }), "updated");
        assert.equal((await other.read(id))?.authenticatedAt, authenticatedAt);
      }),

    "a create or a binding without authenticatedAt counts as made after every fence so far": (scene) =>
      rounds(scene, 15, async ({ store, other, user, fresh, stored }) => {
        const userId = user();
        const { id } = await stored();
        const began = await store.now();
        await store.revokeUser(userId);
        const session = fresh({ userId });
        assert.equal(await other.create(session), "created");
        assert.equal(await other.update(id, { userId }), "updated");
        const listed = await store.listUser(userId);
        assert.deepEqual(listed.map((record) => record.id).toSorted(), [id, session.id].toSorted());
        assert.ok(listed.every(({ authenticatedAt }) => authenticatedAt !== null && authenticatedAt > began));
      }),

    "a session created or bound during a revokeUser is within reach of the next one": (scene) =>
      rounds(scene, 40, async ({ store, other, user, fresh, stored }, random) => {
        const userId = user();
        const { id } = await stored();
        const session = fresh({ userId });
        await race<unknown>(scene, random, [
          () => store.revokeUser(userId),
          async () => {
            await other.create(session);
            await other.update(id, { userId });
            await other.revokeUser(userId);
            assert.equal(await other.read(session.id), null);
            assert.equal(await other.read(id), null);
          },
        ]);
        assert.deepEqual(await store.listUser(userId), []);
      }),

    "a fence refuses a login at its instant and accepts one a millisecond later": async (scene) => {
      const { store, other, user, fresh, stored } = scene;
      const userId = user();
      const [refused, accepted] = [await stored(), await stored()];
      const fence = (await store.now()) - HOUR / 6;
      assert.equal(await store.revokeUser(userId, { authenticatedUpTo: fence }), 0);
      for (const authenticatedAt of [fence - HOUR / 6, fence - 1, fence]) {
        const result = await other.create(fresh({ userId, authenticatedAt }));
        assert.equal(result, "fenced", `at ${authenticatedAt}, and the fence is ${fence}`);
      }
      assert.equal(await other.create(fresh({ userId, authenticatedAt: fence + 1 })), "created");
      assert.equal(await other.update(refused.id, { userId, authenticatedAt: fence }), "fenced");
      assert.equal(await other.update(accepted.id, { userId, authenticatedAt: fence + 1 }), "updated");
      assert.equal((await store.listUser(userId)).length, 2);
    },

    "authenticatedUpTo ends only sessions that were authenticated at or before it": async (scene) => {
      const { store, other, user, stored } = scene;
      const userId = user();
      const upTo = (await store.now()) - HOUR / 6;
      const older = await stored({ userId, authenticatedAt: upTo - 1 });
      assert.equal(await store.revokeUser(userId, { authenticatedUpTo: 0 }), 0, "the instant 0");
      const equal = await stored({ userId, authenticatedAt: upTo });
      const newer = await stored({ userId, authenticatedAt: upTo + 1 });
      const newest = await stored({ userId });
      assert.equal(await other.revokeUser(userId, { authenticatedUpTo: upTo }), 2);
      assert.equal(await store.read(older.id), null);
      assert.equal(await store.read(equal.id), null);
      assert.deepEqual(await store.read(newer.id), newer);
      assert.deepEqual(await store.read(newest.id), newest);
    },

    "an authenticatedUpTo in the future is a TypeError and ends nothing": async (scene) => {
      const { store, other, user, stored, fresh } = scene;
      const userId = user();
      const session = await stored({ userId });
      const authenticatedAt = await store.now();
      const authenticatedUpTo = authenticatedAt + HOUR;
      await assertTypeError(() => store.revokeUser(userId, { authenticatedUpTo }));
      assert.deepEqual(await other.read(session.id), session);
      assert.equal(await other.create(fresh({ userId, authenticatedAt })), "created", "no fence was written");
    },

    "an instant that is not epoch milliseconds is a TypeError, before anything is written": async (scene) => {
      const { store, user, stored, fresh } = scene;
      const userId = user();
      const before = await stored({ userId });
      for (const instant of [-1, 1.5, Number.NaN, Infinity, "1"] as number[]) {
        await assertTypeError(() => store.revokeUser(userId, { authenticatedUpTo: instant }));
        const session = fresh({ userId, authenticatedAt: instant });
        await assertTypeError(() => store.create(session));
        assert.equal(await store.read(session.id), null);
        await assertTypeError(() => store.update(before.id, { authenticatedAt: instant, data: "new" }));
      }
      await assertTypeError(() => store.create(fresh({ userId: null, authenticatedAt: 1 })));
      await assertTypeError(() => store.update(before.id, { userId: null, authenticatedAt: 1 }));
      assert.deepEqual(await store.listUser(userId), [before]);
    },

    "a later revokeUser never lowers the fence": async (scene) => {
      const { store, other, user, fresh, stored } = scene;
      const userId = user();
      const { id } = await stored();
      const authenticatedAt = await store.now();
      await store.revokeUser(userId);
      await other.revokeUser(userId, { authenticatedUpTo: authenticatedAt - HOUR / 6 });
      assert.equal(await store.create(fresh({ userId, authenticatedAt })), "fenced");
      assert.equal(await store.update(id, { userId, authenticatedAt }), "fenced");
    },

    "of concurrent calls of revokeUser the latest fence remains": (scene) =>
      rounds(scene, 25, async ({ store, other, user, fresh }, random) => {
        const userId = user();
        const authenticatedAt = await store.now();
        const older = { authenticatedUpTo: authenticatedAt - HOUR / 6 };
        await race(scene, random, [
          () => store.revokeUser(userId),
          () => other.revokeUser(userId, older),
          () => store.revokeUser(userId, older),
        ]);
        assert.equal(await other.create(fresh({ userId, authenticatedAt })), "fenced");
      }),

    "a login older than the tombstone minimum is refused, whether or not there is a fence": async (scene) => {
      const { store, other, user, fresh, stored } = scene;
      const userId = user();
      for (const authenticatedAt of [(await store.now()) - TOMBSTONE_MINIMUM - 1000, 0]) {
        const anonymous = await stored();
        const own = await stored({ userId });
        const session = fresh({ userId, authenticatedAt });
        assert.equal(await store.create(session), "fenced", `a create with ${authenticatedAt}`);
        assert.equal(await other.read(session.id), null);
        for (const { id } of [anonymous, own]) {
          const result = await store.update(id, { userId, authenticatedAt });
          assert.equal(result, "fenced", `an update with ${authenticatedAt}`);
          assert.equal(await other.read(id), null);
        }
        assert.deepEqual(await store.listUser(userId), []);
      }
    },

    "a login within the tombstone minimum is accepted if there is no fence": async (scene) => {
      const { store, user, stored } = scene;
      const userId = user();
      const authenticatedAt = (await store.now()) - TOMBSTONE_MINIMUM + HOUR / 6;
      const created = await stored({ userId, authenticatedAt });
      assert.equal(created.authenticatedAt, authenticatedAt);
      const { id } = await stored();
      assert.equal(await store.update(id, { userId, authenticatedAt }), "updated");
      assert.equal((await store.read(id))?.authenticatedAt, authenticatedAt);
    },

    "a fence concerns one user alone (ASVS 7.4.5)": async ({ store, user, fresh, stored }) => {
      const [userId, next] = [user(), user()];
      const { id } = await stored({ userId: next });
      const authenticatedAt = await store.now();
      await store.revokeUser(userId);
      assert.equal(await store.create(fresh({ userId: next, authenticatedAt })), "created");
      assert.equal(await store.create(fresh({ userId: `${userId}0`, authenticatedAt })), "created");
      assert.equal(await store.update(id, { userId: user(), authenticatedAt }), "updated");
    },

    "an update that was refused has ended the session, as revoke would": async (scene) => {
      const { store, other, user, fresh, stored } = scene;
      const [userId, former] = [user(), user()];
      const { id } = await stored({ userId: former });
      const authenticatedAt = await store.now();
      await store.revokeUser(userId);
      assert.equal(await store.update(id, { userId, authenticatedAt }), "fenced");
      for (const each of [store, other]) {
        assert.equal(await each.read(id), null);
        assert.equal(await each.update(id, { data: "late" }), "gone");
        assert.equal(await each.create(fresh({ id })), "taken");
        assert.deepEqual(await each.listUser(former), []);
        assert.deepEqual(await each.listUser(userId), []);
      }
      assert.equal(await other.revokeUser(former), 0);
      assert.equal(await other.revoke(id), false);
    },

    "a create that was refused leaves nothing readable": async ({ store, other, user, fresh }) => {
      const userId = user();
      const authenticatedAt = await store.now();
      await store.revokeUser(userId);
      const session = fresh({ userId, authenticatedAt });
      assert.equal(await store.create(session), "fenced");
      for (const each of [store, other]) {
        assert.equal(await each.read(session.id), null);
        assert.equal(await each.update(session.id, {}), "gone");
        assert.deepEqual(await each.listUser(userId), []);
        assert.equal(await each.revokeUser(userId), 0);
      }
      assert.equal(await other.revoke(session.id), false);
    },

    "taken wins over fenced, and conflict and gone do too": async ({ store, user, fresh, stored, id }) => {
      const userId = user();
      const alive = await stored();
      const revoked = await stored();
      await store.revoke(revoked.id);
      const authenticatedAt = await store.now();
      await store.revokeUser(userId);
      const binding = { userId, authenticatedAt };
      assert.equal(await store.create(fresh({ id: alive.id, ...binding })), "taken");
      assert.equal(await store.create(fresh({ id: revoked.id, ...binding })), "taken");
      assert.equal(await store.update(alive.id, { ...binding, ifVersion: 7 }), "conflict");
      assert.equal(await store.update(id(), binding), "gone");
      assert.equal(await store.update(revoked.id, binding), "gone");
      assert.deepEqual(await store.read(alive.id), alive);
    },

    "the session in `except` survives revokeUser, and setting the same user again is not a binding": async (
      scene,
    ) => {
      const { store, other, user, stored } = scene;
      const userId = user();
      const { id, authenticatedAt } = await stored({ userId });
      const since = await store.now();
      await store.revokeUser(userId, { except: id });
      for (const changes of [{ userId, data: "new" }, { userId }, { data: "newer" }, {}]) {
        assert.equal(await other.update(id, changes), "updated");
        assert.equal((await store.read(id))?.authenticatedAt, authenticatedAt);
      }
      assert.equal(await other.update(id, { userId, authenticatedAt: since }), "updated", "it is the user's");
      assert.equal((await store.read(id))?.authenticatedAt, since);
      assert.equal(await store.revokeUser(userId), 1, "and within reach of the next revokeUser");
    },

    "the session in `except` is fenced like any other once it has left its user": async (scene) => {
      const { store, other, user, stored } = scene;
      const userId = user();
      const { id } = await stored({ userId });
      const authenticatedAt = await store.now();
      await store.revokeUser(userId, { except: id });
      assert.equal(await other.update(id, { userId: null }), "updated");
      assert.equal(await other.update(id, { userId, authenticatedAt }), "fenced");
      assert.equal(await store.read(id), null);
    },

    "the session in `except` lives through revokeUser, whatever is written meanwhile": (scene) =>
      rounds(scene, 25, async ({ store, other, user, stored }, random) => {
        const userId = user();
        const current = await stored({ userId });
        const since = await store.now();
        const [count, ...results] = await race<unknown>(scene, random, [
          () => store.revokeUser(userId, { except: current.id }),
          () => other.update(current.id, { userId, data: "new" }),
          () => store.update(current.id, { authenticatedAt: since }),
          () => other.update(current.id, {}),
        ]);
        assert.deepEqual([count, ...results], [0, "updated", "updated", "updated"]);
        assert.deepEqual(await other.listUser(userId), [await store.read(current.id)]);
      }),

    "authenticatedAt is null exactly while a session has no user": async ({ store, other, user, stored }) => {
      const { id, authenticatedAt } = await stored();
      assert.equal(authenticatedAt, null);
      assert.equal(await store.update(id, { authenticatedAt: await store.now() }), "updated");
      const anonymous = await other.read(id);
      assert.deepEqual([anonymous?.authenticatedAt, anonymous?.version], [null, 2], "it stays anonymous");
      await store.update(id, { userId: user() });
      assert.equal(typeof (await other.read(id))?.authenticatedAt, "number");
      await store.update(id, { userId: null });
      assert.equal((await other.read(id))?.authenticatedAt, null);
    },

    "authenticatedAt is stored exactly, and counts as now if it is absent or in the future": async (
      scene,
    ) => {
      const { store, user, fresh, stored, timed } = scene;
      const given = (await store.now()) - 1234;
      assert.equal((await stored({ userId: user(), authenticatedAt: given })).authenticatedAt, given);
      for (const late of [{}, { authenticatedAt: given + HOUR }]) {
        const session = fresh({ userId: user(), ...late });
        const created = await timed(() => store.create(session));
        assert.equal(created.result, "created");
        assertWithin((await store.read(session.id))?.authenticatedAt, created, "authenticatedAt");
        const { id } = await stored();
        const bound = await timed(() => store.update(id, { userId: user(), ...late }));
        assert.equal(bound.result, "updated");
        assertWithin((await store.read(id))?.authenticatedAt, bound, "authenticatedAt");
      }
    },

    "authenticatedAt never decreases while the session has a user": async (scene) => {
      const { store, other, user, stored } = scene;
      const now = await store.now();
      const { id, userId } = await stored({ userId: user(), authenticatedAt: now - 5000 });
      for (const [given, expected] of [
        [now - 9000, now - 5000],
        [now - 5000, now - 5000],
        [now - 3000, now - 3000],
        [now - 4000, now - 3000],
      ] as const) {
        assert.equal(await store.update(id, { authenticatedAt: given }), "updated");
        assert.equal((await other.read(id))?.authenticatedAt, expected);
      }
      await store.update(id, { userId, authenticatedAt: now - 4000 });
      assert.equal((await other.read(id))?.authenticatedAt, now - 3000);
      await store.update(id, { userId: user(), authenticatedAt: now - 4000 });
      assert.equal((await other.read(id))?.authenticatedAt, now - 3000, "even when the user changes");
    },
  },
};

/** Lets a StoreError pass: the backend failed. */
async function assertTypeError(call: () => Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => {
    if (isStoreError(error)) throw error;
    return error instanceof TypeError;
  });
}
