import assert from "node:assert/strict";
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
