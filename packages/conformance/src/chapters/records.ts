import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { MAX_DURATION, type SessionRecord } from "@tenure/core";
import { assertWithin } from "../assertions.ts";
import type { Chapter } from "../chapter.ts";
import { Unclear } from "../unclear.ts";
import { HOUR } from "../scene.ts";

/** Tests what the fields of a record mean. Every other chapter builds on this one. */
export const records: Chapter = {
  title: "A record shows what is stored",
  sentences: {
    "the two stores that `open` returns share one backend": async ({ other, stored }) => {
      const { id } = await stored();
      assert.ok(
        await other.read(id),
        "`open` must return stores that share one backend, as two processes would",
      );
    },

    "a session is read as it was created": async ({ store, fresh, user, timed }) => {
      const session = fresh({
        userId: user(),
        data: '{"cart":["a","b"]}',
        idle: 1_234_567,
        lifetime: 89_012_345,
      });
      const created = await timed(() => store.create(session));
      assert.equal(created.result, "created");
      const record = await store.read(session.id);
      assert.ok(record);
      assert.deepEqual(
        {
          id: record.id,
          userId: record.userId,
          data: record.data,
          idle: record.idle,
          version: record.version,
        },
        { id: session.id, userId: session.userId, data: session.data, idle: session.idle, version: 1 },
      );
      assertWithin(record.createdAt, created, "createdAt");
      assertWithin(record.touchedAt, created, "touchedAt");
      assertConsistent(record);
      assert.equal(record.endsAt, record.createdAt + session.lifetime);
      assertWithin(record.authenticatedAt, created, "authenticatedAt");
    },

    "a session without a user has the user null": async ({ store, stored }) => {
      const { id } = await stored({ userId: null });
      assert.equal((await store.read(id))?.userId, null);
    },

    "every process reads the same record": async ({ store, other, stored, user }) => {
      const { id } = await stored({ userId: user() });
      assert.deepEqual(await other.read(id), await store.read(id));
    },

    "a record has the fields of the contract and no others": async ({ stored, user }) => {
      const record = await stored({ userId: user() });
      assert.deepEqual(Object.keys(record).toSorted(), FIELDS);
    },

    "reading is not a use: it moves neither touchedAt nor expiresAt (ASVS 7.3.1)": async (scene) => {
      const { store, other, stored, reached, user } = scene;
      const before = await stored({ userId: user() });
      await reached(before.touchedAt + 20);
      await store.read(before.id);
      await other.listUser(before.userId!);
      assert.deepEqual(await store.read(before.id), before);
    },

    "a touch counts at an instant of its call and moves touchedAt and expiresAt alone": async (scene) => {
      const { store, stored, user, timed, reached } = scene;
      const before = await stored({ userId: user() });
      await reached(before.touchedAt + 20);
      const touch = await timed(() => store.update(before.id, {}));
      assert.equal(touch.result, "updated");
      const after = await store.read(before.id);
      assert.ok(after);
      assertWithin(after.touchedAt, touch, "touchedAt");
      const { touchedAt, expiresAt } = after;
      assert.equal(expiresAt, touchedAt + before.idle);
      assert.deepEqual(after, { ...before, touchedAt, expiresAt });
    },

    "a session that is written many times keeps its createdAt": async ({ store, stored, user, reached }) => {
      const before = await stored();
      await reached(before.createdAt + 5);
      await store.update(before.id, { data: "1" });
      await store.update(before.id, { userId: user() });
      await store.update(before.id, { idle: 2 * HOUR, lifetime: 3 * HOUR });
      await store.update(before.id, {});
      assert.equal((await store.read(before.id))?.createdAt, before.createdAt);
    },

    "long durations, from 25 days to a hundred years, are stored exactly": async ({ store, stored }) => {
      for (const duration of [2 ** 31, 2 ** 32 + 1, MAX_DURATION]) {
        const record = await stored({ idle: duration, lifetime: duration });
        assert.equal(record.idle, duration);
        assert.equal(record.expiresAt, record.touchedAt + duration);
        assert.equal(record.endsAt, record.createdAt + duration);
        const { id } = await stored();
        assert.equal(await store.update(id, { idle: duration, lifetime: duration }), "updated");
        const { idle, touchedAt, expiresAt, endsAt } = (await store.read(id))!;
        assert.deepEqual([idle, expiresAt, endsAt], [duration, touchedAt + duration, touchedAt + duration]);
        // The suite must not leave sessions behind for so long.
        for (const each of [record.id, id]) await store.update(each, { idle: 1000, lifetime: 1000 });
      }
    },

    "the shortest duration is a millisecond, and expires on the millisecond": async (scene) => {
      const { store, fresh, timed, latency, tried } = scene;
      for (let n = 0; n < 8; n += 1) {
        const session = fresh({ idle: 1 });
        const created = await timed(() => store.create(session));
        assert.equal(created.result, "created");
        let read = await timed(() => store.read(session.id));
        while (read.from <= created.to) read = await timed(() => store.read(session.id));
        assert.equal(read.result, null, `created at ${created.to} at the latest, and alive at ${read.from}`);
        // A longer timeout would have ended by now, too.
        if (read.to - created.from > 12 + 8 * latency && tried < 3000) {
          throw new Unclear("the read came too late", { tooSlow: false });
        }
      }
    },

    "a record never changes after it was returned, and no change to an argument or a record is stored":
      async (scene) => {
        const { store, fresh, user } = scene;
        const userId = user();
        const session = fresh({ userId, data: "first" });
        assert.equal(await store.create(session), "created");
        Reflect.set(session, "data", "the caller's");
        const returned = [await store.read(session.id), ...(await store.listUser(userId))];
        const before = structuredClone(returned);
        assert.deepEqual(
          returned.map((record) => record?.data),
          ["first", "first"],
        );
        const changes = { data: "second" };
        assert.equal(await store.update(session.id, changes), "updated");
        changes.data = "the caller's";
        assert.deepEqual(returned, before, "records that were returned before the update");
        for (const record of returned) Reflect.set(record!, "data", "the caller's");
        const after = await store.read(session.id);
        assert.deepEqual([after?.data, after?.version], ["second", 2]);
      },

    "now() is whole epoch milliseconds and advances as time does": async ({ store, other, tried }) => {
      const began = performance.now();
      const first = await store.now();
      const resolved = performance.now();
      await sleep(100);
      const asked = performance.now();
      const second = await other.now();
      const ended = performance.now();
      assert.ok(
        Number.isSafeInteger(first) && Number.isSafeInteger(second),
        `${first} and ${second} are whole`,
      );
      const least = 0.9 * (asked - resolved) - 5;
      const most = 1.1 * (ended - began) + 5;
      const passed = second - first;
      // A machine's clock may be set occasionally, but not in every attempt.
      if ((passed < least || passed > most) && tried < 3000)
        throw new Unclear("the store's clock was set", { tooSlow: false });
      assert.ok(passed >= least && passed <= most, `${passed} ms passed, not ${least} to ${most}`);
    },

    "now() is the clock of the instants in records": async ({ store, other, fresh, reached }) => {
      const before = await other.now();
      const session = fresh();
      await store.create(session);
      const created = await other.now();
      await reached(created + 5);
      const later = await store.now();
      await other.update(session.id, {});
      const touched = await store.now();
      const record = await store.read(session.id);
      assert.ok(record);
      assertWithin(record.createdAt, { from: before, to: created }, "createdAt");
      assertWithin(record.touchedAt, { from: later, to: touched }, "touchedAt");
    },
  },
};

const FIELDS = [
  "authenticatedAt",
  "createdAt",
  "data",
  "endsAt",
  "expiresAt",
  "id",
  "idle",
  "touchedAt",
  "userId",
  "version",
];

function assertConsistent({ expiresAt, touchedAt, idle, endsAt }: SessionRecord): void {
  assert.equal(expiresAt, Math.min(touchedAt + idle, endsAt), "expiresAt is min(touchedAt + idle, endsAt)");
}
