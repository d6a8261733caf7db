import assert from "node:assert/strict";
import type { SessionRecord } from "@tenure/core";
import type { Chapter } from "../chapter.ts";
import { countOf, race, rounds } from "../race.ts";
import type { Scene } from "../scene.ts";

export const revokeAll: Chapter = {
  title: "4. Revoke-all is complete",
  sentences: {
    "revokeUser ends every session of the user and returns their number (ASVS 7.4.2)": async (scene) => {
      const { store, other, user } = scene;
      const userId = user();
      const sessions = await several(scene, userId, 5);
      for (const { id } of sessions) assert.ok(await other.read(id));
      assert.equal(await store.revokeUser(userId), 5);
      for (const { id } of sessions) {
        assert.equal(await other.read(id), null);
        assert.equal(await other.update(id, { data: "late" }), "gone");
        assert.equal(await other.revoke(id), false);
      }
      assert.deepEqual(await other.listUser(userId), []);
    },

    "a session that revokeUser ended is not created again (ASVS 7.4.2)": async (scene) => {
      const { store, other, user, fresh } = scene;
      const userId = user();
      const sessions = await several(scene, userId, 2);
      await store.revokeUser(userId);
      for (const { id } of sessions) {
        assert.equal(await other.create(fresh({ id, userId })), "taken");
        assert.equal(await other.read(id), null);
      }
    },

    "revokeUser leaves other users and anonymous sessions alone (ASVS 7.4.5)": async ({
      store,
      stored,
      user,
    }) => {
      const userId = user();
      await stored({ userId });
      const others = [
        await stored({ userId: user() }),
        await stored({ userId: null }),
        await stored({ userId: `${userId}0` }),
        await stored({ userId: userId.slice(0, -1) }),
        await stored({ userId: userId.toUpperCase() }),
        await stored({ data: JSON.stringify({ userId }) }),
      ];
      assert.equal(await store.revokeUser(userId), 1);
      for (const record of others) assert.deepEqual(await store.read(record.id), record);
    },

    "revokeUser leaves the session in `except` alone (ASVS 7.4.3)": async (scene) => {
      const { store, other, user } = scene;
      const userId = user();
      const [current, ...rest] = await several(scene, userId, 4);
      assert.ok(current);
      assert.equal(await store.revokeUser(userId, { except: current.id }), 3);
      assert.deepEqual(await other.read(current.id), current);
      assert.deepEqual(await other.listUser(userId), [current]);
      for (const { id } of rest) assert.equal(await other.read(id), null);
    },

    "`except` spares neither older nor newer sessions (ASVS 7.4.3)": async (scene) => {
      const { store, stored, user, reached } = scene;
      const userId = user();
      const sessions: SessionRecord[] = [];
      for (let n = 0; n < 3; n += 1) {
        const session = await stored({ userId });
        sessions.push(session);
        await reached(session.createdAt + 5);
      }
      const [older, current, newer] = sessions;
      assert.equal(await store.revokeUser(userId, { except: current!.id }), 2);
      assert.equal(await store.read(older!.id), null);
      assert.equal(await store.read(newer!.id), null);
      assert.deepEqual(await store.listUser(userId), [current]);
    },

    "an `except` that is not a session of the user keeps none alive (ASVS 7.4.3)": async (scene) => {
      const { store, stored, user, id } = scene;
      const userId = user();
      await several(scene, userId, 2);
      assert.equal(await store.revokeUser(userId, { except: id() }), 2, "an unknown id");
      const stranger = await stored({ userId: user() });
      await several(scene, userId, 2);
      assert.equal(await store.revokeUser(userId, { except: stranger.id }), 2, "another user's session");
      assert.ok(await store.read(stranger.id), "it lives on");
      for (const alike of [(one: string) => one.slice(0, -1), (one: string) => one.toUpperCase()]) {
        const [one] = await several(scene, userId, 2);
        const except = alike(one!.id);
        assert.equal(await store.revokeUser(userId, { except }), 2, `${except} is not ${one!.id}`);
      }
    },

    "revokeUser without `except` ends the session that was excepted before": async (scene) => {
      const { store, user } = scene;
      const userId = user();
      const [current] = await several(scene, userId, 3);
      await store.revokeUser(userId, { except: current!.id });
      assert.equal(await store.revokeUser(userId), 1);
      assert.equal(await store.read(current!.id), null);
    },

    "revokeUser of a user without sessions returns 0": async ({ store, user, stored }) => {
      const userId = user();
      assert.equal(await store.revokeUser(userId), 0, "never had one");
      await stored({ userId });
      await store.revokeUser(userId);
      assert.equal(await store.revokeUser(userId), 0, "all were ended earlier");
    },

    "revokeUser counts neither expired nor revoked sessions": async (scene) => {
      const { store, stored, user, reached, pace } = scene;
      const userId = user();
      const expired = await stored({ userId, idle: pace });
      const revoked = await stored({ userId });
      await several(scene, userId, 2);
      await store.revoke(revoked.id);
      await reached(expired.expiresAt);
      assert.equal(await store.revokeUser(userId), 2);
    },

    "revokeUser ends sessions that an update has bound to the user (ASVS 7.4.2)": async ({
      store,
      other,
      stored,
      user,
    }) => {
      const userId = user();
      const anonymous = await stored();
      const former = await stored({ userId: user() });
      assert.equal(await store.update(anonymous.id, { userId }), "updated");
      assert.equal(await other.update(former.id, { userId, data: "new" }), "updated");
      assert.equal(await store.revokeUser(userId), 2);
      assert.equal(await store.read(anonymous.id), null);
      assert.equal(await store.read(former.id), null);
    },

    "revokeUser leaves sessions alone that an update has taken from the user": async ({
      store,
      other,
      stored,
      user,
    }) => {
      const userId = user();
      const next = user();
      const rebound = await stored({ userId });
      const unbound = await stored({ userId });
      assert.equal(await store.update(rebound.id, { userId: next }), "updated");
      assert.equal(await other.update(unbound.id, { userId: null }), "updated");
      assert.equal(await store.revokeUser(userId), 0);
      assert.equal((await store.read(rebound.id))?.userId, next);
      assert.equal((await store.read(unbound.id))?.userId, null);
    },

    "a session created after revokeUser lives: the user can log in again": async ({
      store,
      stored,
      user,
    }) => {
      const userId = user();
      await stored({ userId });
      await store.revokeUser(userId);
      const next = await stored({ userId });
      assert.deepEqual(await store.listUser(userId), [next]);
    },

    "sessions that existed before revokeUser began are dead, whatever is written meanwhile (ASVS 7.4.2)": (
      scene,
    ) =>
      rounds(scene, 25, async ({ store, other, user }, random) => {
        const userId = user();
        const sessions = await several(scene, userId, 4);
        const late = sessions.flatMap(({ id }, index) => [
          () => (index % 2 ? store : other).update(id, { data: "late" }),
          () => (index % 2 ? other : store).update(id, {}),
        ]);
        const results = await race<unknown>(scene, random, [() => store.revokeUser(userId), ...late]);
        assert.equal(results[0], 4);
        for (const { id } of sessions) assert.equal(await store.read(id), null);
        assert.deepEqual(await store.listUser(userId), []);
      }),

    "a session created or bound during revokeUser is dead, or readable and listed (ASVS 7.4.2)": (scene) =>
      rounds(scene, 40, async ({ store, other, stored, fresh, user }, random) => {
        const userId = user();
        await stored({ userId });
        const unbound = [await stored(), await stored({ userId: user() })];
        const created = [fresh({ userId }), fresh({ userId })];
        await race<unknown>(scene, random, [
          () => store.revokeUser(userId),
          ...created.map((session) => () => other.create(session)),
          ...unbound.map(
            ({ id }) =>
              () =>
                store.update(id, { userId }),
          ),
        ]);
        const alive: string[] = [];
        for (const { id } of [...created, ...unbound]) if (await store.read(id)) alive.push(id);
        const listed = (await other.listUser(userId)).map(({ id }) => id);
        assert.deepEqual(listed.toSorted(), alive.toSorted(), "every readable session is listed");
        assert.equal(await other.revokeUser(userId), alive.length, "and the next revokeUser ends it");
        for (const id of alive) assert.equal(await store.read(id), null);
      }),

    "a session that changes its user during revokeUser is ended as the first user's or lives as the second's":
      (scene) =>
        rounds(scene, 40, async ({ store, other, stored, user }, random) => {
          const userId = user();
          const next = user();
          const { id } = await stored({ userId });
          const [count, rebound] = await race<unknown>(scene, random, [
            () => store.revokeUser(userId),
            () => other.update(id, { userId: next }),
          ]);
          const record = await store.read(id);
          if (rebound === "updated") {
            assert.equal(count, 0, "not counted");
            assert.equal(record?.userId, next, "not ended once it is the second user's");
            assert.deepEqual(await other.listUser(next), [record]);
            assert.equal(await store.revokeUser(next), 1);
          } else {
            assert.deepEqual([count, rebound, record], [1, "gone", null]);
            assert.deepEqual(await other.listUser(next), []);
          }
          assert.deepEqual(await other.listUser(userId), []);
        }),

    "each session is counted by the one call that ended it": (scene) =>
      rounds(scene, 30, async ({ store, other, user }, random) => {
        const userId = user();
        const sessions = await several(scene, userId, 4);
        const [first, second, ...single] = await race<number | boolean>(scene, random, [
          () => store.revokeUser(userId),
          () => other.revokeUser(userId),
          () => store.revoke(sessions[0]!.id),
          () => other.revoke(sessions[1]!.id),
        ]);
        assert.equal(Number(first) + Number(second) + countOf(single, true), sessions.length);
      }),

    "two sessions that each end all others leave at most one (ASVS 7.4.3)": (scene) =>
      rounds(scene, 20, async ({ store, other, user }, random) => {
        const userId = user();
        const [first, second, third] = await several(scene, userId, 3);
        await race(scene, random, [
          () => store.revokeUser(userId, { except: first!.id }),
          () => other.revokeUser(userId, { except: second!.id }),
        ]);
        assert.equal(await store.read(third!.id), null);
        assert.deepEqual(await store.listUser(userId), [], "each ended the other");
      }),
  },
};

async function several({ stored }: Scene, userId: string, count: number): Promise<SessionRecord[]> {
  return Promise.all(Array.from({ length: count }, () => stored({ userId })));
}
