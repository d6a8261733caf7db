import assert from "node:assert/strict";
import { isStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";

export const rightRecord: Chapter = {
  title: "12. The right record",
  sentences: {
    "concurrent calls each get their own result, even if an id is read twice": async ({
      store,
      stored,
      user,
      id,
    }) => {
      const sessions = await Promise.all(Array.from({ length: 12 }, () => stored({ userId: user() })));
      const [first, second] = sessions;
      const wanted = [first, first, second, null, ...sessions, first, null, ...sessions.toReversed()];
      for (let turn = 0; turn < 3; turn += 1) {
        const read = await Promise.all(wanted.map((record) => store.read(record?.id ?? id())));
        assert.deepEqual(
          read,
          wanted.map((record) => record ?? null),
        );
      }
      const listed = await Promise.all(sessions.map(({ userId }) => store.listUser(userId!)));
      assert.deepEqual(
        listed,
        sessions.map((record) => [record]),
      );
    },

    "concurrent creates and revokeUsers each get their own result": async ({
      store,
      other,
      fresh,
      stored,
      user,
    }) => {
      const [alive, revoked] = [await stored(), await stored()];
      await store.revoke(revoked.id);
      const sessions = [fresh(), fresh({ id: alive.id }), fresh(), fresh({ id: revoked.id }), fresh()];
      const created = await Promise.all(sessions.map((session) => store.create(session)));
      assert.deepEqual(created, ["created", "taken", "created", "taken", "created"]);
      // So many that no other order of the results is likely to be equal.
      const users = Array.from({ length: 16 }, user);
      const counts = users.map((_, n) => n % 3);
      for (const [n, userId] of users.entries()) {
        for (let made = 0; made < counts[n]!; made += 1) await stored({ userId });
      }
      assert.deepEqual(await Promise.all(users.map((userId) => other.revokeUser(userId))), counts);
    },

    "a call that is refused for its input does not affect the calls made with it, or after it": async (
      scene,
    ) => {
      const { store, fresh, stored, user } = scene;
      const userId = user();
      const { id } = await stored({ userId });
      const valid = [
        () => store.create(fresh({ userId: user() })),
        () => store.update(id, { data: "new" }),
        () => store.revokeUser(user()),
        () => store.read(id),
      ];
      const invalid = [
        () => store.create(fresh({ idle: 0 })),
        () => store.update(id, { data: "wrong", idle: -1 }),
        () => store.revokeUser(userId, { authenticatedUpTo: -1 }),
      ];
      const calls = [...valid, ...invalid, ...valid];
      const settled = await Promise.allSettled(calls.map((call): Promise<unknown> => call()));
      for (const outcome of settled) {
        if (outcome.status === "rejected" && isStoreError(outcome.reason)) throw outcome.reason;
      }
      assert.deepEqual(
        settled.map(({ status }) => status === "fulfilled"),
        calls.map((call) => valid.includes(call)),
        "only the invalid calls reject",
      );
      for (const call of valid) await call();
      const record = await store.read(id);
      assert.deepEqual([record?.data, record?.version], ["new", 4]);
    },

    "concurrent writes each change their own session": async ({ store, other, stored, id }) => {
      const sessions = await Promise.all(Array.from({ length: 12 }, () => stored()));
      const results = await Promise.all([
        ...sessions.map((one, n) => store.update(one.id, n % 4 === 3 ? {} : { data: `data ${n}` })),
        store.update(sessions[0]!.id, { data: "late", ifVersion: 99 }),
        store.update(id(), {}),
      ]);
      assert.deepEqual(results, [...sessions.map(() => "updated"), "conflict", "gone"]);
      for (const [n, one] of sessions.entries()) {
        const { data, version } = (await other.read(one.id))!;
        assert.deepEqual([data, version], n % 4 === 3 ? [one.data, 1] : [`data ${n}`, 2]);
      }
      const revoked = await Promise.all([
        ...sessions.slice(0, 6).map((one) => store.revoke(one.id)),
        store.revoke(id()),
      ]);
      assert.deepEqual(revoked, [true, true, true, true, true, true, false]);
      for (const [n, one] of sessions.entries()) assert.equal((await other.read(one.id)) === null, n < 6);
    },
  },
};
