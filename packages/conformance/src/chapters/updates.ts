import assert from "node:assert/strict";
import type { SessionChanges } from "@tenure/core";
import type { Chapter } from "../chapter.ts";
import { countOf, race, rounds } from "../race.ts";
import { HOUR } from "../scene.ts";

export const updates: Chapter = {
  title: "7. Updates are atomic",
  sentences: {
    "an update changes what it names and leaves the rest": async ({ store, other, born, user }) => {
      const userId = user();
      const changes: readonly SessionChanges[] = [
        { data: "new" },
        { userId },
        { userId: null },
        { idle: 2 * HOUR },
        { data: "newer", userId, idle: 3 * HOUR },
        { data: "" },
      ];
      let before = await born({ userId: user() });
      for (const change of changes) {
        assert.equal(await store.update(before.id, change), "updated");
        const after = await other.read(before.id);
        assert.ok(after);
        const { version, touchedAt, expiresAt } = after;
        assert.deepEqual(after, { ...before, ...change, version, touchedAt, expiresAt });
        before = after;
      }
    },

    "the version is 1 at first and grows by 1 with data or userId, the same value or not": async ({
      store,
      born,
      user,
    }) => {
      const userId = user();
      const { id, version } = await born({ userId, data: "same" });
      assert.equal(version, 1);
      const changes = [
        { data: "same" },
        { data: "new" },
        { userId },
        { userId: null },
        { data: "x", userId },
      ];
      for (const [index, change] of changes.entries()) {
        await store.update(id, change);
        assert.equal((await store.read(id))?.version, index + 2);
      }
    },

    "the version never grows with a touch or a new idle timeout": async ({ store, born }) => {
      const { id } = await born();
      await store.update(id, {});
      await store.update(id, { idle: 2 * HOUR });
      await store.update(id, { ifVersion: 1 });
      assert.equal((await store.read(id))?.version, 1);
    },

    "an update with the version that is stored is made": async ({ store, born }) => {
      const { id } = await born();
      assert.equal(await store.update(id, { data: "two", ifVersion: 1 }), "updated");
      assert.equal(await store.update(id, { data: "three", ifVersion: 2 }), "updated");
      const record = await store.read(id);
      assert.deepEqual([record?.data, record?.version], ["three", 3]);
    },

    "an update with another version is a conflict and changes nothing": async ({
      store,
      born,
      user,
      reached,
    }) => {
      const { id } = await born({ userId: user() });
      await store.update(id, { data: "two" });
      const before = await store.read(id);
      assert.ok(before);
      await reached(before.touchedAt + 5);
      for (const ifVersion of [1, 3, 100]) {
        const changes = { data: "late", userId: user(), idle: 2 * HOUR, ifVersion };
        assert.equal(await store.update(id, changes), "conflict");
        assert.equal(await store.update(id, { ifVersion }), "conflict");
      }
      assert.deepEqual(await store.read(id), before);
    },

    "a version that no session ever has is never the one that is stored": async ({ store, born }) => {
      const before = await born();
      for (const ifVersion of [0, -1]) {
        const answer = await store.update(before.id, { data: "late", ifVersion }).catch(refusal);
        assert.ok(answer === "conflict" || answer === "refused", `ifVersion ${ifVersion} is ${answer}`);
      }
      assert.deepEqual(await store.read(before.id), before);
    },

    "gone wins over conflict": async ({ store, born, id, reached, pace }) => {
      const expired = await born({ idle: pace });
      const revoked = await born();
      await store.revoke(revoked.id);
      assert.equal(await store.update(revoked.id, { data: "late", ifVersion: 7 }), "gone");
      assert.equal(await store.update(id(), { data: "late", ifVersion: 7 }), "gone");
      await reached(expired.expiresAt);
      assert.equal(await store.update(expired.id, { data: "late", ifVersion: 7 }), "gone");
    },

    "of concurrent updates with one version, one is made and the others conflict": (scene) =>
      rounds(scene, 40, async ({ store, other, born }, random) => {
        const { id } = await born();
        const texts = ["a", "b", "c", "d", "e", "f"];
        const answers = await race(
          scene,
          random,
          texts.map((data, index) => () => (index % 2 ? store : other).update(id, { data, ifVersion: 1 })),
        );
        assert.equal(countOf(answers, "updated"), 1);
        assert.equal(countOf(answers, "conflict"), texts.length - 1);
        const record = await store.read(id);
        assert.deepEqual([record?.data, record?.version], [texts[answers.indexOf("updated")], 2]);
      }),

    "concurrent updates without a version are all made, one after the other": (scene) =>
      rounds(scene, 30, async ({ store, other, born }, random) => {
        const { id } = await born();
        const texts = ["a", "b", "c", "d", "e"];
        const answers = await race(
          scene,
          random,
          texts.map((data, index) => () => (index % 2 ? store : other).update(id, { data })),
        );
        assert.equal(countOf(answers, "updated"), texts.length);
        const record = await store.read(id);
        assert.equal(record?.version, 1 + texts.length);
        assert.ok(record && texts.includes(record.data));
      }),

    "concurrent updates of different fields all stay": (scene) =>
      rounds(scene, 40, async ({ store, other, born, user }, random) => {
        const { id } = await born();
        const userId = user();
        await race(scene, random, [
          () => store.update(id, { data: "new" }),
          () => other.update(id, { userId }),
          () => store.update(id, { idle: 2 * HOUR }),
          () => other.update(id, {}),
          () => store.update(id, {}),
        ]);
        const record = await store.read(id);
        assert.deepEqual(
          [record?.data, record?.userId, record?.idle, record?.version],
          ["new", userId, 2 * HOUR, 3],
        );
        assert.equal(record?.expiresAt, record!.touchedAt + 2 * HOUR);
      }),

    "an update is seen whole or not at all": (scene) =>
      rounds(scene, 30, async ({ store, other, born, user }, random) => {
        const steps = [0, 1, 2, 3].map((n) => ({ data: `${n}`, userId: user(), idle: HOUR + n }));
        const { id } = await born(steps[0]);
        const whole = async (): Promise<unknown> => {
          const record = await other.read(id);
          const step = steps[Number(record?.data)];
          assert.deepEqual([record?.userId, record?.idle], [step?.userId, step?.idle]);
          return record?.version;
        };
        const writes = steps.slice(1).map((step) => () => store.update(id, step));
        await race<unknown>(scene, random, [whole, ...writes, whole, whole, whole, whole]);
        await whole();
      }),

    "counting with versions loses no count": (scene) =>
      rounds(scene, 6, async ({ store, other, born }, random) => {
        const { id } = await born({ data: "0" });
        const count = async (by: typeof store): Promise<void> => {
          for (let made = 0; made < 3;) {
            const record = await by.read(id);
            assert.ok(record);
            const changes = { data: `${Number(record.data) + 1}`, ifVersion: record.version };
            const answer = await by.update(id, changes);
            assert.notEqual(answer, "gone");
            if (answer === "updated") made += 1;
          }
        };
        await race(scene, random, [() => count(store), () => count(other), () => count(store)]);
        const record = await store.read(id);
        assert.deepEqual([record?.data, record?.version], ["9", 10]);
      }),
  },
};

function refusal(error: unknown): "refused" {
  if (error instanceof TypeError || error instanceof RangeError) return "refused";
  throw error;
}
