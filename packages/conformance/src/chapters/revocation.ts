import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Chapter } from "../chapter.ts";
import { countOf, race, rounds } from "../race.ts";
import { DAY } from "../scene.ts";

export const revocation: Chapter = {
  title: "3. No resurrection",
  sentences: {
    "revoke ends a live session and returns true (ASVS 7.4.1)": async ({ store, stored }) => {
      const { id } = await stored();
      assert.equal(await store.revoke(id), true);
      assert.equal(await store.read(id), null);
    },

    "a revoked session is immediately dead to every process (ASVS 7.4.1, 7.5.2)": async (scene) => {
      const { store, other, stored, user } = scene;
      const { id, userId } = await stored({ userId: user() });
      assert.ok(await other.read(id), "the other process has just read it");
      await store.revoke(id);
      assert.equal(await other.read(id), null);
      assert.equal(await other.update(id, {}), "gone");
      assert.deepEqual(await other.listUser(userId!), []);
      assert.equal(await other.revoke(id), false);
      assert.equal(await other.revokeUser(userId!), 0);
    },

    "revoke of a session that is not alive returns false": async ({ store, stored, id, reached, pace }) => {
      const revoked = await stored();
      await store.revoke(revoked.id);
      assert.equal(await store.revoke(revoked.id), false, "revoked before");
      assert.equal(await store.revoke(id()), false, "unknown");
      const expired = await stored({ idle: pace });
      await reached(expired.expiresAt);
      assert.equal(await store.revoke(expired.id), false, "expired");
    },

    "a session that is about to expire is ended like any other (ASVS 7.4.1)": async (scene) => {
      const { store, other, stored, user, inTime, reached, pace } = scene;
      const userId = user();
      const sessions = [await stored({ idle: pace }), await stored({ idle: pace, userId })];
      const expiresAt = Math.min(...sessions.map((session) => session.expiresAt));
      await reached(expiresAt - pace / 5);
      const ends = await inTime(expiresAt, async () => {
        const ended = [await store.revoke(sessions[0]!.id), await store.revokeUser(userId)];
        return [...ended, ...(await Promise.all(sessions.map(({ id }) => other.update(id, {}))))];
      });
      assert.deepEqual(ends.result, [true, 1, "gone", "gone"]);
    },

    "no update brings a revoked session back (ASVS 7.4.1)": async ({ store, other, stored, user }) => {
      const { id, version } = await stored({ userId: user() });
      const newUser = user();
      await store.revoke(id);
      for (const changes of [
        {},
        { data: "late" },
        { userId: newUser },
        { userId: null },
        { idle: DAY },
        { lifetime: DAY },
        { touch: false },
        { userId: newUser, authenticatedAt: await store.now() },
        { data: "late", userId: newUser, idle: DAY },
        { data: "late", ifVersion: version },
        { ifVersion: version },
      ]) {
        assert.equal(await store.update(id, changes), "gone", JSON.stringify(changes));
        assert.equal(await other.update(id, changes), "gone", JSON.stringify(changes));
      }
      assert.equal(await store.read(id), null);
      assert.deepEqual(await store.listUser(newUser), []);
    },

    "a revoked id is not created again (ASVS 7.4.1)": async ({ store, other, stored, fresh }) => {
      const { id } = await stored();
      await store.revoke(id);
      assert.equal(await store.create(fresh({ id })), "taken");
      assert.equal(await other.create(fresh({ id })), "taken");
      assert.equal(await store.read(id), null);
    },

    "an unknown id that was revoked is not created": async ({ store, other, fresh }) => {
      const session = fresh();
      await store.revoke(session.id);
      assert.equal(await other.create(session), "taken");
      assert.equal(await store.read(session.id), null);
    },

    "a tombstone outlives the session's own end, whatever ended the session (ASVS 7.4.1)": async (scene) => {
      const { store, other, stored, fresh, reached, inTime, user, pace } = scene;
      const [userId, next] = [user(), user()];
      const since = await store.now();
      await store.revokeUser(next);
      const short = { idle: pace, lifetime: pace };
      const [revoked, listed, refused] = [
        await stored(short),
        await stored({ ...short, userId }),
        await stored(short),
      ];
      const ends = await inTime(revoked.endsAt, async () => [
        await store.revoke(revoked.id),
        await other.revokeUser(userId),
        await store.update(refused.id, { userId: next, authenticatedAt: since }),
      ]);
      assert.deepEqual(ends.result, [true, 1, "fenced"]);
      await reached(refused.endsAt + 50);
      for (const [name, { id }] of Object.entries({ revoked, listed, refused })) {
        assert.equal(await store.create(fresh({ id })), "taken", name);
        assert.equal(await other.read(id), null);
      }
    },

    "an expired session that was revoked is not created again": async (scene) => {
      const { store, stored, fresh, reached, pace } = scene;
      const { id, endsAt } = await stored({ idle: pace, lifetime: pace });
      await reached(endsAt);
      await store.revoke(id);
      assert.equal(await store.create(fresh({ id })), "taken");
      assert.equal(await store.read(id), null);
    },

    "tombstones and fences still exist seconds later, whatever was revoked and however often (ASVS 7.4.1)":
      async (scene) => {
        const { store, stored, fresh, reached, pace, user } = scene;
        const userId = user();
        const [alive, expired, listed, refused] = [
          await stored(),
          await stored({ idle: pace, lifetime: pace }),
          await stored({ userId }),
          await stored(),
        ];
        const login = { userId, authenticatedAt: await store.now() };
        const unknown = fresh();
        await reached(expired.endsAt);
        for (const { id } of [alive, expired, unknown]) await store.revoke(id);
        await store.revoke(alive.id);
        await store.revokeUser(userId);
        assert.equal(await store.update(refused.id, login), "fenced");
        await reached((await store.now()) + 2500);
        for (const [name, { id }] of Object.entries({ alive, expired, unknown, listed, refused })) {
          assert.equal(await store.create(fresh({ id })), "taken", `${name} when it was revoked`);
        }
        assert.equal(await store.create(fresh(login)), "fenced", "a login that began before the fence");
      },

    "of concurrent revokes of one session, one returns true": (scene) =>
      rounds(scene, 15, async ({ store, other, stored, user }, random) => {
        const { id, userId } = await stored({ userId: user() });
        const revokes = [store, other, store, other, store].map((each) => () => each.revoke(id));
        const results = await race(scene, random, revokes);
        assert.equal(countOf(results, true), 1);
        assert.equal(await store.read(id), null);
        assert.deepEqual(await store.listUser(userId!), []);
      }),

    "a session once seen revoked stays dead, even if writes race with its revoke (ASVS 7.4.1)": (scene) =>
      rounds(scene, 20, async ({ store, other, stored, user, latency }, random) => {
        const userId = user();
        const { id } = await stored({ userId });
        // The order in which calls begin and resolve, as this process sees it.
        let step = 0;
        const seen: { began: number; ended: number; isAlive: boolean }[] = [];
        const look = async (call: () => Promise<boolean>): Promise<void> => {
          const began = (step += 1);
          const isAlive = await call();
          seen.push({ began, ended: (step += 1), isAlive });
        };
        const looks = [
          async () => (await store.read(id)) !== null,
          async () => (await other.read(id)) !== null,
          async () => (await store.listUser(userId)).length > 0,
          async () => (await other.update(id, { data: "late" })) === "updated",
          async () => (await store.update(id, {})) === "updated",
        ];
        const looking = async (): Promise<void> => {
          for (let n = 0; n < 8; n += 1) {
            await look(random.pick(looks));
            await sleep(random.below(2) * latency);
          }
        };
        await race<unknown>(scene, random, [
          looking,
          looking,
          looking,
          () => (random.below(2) ? store.revoke(id) : other.revokeUser(userId)),
        ]);
        for (const last of looks) await look(last);
        const dead = Math.min(...seen.filter(({ isAlive }) => !isAlive).map(({ ended }) => ended));
        const revived = seen.filter(({ isAlive, began }) => isAlive && began > dead);
        assert.deepEqual(revived, [], "alive after it was seen dead");
      }),

    "writes that race with a revoke bring nothing back (ASVS 7.4.1)": (scene) =>
      rounds(scene, 40, async ({ store, other, stored, fresh, user }, random) => {
        const { id, userId } = await stored({ userId: user() });
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
        assert.equal(afterRevoke, null, "dead as soon as the revoke has resolved");
        assert.equal(await store.read(id), null, "dead after the late writes");
        assert.equal(await store.update(id, {}), "gone");
        assert.deepEqual(await store.listUser(userId!), []);
        assert.deepEqual(await store.listUser(elsewhere), []);
      }),

    "an id that is created and revoked concurrently ends up dead": (scene) =>
      rounds(scene, 30, async ({ store, other, fresh, user }, random) => {
        const session = fresh({ userId: user() });
        const [created, revoked] = await race<unknown>(scene, random, [
          () => store.create(session),
          () => other.revoke(session.id),
        ]);
        assert.equal(created === "created", revoked, "created, then revoked; or revoked, then refused");
        assert.equal(await store.read(session.id), null);
        assert.equal(await store.create(session), "taken");
        assert.deepEqual(await store.listUser(session.userId!), []);
      }),
  },
};
