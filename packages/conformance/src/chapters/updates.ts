import assert from "node:assert/strict";
import type { NewSession, RevokeUserOptions, SessionChanges } from "@tenure/core";
import { ignoreStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import { countOf, race, rounds } from "../race.ts";
import { DAY, HOUR } from "../scene.ts";

export const updates: Chapter = {
  title: "7. Updates are atomic",
  sentences: {
    "an update changes the fields that it names and no others": async (scene) => {
      const { store, other, stored, user, reached } = scene;
      const userId = user();
      let before = await stored({ userId });
      for (const change of combinations([userId, user(), null])) {
        const wanted = JSON.stringify(change);
        // Otherwise, an update in the same millisecond would not show that it ignores `touch: false`.
        if (change.touch === false) await reached(before.touchedAt + 1);
        assert.equal(await store.update(before.id, change), "updated", wanted);
        const after = await other.read(before.id);
        assert.ok(after);
        const { lifetime, touch, ...named } = change;
        const { version, expiresAt, authenticatedAt } = after;
        const touchedAt = touch === false ? before.touchedAt : after.touchedAt;
        const endsAt = lifetime === undefined ? before.endsAt : after.endsAt;
        const others = { version, expiresAt, authenticatedAt, touchedAt, endsAt };
        assert.deepEqual(after, { ...before, ...named, ...others }, wanted);
        before = after;
      }
    },

    "an optional field that is undefined is absent": async ({ store, other, user, fresh, reached }) => {
      const userId = user();
      // The casts stand for a caller without types.
      const session = { ...fresh({ userId }), authenticatedAt: undefined } as unknown as NewSession;
      assert.equal(await store.create(session), "created");
      const before = await other.read(session.id);
      assert.ok(before);
      const fields = ["data", "userId", "idle", "lifetime", "authenticatedAt", "touch", "ifVersion"];
      const absent = Object.fromEntries(fields.map((field) => [field, undefined])) as SessionChanges;
      await reached(before.touchedAt + 1);
      assert.equal(await store.update(session.id, absent), "updated");
      const touched = await other.read(session.id);
      assert.ok(touched && touched.touchedAt > before.touchedAt);
      const { touchedAt, expiresAt } = touched;
      assert.deepEqual(touched, { ...before, touchedAt, expiresAt });
      assert.equal(await store.update(session.id, { ...absent, data: "new", touch: false }), "updated");
      const version = before.version + 1;
      assert.deepEqual(await other.read(session.id), { ...touched, data: "new", version });
      const options = { except: undefined, authenticatedUpTo: undefined } as unknown as RevokeUserOptions;
      assert.equal(await store.revokeUser(userId, options), 1);
    },

    "the version is 1 at first and grows by 1 with data, userId, lifetime or authenticatedAt, changed or not":
      async ({ store, stored, user }) => {
        const userId = user();
        const { id, version } = await stored({ userId, data: "same" });
        assert.equal(version, 1);
        const changes = [
          { data: "same" },
          { data: "new" },
          { userId },
          { userId: null },
          { authenticatedAt: await store.now() },
          { data: "x", userId },
          { userId },
          { authenticatedAt: 1 + (await store.now()) - HOUR / 2 },
          { lifetime: DAY },
          { data: "x", userId, lifetime: DAY, authenticatedAt: await store.now() },
          { touch: false, data: "x" },
        ];
        for (const [index, change] of changes.entries()) {
          await store.update(id, change);
          assert.equal((await store.read(id))?.version, index + 2, JSON.stringify(change));
        }
      },

    "the version never grows with a touch or a new idle timeout": async ({ store, stored }) => {
      const { id } = await stored();
      await store.update(id, {});
      await store.update(id, { idle: 2 * HOUR });
      await store.update(id, { touch: false });
      await store.update(id, { ifVersion: 1 });
      assert.equal((await store.read(id))?.version, 1);
    },

    "an update with the stored version succeeds": async ({ store, stored }) => {
      const { id } = await stored();
      assert.equal(await store.update(id, { data: "two", ifVersion: 1 }), "updated");
      assert.equal(await store.update(id, { data: "three", ifVersion: 2 }), "updated");
      const record = await store.read(id);
      assert.deepEqual([record?.data, record?.version], ["three", 3]);
    },

    "versions beyond 256 are exact, and still conflict": async ({ store, other, stored }) => {
      const { id } = await stored();
      for (let version = 1, tries = 0; version < 250;) {
        assert.ok((tries += 1) < 1000, "the version does not grow");
        const result = await store.update(id, { data: "x", ifVersion: version }).catch(ignoreStoreError);
        // A rejected call may take effect later, so that this one is a conflict.
        version = result === "updated" ? version + 1 : (await other.read(id))!.version;
      }
      for (let version = 250; version < 270; version += 1) {
        const changes = { data: `${version}`, ifVersion: version };
        assert.equal(await (version % 2 ? store : other).update(id, changes), "updated");
        assert.equal((await other.read(id))?.version, version + 1);
      }
      // 14 and 526 differ from 270 by 256.
      for (const ifVersion of [1, 14, 269, 271, 526]) {
        assert.equal(await store.update(id, { data: "late", ifVersion }), "conflict");
      }
      const record = await other.read(id);
      assert.deepEqual([record?.data, record?.version], ["269", 270]);
    },

    "an update with another version is a conflict and changes nothing": async ({
      store,
      stored,
      user,
      reached,
    }) => {
      const { id } = await stored({ userId: user() });
      await store.update(id, { data: "two" });
      const before = await store.read(id);
      assert.ok(before);
      await reached(before.touchedAt + 5);
      for (const ifVersion of [1, 3, 100]) {
        const changes = { data: "late", userId: user(), idle: 2 * HOUR, lifetime: DAY, ifVersion };
        assert.equal(await store.update(id, changes), "conflict");
        assert.equal(await store.update(id, { ifVersion }), "conflict");
      }
      assert.deepEqual(await store.read(id), before);
    },

    "a version that no session can have is never the stored one": async ({ store, stored }) => {
      const before = await stored();
      // The cast stands for a caller without types.
      for (const ifVersion of [0, -1, 1.5, Number.NaN, null as unknown as number]) {
        const result = await store.update(before.id, { data: "late", ifVersion }).catch(refusal);
        assert.ok(result === "conflict" || result === "refused", `ifVersion ${ifVersion} is ${result}`);
      }
      assert.deepEqual(await store.read(before.id), before);
    },

    "gone wins over conflict": async ({ store, stored, id, reached, pace }) => {
      const expired = await stored({ idle: pace });
      const revoked = await stored();
      await store.revoke(revoked.id);
      assert.equal(await store.update(revoked.id, { data: "late", ifVersion: 7 }), "gone");
      assert.equal(await store.update(id(), { data: "late", ifVersion: 7 }), "gone");
      await reached(expired.expiresAt);
      assert.equal(await store.update(expired.id, { data: "late", ifVersion: 7 }), "gone");
    },

    "of concurrent updates with one version, exactly one succeeds and the others conflict": (scene) =>
      rounds(scene, 40, async ({ store, other, stored }, random) => {
        const { id } = await stored();
        const texts = ["a", "b", "c", "d", "e", "f"];
        const results = await race(
          scene,
          random,
          texts.map((data, index) => () => (index % 2 ? store : other).update(id, { data, ifVersion: 1 })),
        );
        assert.equal(countOf(results, "updated"), 1);
        assert.equal(countOf(results, "conflict"), texts.length - 1);
        const record = await store.read(id);
        assert.deepEqual([record?.data, record?.version], [texts[results.indexOf("updated")], 2]);
      }),

    "concurrent updates without a version all succeed, one after the other": (scene) =>
      rounds(scene, 30, async ({ store, other, stored }, random) => {
        const { id } = await stored();
        const texts = ["a", "b", "c", "d", "e"];
        const results = await race(
          scene,
          random,
          texts.map((data, index) => () => (index % 2 ? store : other).update(id, { data })),
        );
        assert.equal(countOf(results, "updated"), texts.length);
        const record = await store.read(id);
        assert.equal(record?.version, 1 + texts.length);
        assert.ok(record && texts.includes(record.data));
      }),

    "a concurrent touch causes no conflict": (scene) =>
      rounds(scene, 25, async ({ store, other, stored }, random) => {
        const { id } = await stored();
        const [result] = await race(scene, random, [
          () => store.update(id, { data: "new", ifVersion: 1 }),
          ...[store, other, store, other].map((each) => () => each.update(id, {})),
        ]);
        assert.equal(result, "updated");
      }),

    "concurrent updates of different fields are all kept": (scene) =>
      rounds(scene, 40, async ({ store, other, stored, user }, random) => {
        const { id } = await stored();
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

    "an update is read whole or not at all": (scene) =>
      rounds(scene, 30, async ({ store, other, stored, user }, random) => {
        const steps = [0, 1, 2, 3].map((n) => ({ data: `${n}`, userId: user(), idle: HOUR + n }));
        const { id } = await stored(steps[0]);
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
      rounds(scene, 6, async ({ store, other, stored }, random) => {
        const { id } = await stored({ data: "0" });
        const count = async (by: typeof store): Promise<void> => {
          for (let made = 0; made < 3;) {
            const record = await by.read(id);
            assert.ok(record);
            const changes = { data: `${Number(record.data) + 1}`, ifVersion: record.version };
            const result = await by.update(id, changes);
            assert.notEqual(result, "gone");
            if (result === "updated") made += 1;
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

/** Returns an update of each combination of fields, for each user. The values differ from one to the next. */
function combinations(users: readonly (string | null)[]): SessionChanges[] {
  return Array.from({ length: 16 * (users.length + 1) }, (_, at) => {
    const fields: readonly SessionChanges[] = [
      { data: at % 5 === 0 ? "" : `data ${at}` },
      { idle: HOUR + at },
      { lifetime: DAY + at },
      { touch: false },
    ];
    const chosen = fields.filter((_field, bit) => (at & (1 << bit)) > 0);
    const userId = users[Math.floor(at / 16) % (users.length + 1)];
    return Object.assign({}, ...chosen, userId === undefined ? {} : { userId }) as SessionChanges;
  });
}
