import assert from "node:assert/strict";
import { MAX_DURATION } from "@tenure/core";
import type { Chapter } from "../chapter.ts";
import { Unclear } from "../unclear.ts";
import { rounds, race } from "../race.ts";
import { DAY, HOUR } from "../scene.ts";

export const lifetime: Chapter = {
  title: "2. The lifetime is hard",
  sentences: {
    "no update without a lifetime moves endsAt (ASVS 7.3.2)": async ({ store, stored, user, reached }) => {
      const { id, endsAt, createdAt } = await stored({ idle: HOUR, lifetime: 3 * HOUR });
      await reached(createdAt + 10);
      for (const changes of [
        {},
        { data: "new" },
        { userId: user() },
        { idle: DAY },
        { authenticatedAt: await store.now() },
        { touch: false },
        { userId: null },
        { ifVersion: 5 },
      ]) {
        assert.equal(await store.update(id, changes), "updated");
        assert.equal((await store.read(id))?.endsAt, endsAt, JSON.stringify(changes));
      }
    },

    "expiresAt is never later than endsAt, however long the idle timeout (ASVS 7.3.2)": async ({
      store,
      stored,
    }) => {
      const record = await stored({ idle: DAY, lifetime: HOUR });
      assert.equal(record.expiresAt, record.endsAt);
      for (const idle of [2 * DAY, MAX_DURATION]) {
        assert.equal(await store.update(record.id, { idle }), "updated");
        assert.equal((await store.read(record.id))?.expiresAt, record.endsAt);
      }
    },

    "a session in constant use dies at its endsAt (ASVS 7.3.2)": async (scene) => {
      const { store, other, stored, user, timed, pace } = scene;
      const userId = user();
      const { id, endsAt } = await stored({ userId, idle: pace, lifetime: 2 * pace });
      let shown = 0;
      for (;;) {
        const changes = shown % 3 === 0 ? { idle: HOUR } : shown % 3 === 1 ? { data: `${shown}` } : {};
        const use = await timed(() => store.update(id, changes));
        if (use.to < endsAt && shown === 0 && use.result === "gone") throw new Unclear("idle for too long");
        if (use.to < endsAt) {
          assert.equal(use.result, "updated");
          shown += 1;
        }
        if (use.from >= endsAt) {
          assert.equal(use.result, "gone", `in use at ${use.from}, though it ended at ${endsAt}`);
          break;
        }
        await scene.reached(Math.min(use.to + 15, endsAt));
      }
      if (shown === 0) throw new Unclear("no use came in time");
      assert.equal(await other.read(id), null);
      assert.deepEqual(await other.listUser(userId), []);
      assert.equal(await other.revoke(id), false);
    },

    "uses that race with the end do not move it (ASVS 7.3.2)": (scene) =>
      rounds(scene, 6, async ({ store, other, stored, reached, pace }, random) => {
        const { id, endsAt } = await stored({ idle: HOUR, lifetime: pace });
        await reached(endsAt - 8);
        const uses = Array.from({ length: 10 }, (_, n) => {
          const at = endsAt - 8 + random.below(12);
          return async () => {
            await reached(at);
            return (n % 2 ? store : other).update(id, n % 3 ? { idle: DAY } : { data: "late" });
          };
        });
        await race<unknown>(scene, random, uses);
        await reached(endsAt);
        assert.equal(await store.read(id), null);
        assert.equal(await other.update(id, {}), "gone");
      }),

    "a lifetime in an update restarts endsAt from now, longer or shorter": async (scene) => {
      const { store, other, stored, timed, reached } = scene;
      const before = await stored({ idle: HOUR, lifetime: DAY });
      await reached(before.createdAt + 20);
      for (const [n, lifetimeOf] of [2 * DAY, HOUR / 2, DAY].entries()) {
        const login = await timed(() => store.update(before.id, { lifetime: lifetimeOf }));
        assert.equal(login.result, "updated");
        const record = await other.read(before.id);
        assert.ok(record);
        const { endsAt, expiresAt, touchedAt } = record;
        assert.ok(
          login.from + lifetimeOf <= endsAt && endsAt <= login.to + lifetimeOf,
          `endsAt is ${endsAt}`,
        );
        assert.equal(expiresAt, Math.min(touchedAt + HOUR, endsAt));
        assert.deepEqual([record.createdAt, record.version], [before.createdAt, n + 2]);
      }
    },

    "a lifetime with touch false restarts endsAt and not the idle timeout": async ({
      store,
      stored,
      reached,
    }) => {
      const before = await stored();
      await reached(before.touchedAt + 20);
      assert.equal(await store.update(before.id, { lifetime: DAY, touch: false }), "updated");
      const record = await store.read(before.id);
      assert.ok(record && record.endsAt > before.endsAt);
      assert.deepEqual([record.touchedAt, record.expiresAt], [before.touchedAt, before.expiresAt]);
      assert.equal(await store.update(before.id, { lifetime: HOUR / 2, touch: false }), "updated");
      const shortened = await store.read(before.id);
      assert.equal(shortened?.touchedAt, before.touchedAt);
      assert.equal(shortened.expiresAt, shortened.endsAt, "expiresAt is never later than endsAt");
    },

    "a session whose lifetime was restarted outlives the endsAt that it had, and is listed and ended (ASVS 7.4.2)":
      async (scene) => {
        const { store, other, stored, user, inTime, reached, pace } = scene;
        const userId = user();
        const { id, endsAt } = await stored({ userId, lifetime: pace });
        const login = await inTime(endsAt, () => store.update(id, { lifetime: DAY }));
        assert.equal(login.result, "updated");
        await reached(endsAt + 50);
        const record = await other.read(id);
        assert.ok(record, `dead after its first endsAt, ${endsAt}`);
        assert.deepEqual(await other.listUser(userId), [record]);
        assert.equal(await other.revokeUser(userId), 1);
      },

    "a session dies at the end of the lifetime that an update gave (ASVS 7.3.2)": async (scene) => {
      const { store, other, stored, timed, inTime, reached, pace } = scene;
      const { id } = await stored();
      const login = await timed(() => store.update(id, { lifetime: pace, idle: HOUR }));
      assert.equal(login.result, "updated");
      const { result: record } = await inTime(login.from + pace, () => other.read(id));
      assert.ok(record);
      await reached(record.endsAt);
      assert.equal(await store.read(id), null);
      assert.equal(await store.update(id, { lifetime: DAY }), "gone");
      assert.equal(await other.read(id), null);
    },

    "an update with a lifetime that is refused moves nothing": async ({ store, stored, reached }) => {
      const before = await stored();
      await reached(before.createdAt + 5);
      assert.equal(await store.update(before.id, { lifetime: 2 * DAY, ifVersion: 7 }), "conflict");
      assert.deepEqual(await store.read(before.id), before);
    },
  },
};
