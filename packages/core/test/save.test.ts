import { memoryStore, Sessions } from "@tenure/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { counted } from "./counted.ts";
import { interleaved, seeds } from "./interleaved.ts";

type Data = Record<string, unknown>;

describe("save", () => {
  test("of two that change different keys keeps both changes, deletions included", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({ a: 1, b: 1, c: 1, d: 1 });
    const [one, two] = [(await sessions.get(token))!, (await sessions.get(token))!];
    await sessions.save(one, { a: 2, b: 1, d: 1 });
    const saved = await sessions.save(two, { a: 1, b: 2, c: 1, e: 1 });
    expect(saved?.data).toEqual({ a: 2, b: 2, e: 1 });
    expect((await sessions.get(token))?.data).toEqual({ a: 2, b: 2, e: 1 });
  });

  test("of the same key keeps the later", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({ a: 1 });
    const [one, two] = [(await sessions.get(token))!, (await sessions.get(token))!];
    await sessions.save(one, { a: "one" });
    expect((await sessions.save(two, { a: "two" }))?.data).toEqual({ a: "two" });
  });

  test("a second time in one request deletes nobody's key", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({ a: 1 });
    const mine = (await sessions.get(token))!;
    await sessions.save((await sessions.get(token))!, { a: 1, theirs: true });
    const seen = { a: 2 };
    const saved = (await sessions.save(mine, seen))!;
    const again = await sessions.save(saved, { a: 3 }, { seen });
    expect(again?.data).toEqual({ a: 3, theirs: true });
    const withTheirs = await sessions.save(again!, { ...again!.data, b: 1 });
    expect(withTheirs?.data).toEqual({ a: 3, theirs: true, b: 1 });
  });

  test.each([
    ["revoked", (s: Sessions, token: string) => s.revoke(token)],
    ["revoked with the user's others", (s: Sessions) => s.revokeAllForUser("ada")],
    ["revoked by its id", (s: Sessions, token: string) => s.revokeById(s.idOf(token)!)],
    ["rotated", (s: Sessions, token: string) => s.rotate(token)],
    ["ended with everyone's", (s: Sessions) => s.revokeEveryone()],
  ])("of a session that was %s writes nothing and says so (ASVS 7.4.1)", async (_, end) => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({ a: 1 }, { userId: "ada" });
    const late = (await sessions.get(token))!;
    await end(sessions, token);
    const alive = await sessions.listForUser("ada");
    expect(await sessions.save(late, { a: 2 })).toBeNull();
    expect(await sessions.save(late, late.data)).toBeNull();
    expect(await sessions.save(late, late.data, { userId: "eve" })).toBeNull();
    expect(await sessions.get(token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual(alive);
    expect(await sessions.listForUser("eve")).toEqual([]);
  });

  test("is one command where nobody else saved, and writes no data where nothing changed", async () => {
    const { store, calls } = counted(memoryStore());
    const sessions = new Sessions({ store });
    const { token } = await sessions.create({ a: 1, b: 2 });
    const session = (await sessions.get(token))!;
    calls();
    await sessions.save(session, { a: 2, b: 2 });
    expect(calls()).toEqual(["update"]);
    const unchanged = (await sessions.get(token))!;
    calls();
    await sessions.save(unchanged, { b: 2, a: 2 });
    expect(calls()).toEqual(["read"]);
  });

  test("that changes nothing answers what others stored meanwhile, whether a touch is due or not", async () => {
    for (const touchEvery of [1, 60_000]) {
      const sessions = new Sessions({ store: memoryStore(), touchEvery });
      const { token, session } = await sessions.create({ a: 1 });
      await sessions.save((await sessions.get(token))!, { a: 2 });
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect((await sessions.save(session, { a: 1 }))?.data).toEqual({ a: 2 });
    }
  });

  test("takes the key __proto__, constructor and toString for keys as any", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const hostile = (text: string): Data => JSON.parse(text) as Data;
    const { token } = await sessions.create(
      hostile('{"__proto__":{"a":1},"constructor":1,"toString":1,"x":1}'),
    );
    const [one, two] = [(await sessions.get(token))!, (await sessions.get(token))!];
    await sessions.save(one, hostile('{"__proto__":{"a":2},"constructor":1,"toString":1,"x":1}'));
    const saved = await sessions.save(
      two,
      hostile('{"__proto__":{"a":1},"toString":2,"x":1,"hasOwnProperty":3}'),
    );
    expect(JSON.stringify(saved?.data)).toBe('{"__proto__":{"a":2},"toString":2,"x":1,"hasOwnProperty":3}');
    expect(Object.getPrototypeOf(saved?.data)).toBe(Object.prototype);
    expect(({} as Data).a).toBeUndefined();
  });

  test("refuses a copy of a session: it can't tell what was seen", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { session } = await sessions.create({ a: 1 });
    await expect(sessions.save({ ...session }, { a: 2 })).rejects.toThrow(/not a copy/);
  });

  test("is not confused by what the caller does to the data it was given", async () => {
    const sessions = new Sessions<{ list: number[] }>({ store: memoryStore() });
    const { token } = await sessions.create({ list: [1] });
    const session = (await sessions.get(token))!;
    session.data.list.push(2);
    await sessions.save(session, session.data);
    expect((await sessions.get(token))?.data).toEqual({ list: [1, 2] });
  });

  test("by many at once, each of a key of its own, loses none", async () => {
    for (const seed of seeds) {
      const sessions = new Sessions({ store: interleaved(memoryStore(), seed) });
      const { token } = await sessions.create({});
      const saves = Array.from({ length: 8 }, async (_, n) => {
        const session = (await sessions.get(token))!;
        await sessions.save(session, { ...session.data, [`key${n}`]: n });
      });
      await Promise.all(saves);
      const keys = Object.keys((await sessions.get(token))!.data);
      expect(keys.toSorted(), `seed ${seed}`).toEqual([
        "key0",
        "key1",
        "key2",
        "key3",
        "key4",
        "key5",
        "key6",
        "key7",
      ]);
    }
  });

  test("merges as one after the other would have, whatever the data", async () => {
    const data = fc.dictionary(
      fc.constantFrom("a", "b", "c", "__proto__", "constructor"),
      fc.jsonValue({ maxDepth: 2 }),
      {
        noNullPrototype: true,
      },
    );
    await fc.assert(
      fc.asyncProperty(data, data, data, async (stored, one, two) => {
        const sessions = new Sessions({ store: memoryStore() });
        const { token } = await sessions.create(stored);
        const first = (await sessions.get(token))!;
        const second = (await sessions.get(token))!;
        await sessions.save(first, one);
        await sessions.save(second, two);
        const json = (value: Data, key: string): string | undefined =>
          Object.hasOwn(value, key) ? JSON.stringify(value[key]) : undefined;
        const found = (await sessions.get(token))!.data;
        for (const key of ["a", "b", "c", "__proto__", "constructor"]) {
          const expected = json(two, key) === json(stored, key) ? json(one, key) : json(two, key);
          expect(json(found, key)).toBe(expected);
        }
      }),
    );
  });
});
