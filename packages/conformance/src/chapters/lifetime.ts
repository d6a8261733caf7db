import assert from "node:assert/strict";
import { MAX_DURATION } from "@tenure/core";
import type { Chapter } from "../chapter.ts";
import { Unclear } from "../unclear.ts";
import { rounds, race } from "../race.ts";
import { DAY, HOUR } from "../scene.ts";

export const lifetime: Chapter = {
  title: "2. The lifetime is hard",
  sentences: {
    "nothing that is called moves endsAt (ASVS 7.3.2)": async ({ store, born, user, reached }) => {
      const { id, endsAt, createdAt } = await born({ idle: HOUR, lifetime: 3 * HOUR });
      await reached(createdAt + 10);
      for (const changes of [
        {},
        { data: "new" },
        { userId: user() },
        { idle: DAY },
        { userId: null },
        { ifVersion: 4 },
      ]) {
        assert.equal(await store.update(id, changes), "updated");
        assert.equal((await store.read(id))?.endsAt, endsAt);
      }
    },

    "expiresAt is never later than endsAt, however long the idle timeout (ASVS 7.3.2)": async ({
      store,
      born,
    }) => {
      const record = await born({ idle: DAY, lifetime: HOUR });
      assert.equal(record.expiresAt, record.endsAt);
      for (const idle of [2 * DAY, MAX_DURATION]) {
        assert.equal(await store.update(record.id, { idle }), "updated");
        assert.equal((await store.read(record.id))?.expiresAt, record.endsAt);
      }
    },

    "a session in constant use dies at its endsAt (ASVS 7.3.2)": async (scene) => {
      const { store, other, born, user, timed, pace } = scene;
      const userId = user();
      const { id, endsAt } = await born({ userId, idle: pace, lifetime: 2 * pace });
      let shown = 0;
      for (;;) {
        const changes = shown % 3 === 0 ? { idle: HOUR } : shown % 3 === 1 ? { data: `${shown}` } : {};
        const use = await timed(() => store.update(id, changes));
        if (use.to < endsAt && shown === 0 && use.answer === "gone") throw new Unclear("idle for too long");
        if (use.to < endsAt) {
          assert.equal(use.answer, "updated");
          shown += 1;
        }
        if (use.from >= endsAt) {
          assert.equal(use.answer, "gone", `in use at ${use.from}, though it ended at ${endsAt}`);
          break;
        }
        await scene.reached(Math.min(use.to + 15, endsAt));
      }
      if (shown === 0) throw new Unclear("no use was answered in time");
      assert.equal(await other.read(id), null);
      assert.deepEqual(await other.listUser(userId), []);
      assert.equal(await other.revoke(id), false);
    },

    "uses that race with the end don't move it (ASVS 7.3.2)": (scene) =>
      rounds(scene, 6, async ({ store, other, born, reached, pace }, random) => {
        const { id, endsAt } = await born({ idle: HOUR, lifetime: pace });
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

    "a session that continues another keeps its createdAt and its endsAt (ASVS 7.2.4, 7.3.2)": async (
      scene,
    ) => {
      const { store, fresh, born, timed, reached } = scene;
      const first = await born({ idle: HOUR, lifetime: DAY });
      await reached(first.createdAt + 20);
      const next = fresh({ idle: HOUR, lifetime: DAY, createdAt: first.createdAt });
      const created = await timed(() => store.create(next));
      assert.equal(created.answer, true);
      const record = await store.read(next.id);
      assert.ok(record);
      assert.deepEqual([record.createdAt, record.endsAt], [first.createdAt, first.endsAt]);
      assert.ok(created.from <= record.touchedAt && record.touchedAt <= created.to, "but is used now");
      assert.equal(record.expiresAt, record.touchedAt + HOUR);
      assert.equal(record.version, 1);
    },

    "a session that continues an old one dies at the old one's end (ASVS 7.3.2)": async (scene) => {
      const { store, fresh, timed, reached, pace } = scene;
      const now = await store.now();
      const session = fresh({ createdAt: now - DAY + pace, lifetime: DAY });
      const endsAt = now + pace;
      const created = await timed(() => store.create(session));
      if (created.to >= endsAt) throw new Unclear("the create came too late");
      assert.equal(created.answer, true);
      const { answer: record, to } = await timed(() => store.read(session.id));
      if (to >= endsAt) throw new Unclear("the read came too late");
      assert.ok(record);
      assert.deepEqual([record.endsAt, record.expiresAt], [endsAt, endsAt]);
      await reached(endsAt);
      assert.equal(await store.read(session.id), null);
      assert.equal(await store.update(session.id, {}), "gone");
    },

    "a createdAt at the very beginning of the epoch is one": async ({ store, born }) => {
      const { id } = await born({ createdAt: 0, lifetime: MAX_DURATION });
      const record = await store.read(id);
      assert.deepEqual([record?.createdAt, record?.endsAt], [0, MAX_DURATION]);
    },

    "a createdAt that is later than the store's clock counts as now (ASVS 7.3.2)": async ({
      store,
      fresh,
      timed,
    }) => {
      const session = fresh({ createdAt: (await store.now()) + HOUR, lifetime: DAY });
      const created = await timed(() => store.create(session));
      assert.equal(created.answer, true);
      const record = await store.read(session.id);
      assert.ok(record);
      assert.ok(created.from <= record.createdAt && record.createdAt <= created.to);
      assert.equal(record.endsAt, record.createdAt + DAY);
    },

    "a session whose end has passed already is not created, and nothing is written": async (scene) => {
      const { store, other, fresh, user } = scene;
      const userId = user();
      const now = await store.now();
      for (const [createdAt, lifetimeOf] of [
        [now - 2 * HOUR, HOUR],
        [now - HOUR, HOUR],
        [now - DAY, 1],
      ] as const) {
        const session = fresh({ userId, createdAt, lifetime: lifetimeOf, idle: DAY });
        assert.equal(await store.create(session), false);
        assert.equal(await other.read(session.id), null);
        assert.equal(await other.update(session.id, {}), "gone");
        assert.deepEqual(await other.listUser(userId), []);
        const next = fresh({ id: session.id });
        assert.equal(await store.create(next), true, "the id is as free as before");
      }
    },
  },
};
