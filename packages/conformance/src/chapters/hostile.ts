import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { inspect } from "node:util";
import type { NewSession, SessionChanges, SessionRecord } from "@tenure/core";
import { isStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import { withNote } from "../note.ts";
import { together } from "../race.ts";
import { HOUR, type Scene } from "../scene.ts";

export const hostile: Chapter = {
  title: "10. Any string is safe",
  sentences: {
    "an id of any characters is stored exactly, or refused before anything is written": (scene) =>
      each(TEXTS, async (text) => {
        const { store, other, fresh } = scene;
        const id = `${scene.id()}${text}`;
        if (!(await storedOrRefused(scene, { id }))) return;
        assert.equal((await other.read(id))?.id, id);
        assert.equal(await store.update(id, { data: "new" }), "updated");
        assert.equal((await store.read(id))?.data, "new");
        assert.equal(await other.revoke(id), true);
        assert.equal(await store.read(id), null);
        assert.equal(await store.create(fresh({ id })), "taken");
      }),

    "a user of any characters is stored exactly, or refused before anything is written (ASVS 7.4.2)": (
      scene,
    ) =>
      each(TEXTS, async (text) => {
        const { store, other } = scene;
        const userId = `${scene.user()}${text}`;
        const record = await storedOrRefused(scene, { userId });
        if (!record) return;
        assert.equal(record.userId, userId);
        assert.deepEqual(await other.listUser(userId), [record]);
        const authenticatedAt = await store.now();
        assert.equal(await store.revokeUser(userId), 1);
        assert.equal(await other.read(record.id), null);
        const login = scene.fresh({ userId, authenticatedAt });
        assert.equal(await other.create(login), "fenced", "a login that began before the fence");
      }),

    "data of any characters is stored exactly, or refused before anything is written": (scene) =>
      each([...TEXTS, ...EXPRESSIONS, ""], async (data) => {
        const record = await storedOrRefused(scene, { data });
        if (record) assert.equal(record.data, data);
      }),

    "an update with any data is stored exactly, or refused and changes nothing": (scene) =>
      each([...TEXTS, ...EXPRESSIONS, ""], async (data) => {
        const { store, stored, user } = scene;
        const before = await stored({ userId: user() });
        const result = await refusable(() => store.update(before.id, { data }));
        const after = await store.read(before.id);
        if (result === REFUSED) assert.deepEqual(after, before);
        else assert.deepEqual([result, after?.data, after?.userId], ["updated", data, before.userId]);
      }),

    "an update that binds to any user is stored exactly, or refused and changes nothing": (scene) =>
      each([...TEXTS, ...EXPRESSIONS], async (text) => {
        const { store, other, stored, user } = scene;
        const userId = `${text}${user()}`;
        const before = await stored();
        const result = await refusable(() => store.update(before.id, { userId }));
        const after = await store.read(before.id);
        if (result === REFUSED) return assert.deepEqual(after, before);
        assert.deepEqual([result, after?.userId, after?.data], ["updated", userId, before.data]);
        assert.deepEqual(await other.listUser(userId), [after]);
      }),

    // These users may have other sessions, so the test lists them and never ends them.
    "text that a query language would evaluate is stored as text": (scene) =>
      each(EXPRESSIONS, async (text) => {
        const { store, stored } = scene;
        const record = await storedOrRefused(scene, { userId: text, data: text });
        if (record) assert.deepEqual([record.userId, record.data], [text, text]);
        const { id } = await stored();
        if ((await refusable(() => store.update(id, { userId: text, data: text }))) === REFUSED) return;
        const after = await store.read(id);
        assert.deepEqual([after?.userId, after?.data], [text, text]);
        assert.ok((await store.listUser(text)).some((listed) => listed.id === id));
      }),

    "ids that look alike are different sessions": (scene) =>
      each(alike(scene.id), async (ids) => {
        const { store, other } = scene;
        const records: SessionRecord[] = [];
        for (const id of ids) {
          await assertUnknown(scene, id);
          const record = await storedOrRefused(scene, { id, data: `data of ${id}` });
          if (record) records.push(record);
          else await assertUnknown(scene, id);
        }
        for (const record of records) assert.deepEqual(await other.read(record.id), record);
        const [first, ...rest] = records;
        if (!first) return;
        assert.equal(await store.revoke(first.id), true);
        for (const record of rest) assert.deepEqual(await other.read(record.id), record);
      }),

    "users that look alike are different users (ASVS 7.4.2)": (scene) =>
      each(alike(scene.user), async (users) => {
        const { store, other } = scene;
        const records: SessionRecord[] = [];
        for (const userId of users) {
          const record = await storedOrRefused(scene, { userId });
          if (record) records.push(record);
        }
        for (const record of records) assert.deepEqual(await other.listUser(record.userId!), [record]);
        const [first, ...rest] = records;
        if (!first) return;
        const authenticatedAt = await store.now();
        assert.equal(await store.revokeUser(first.userId!), 1);
        for (const record of rest) {
          assert.deepEqual(await other.read(record.id), record);
          const login = scene.fresh({ userId: record.userId, authenticatedAt });
          assert.equal(await store.create(login), "created", "the fence is another user's");
        }
      }),

    "an id is never taken for a user, nor a user for an id": async ({ store, stored, id }) => {
      const name = id();
      const asId = await stored({ id: name });
      const asUser = await stored({ userId: name });
      assert.deepEqual(await store.listUser(name), [asUser]);
      assert.equal(await store.revokeUser(name), 1);
      assert.deepEqual(await store.read(name), asId);
      assert.equal(await store.revoke(name), true);
    },

    "an id and a user that would be the same when joined stay apart": (scene) =>
      each([":", "/", "|", ",", "\u0000", "}{", "\n"], async (separator) => {
        const { store, other, user } = scene;
        const [id, userId] = [scene.id(), user()];
        const pairs = [
          [
            { userId, id: `a${separator}${id}` },
            { userId: `${userId}${separator}a`, id },
          ],
          [
            { id: `${id}${separator}b`, userId: `b${userId}` },
            { id: `${id}.`, userId: `.${separator}b${userId}` },
          ],
        ];
        for (const pair of pairs) {
          const records: SessionRecord[] = [];
          for (const given of pair) {
            const record = await storedOrRefused(scene, given);
            if (record) records.push(record);
          }
          for (const record of records) assert.deepEqual(await other.listUser(record.userId!), [record]);
          const [first, second] = records;
          if (!first?.userId || !second?.userId) continue;
          assert.equal(await store.revokeUser(first.userId), 1);
          assert.deepEqual(await store.listUser(second.userId), [second]);
        }
      }),

    "an anonymous session belongs to no user, whatever that user is called": async ({ store, stored }) => {
      const { id } = await stored({ userId: null });
      for (const userId of ["", "null", "undefined", "\u0000", "*", "%", "{}"]) {
        const listed = await refusable(() => store.listUser(userId));
        const found = listed !== REFUSED && listed.some((record) => record.id === id);
        assert.ok(!found, `listed for ${JSON.stringify(userId)}`);
      }
    },

    "the empty user is a user like any other, or is refused": async (scene) => {
      const record = await storedOrRefused(scene, { userId: "" });
      if (!record) return;
      assert.equal(record.userId, "");
      assert.ok((await scene.other.listUser("")).some(({ id }) => id === record.id));
      const { id } = await scene.stored({ userId: scene.user() });
      const result = await refusable(() => scene.store.update(id, { userId: "" }));
      if (result !== REFUSED) assert.equal((await scene.store.read(id))?.userId, "");
      const authenticatedUpTo = (await scene.store.now()) - HOUR / 2;
      const listed = await scene.store.listUser("");
      // On a backend that is in use, this user may have older sessions, which the fence would end.
      if (listed.every(({ authenticatedAt }) => authenticatedAt! > authenticatedUpTo)) {
        await scene.store.revokeUser("", { authenticatedUpTo });
        const login = scene.fresh({ userId: "", authenticatedAt: authenticatedUpTo });
        assert.equal(await scene.store.create(login), "fenced", "a login that began before the fence");
      }
      // Once they are older, they would keep the next run from setting a fence.
      for (const session of [record.id, id]) await scene.store.revoke(session);
    },

    // These users may have other sessions, so the test lists them and never ends them.
    "names that every JavaScript object has are ids and users like any others": ({ store, stored }) =>
      each(["__proto__", "constructor", "toString", "hasOwnProperty", "length"], async (name) => {
        assert.equal(await store.read(name), null);
        assert.equal(await store.update(name, {}), "gone");
        const { id } = await stored({ userId: name, data: '{"__proto__":{"polluted":true}}' });
        assert.ok((await store.listUser(name)).some((record) => record.id === id));
        assert.equal(await store.revoke(id), true);
        assert.ok(!(await store.listUser(name)).some((record) => record.id === id));
        assert.ok(!("polluted" in {}));
      }),

    "data of some megabytes is stored exactly, or refused before anything is written": (scene) =>
      each(["a".repeat(2 * 1024 ** 2), "\u00e9\u20ac\ud83d\ude00".repeat(2e5)], async (data) => {
        const { store, stored, user } = scene;
        const record = await storedOrRefused(scene, { data, userId: user() });
        if (record) assert.ok(record.data === data, `${record.data.length} of ${data.length} characters`);
        const before = await stored();
        const result = await refusable(() => store.update(before.id, { data }));
        const after = await store.read(before.id);
        assert.ok(after && after.data === (result === REFUSED ? before.data : data));
      }),

    "an id or a user of a megabyte is stored exactly, or refused before anything is written": (scene) =>
      each(["a".repeat(3000), "a".repeat(1024 ** 2)], async (long) => {
        const { store, other } = scene;
        const [id, userId] = [`${scene.id()}${long}`, `${scene.user()}${long}`];
        const authenticatedAt = await store.now();
        // They differ only in the last character: nothing may be cut off, in a fence neither.
        for (const last of ["x", "y"]) {
          const record = await storedOrRefused(scene, { id: id + last, data: last });
          if (record) assert.equal((await other.read(id + last))?.data, last);
        }
        for (const last of ["x", "y"]) {
          const record = await storedOrRefused(scene, { userId: userId + last, authenticatedAt });
          if (!record) continue;
          assert.deepEqual(
            (await other.listUser(userId + last)).map((listed) => listed.id),
            [record.id],
          );
          assert.equal(await store.revokeUser(userId + last), 1);
        }
      }),

    "a value that is not a string is refused before anything is written, or stored unchanged": (scene) =>
      each([0, 1, true, {}, ["a"], { $ne: null }, Symbol("id"), undefined], async (value) => {
        for (const field of ["userId", "data"] as const) {
          const record = await storedOrRefused(scene, { [field]: value });
          if (record) assert.deepEqual(record[field], value);
        }
      }),

    // The casts stand for a caller without types. The update changes nothing, because it may find any session.
    "a value that is not a string finds no session": (scene) =>
      each([{ $ne: null }, { $gt: "" }, {}, [], 0, null, undefined], async (value) => {
        const { store, stored, user } = scene;
        await stored({ userId: user() });
        const updated = await refusable(() => store.update(value as string, { touch: false }));
        assert.ok(updated === REFUSED || updated === "gone", `update is ${String(updated)}`);
        const read = await refusable(() => store.read(value as string));
        assert.ok(read === REFUSED || read === null);
        const listed = await refusable(() => store.listUser(value as string));
        assert.ok(listed === REFUSED || listed.length === 0);
      }),

    "revokeUser without a user ends no anonymous session": async (scene) => {
      const { id } = await scene.stored({ userId: null });
      for (const value of [null, undefined]) {
        const ended = await refusable(() => scene.store.revokeUser(value as unknown as string));
        assert.ok(ended === REFUSED || ended === 0, `revokeUser(${value}) ended ${String(ended)}`);
      }
      assert.ok(await scene.store.read(id));
    },

    "an invalid duration is refused before anything is written (ASVS 7.3.1, 7.3.2)": (scene) =>
      each([0, -1, 1.5, Number.NaN, Infinity, 2 ** 60, "3600000" as unknown as number], async (wrong) => {
        const { store, fresh, stored } = scene;
        for (const field of ["idle", "lifetime"] as const) {
          const session = fresh({ [field]: wrong });
          assert.equal(await refusable(() => store.create(session)), REFUSED, `${field} of ${wrong}`);
          assert.equal(await store.read(session.id), null);
          assert.equal(await store.create(fresh({ id: session.id })), "created", "the id is free");
        }
        const before = await stored();
        for (const field of ["idle", "lifetime"] as const) {
          const result = await refusable(() => store.update(before.id, { [field]: wrong, data: "new" }));
          assert.equal(result, REFUSED, `an update of ${field} to ${wrong}`);
        }
        assert.deepEqual(await store.read(before.id), before);
      }),

    // It could count as `true`, and keep a session alive that nobody uses.
    "a touch that is not a boolean is refused before anything is written": (scene) =>
      each(["no", "", 0, 1, null, {}], async (wrong) => {
        const { store, stored } = scene;
        const before = await stored();
        // The cast stands for a caller without types.
        for (const changes of [{ touch: wrong }, { touch: wrong, data: "new" }] as SessionChanges[]) {
          assert.equal(await refusable(() => store.update(before.id, changes)), REFUSED);
        }
        assert.deepEqual(await store.read(before.id), before);
      }),
  },
};

const TEXTS: readonly string[] = [
  "'\"`\\",
  "'; drop table sessions; --",
  "a\u0000b",
  "\u0000",
  "\r\n* \t",
  "😀👩‍👩‍👧‍👦",
  "\ud800",
  "a\udc00b",
  "\ufffd\uffff\ufeff",
  "\ufeffa",
  "{a}:{b}[c](d)*?%_^~",
  "${process.exit()}#{x}$1$&$$",
  "\u202eabc\u0301\u2028\u2029",
  " ",
  "\u007f\u0080\u00ff",
  "../../etc/passwd%00%2e",
  '{"$where":"sleep(1000)"}',
];

/** Whole values that MongoDB, a template or a parser of numbers would read as something else. */
const EXPRESSIONS: readonly string[] = [
  "$userId",
  "$data",
  "$$NOW",
  "$$ROOT",
  "$$REMOVE",
  '{"$literal":1}',
  "null",
  "undefined",
  "true",
  "0",
  "1e3",
  "9007199254740993",
  "2026-01-31T00:00:00Z",
  "NaN",
  "\\N",
  "\\x00",
  "nil",
];

/** Each line: endings that some collation, parser or encoding treats as equal. */
const ALIKE: readonly (readonly string[])[] = [
  ["abc", "ABC", "Abc"],
  ["\u00e9", "e\u0301", "e", "\u00c9"],
  ["", " ", "\t", "\u00a0", "\n"],
  ["", "\u0000", "\u0000a", "\u0000b"],
  ["\ud800", "\ud801", "\udfff", "\ufffd", "?"],
  ["1", "01", "1.0", "1e0", "+1"],
  ["ss", "\u00df", "SS"],
  ["a", "\u0430", "\uff41"],
  ["a_", "ab", "a%", "a*", "a?", "a."],
  ["\u200b", "\u200d", "\ufeff", "\u00ad", ""],
  ["%20", " ", "+"],
  ["\\n", "\n", "\\\\n"],
];

/** Returns groups of names that are alike. */
function alike(name: () => string): readonly (readonly string[])[] {
  const endings = ALIKE.map((variants) => {
    const common = name();
    return variants.map((variant) => `${common}${variant}`);
  });
  const number = String(randomInt(1e13, 1e14));
  // A column of numbers, or one without a type, would store them as equal.
  const numbers = [number, `0${number}`, `+${number}`, ` ${number}`, `${number}.0`, `${number}e0`];
  const doubles = [`${number}00001`, `${number}00002`];
  return [...endings, numbers, doubles];
}

/** Judges all items concurrently. A failure names its item. */
async function each<Item>(items: readonly Item[], judge: (item: Item) => Promise<void>): Promise<void> {
  await together(
    items.map(async (item) => {
      try {
        await judge(item);
      } catch (error) {
        if (isStoreError(error)) throw error;
        throw withNote(error, `It fails for ${inspect(item, { maxStringLength: 60 })}`);
      }
    }),
  );
}

/** Creates a session and reads it. `null` if the create was refused; then nothing was written. */
async function storedOrRefused(scene: Scene, given: Partial<NewSession>): Promise<SessionRecord | null> {
  const { store, fresh } = scene;
  const session = fresh(given);
  let tries = 0;
  const result = await refusable(() => {
    tries += 1;
    return store.create(session);
  });
  if (result === REFUSED) {
    await assertUnknown(scene, session.id);
    const { userId } = session;
    const listed = userId === null ? [] : await refusable(() => store.listUser(userId));
    assert.ok(listed === REFUSED || !listed.some(({ id }) => id === session.id));
    return null;
  }
  // After a rejection, "taken" may mean that the earlier create took effect.
  if (tries === 1) assert.equal(result, "created", "create of a new id");
  const record = await store.read(session.id);
  assert.ok(record, "a session that was created is live");
  assert.ok(record.id === session.id);
  return record;
}

async function assertUnknown({ store }: Scene, id: string): Promise<void> {
  const record = await refusable(() => store.read(id));
  assert.ok(record === REFUSED || record === null);
}

const REFUSED: unique symbol = Symbol("refused");

/** Returns the result. `REFUSED`: the call rejected with a StoreError every time, or with another error. */
async function refusable<Result>(call: () => Promise<Result>): Promise<Result | typeof REFUSED> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await call();
    } catch (error) {
      assert.ok(error instanceof Error, "what is thrown is an Error");
      if (!isStoreError(error) || tries === 6) return REFUSED;
    }
  }
}
