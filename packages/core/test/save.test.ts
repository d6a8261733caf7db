import { setTimeout as sleep } from "node:timers/promises";
import { runInNewContext } from "node:vm";
import { memoryStore, type Session, Sessions, StoreError } from "@tenure/core";
import { Bridge } from "@tenure/core/bridge";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { recordCalls } from "./record-calls.ts";
import { interleaved, seeds, turns } from "./interleaved.ts";
import { publishedEvents } from "./published-events.ts";
import { rotateLive } from "./rotate-live.ts";
import { queryBuilder } from "./query-builder.ts";

type Data = Record<string, unknown>;

describe("save", () => {
  test("keeps the changes of another save to other keys, deletions included", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({ a: 1, b: 1, c: 1, d: 1 });
    const [one, two] = [(await sessions.get(token))!, (await sessions.get(token))!];
    await sessions.save(one, { a: 2, b: 1, d: 1 });
    const saved = await sessions.save(two, { a: 1, b: 2, c: 1, e: 1 });
    expect(saved?.data).toEqual({ a: 2, b: 2, e: 1 });
    expect((await sessions.get(token))?.data).toEqual({ a: 2, b: 2, e: 1 });
  });

  test("wins over an earlier save of the same key", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({ a: 1 });
    const [one, two] = [(await sessions.get(token))!, (await sessions.get(token))!];
    await sessions.save(one, { a: "one" });
    expect((await sessions.save(two, { a: "two" }))?.data).toEqual({ a: "two" });
  });

  test.each([
    ["revoked", (s: Sessions, token: string) => s.revoke(token)],
    ["revoked by log out everywhere", (s: Sessions) => s.revokeAllForUser("ada")],
    ["revoked by its id", (s: Sessions, token: string) => s.revokeById(s.idOf(token)!)],
    ["rotated", (s: Sessions, token: string) => s.rotate(token)],
    ["logged in again", (s: Sessions, token: string) => s.logIn(token, "ada")],
    ["revoked by revokeEveryone", (s: Sessions) => s.revokeEveryone()],
  ])("of a session that was %s meanwhile writes nothing and returns null (ASVS 7.4.1)", async (_, end) => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({ a: 1 }, { userId: "ada" });
    const late = (await sessions.get(token))!;
    await end(sessions, token!);
    const alive = await sessions.listForUser("ada");
    expect(await sessions.save(late, { a: 2 })).toBeNull();
    expect(await sessions.save(late, late.data)).toBeNull();
    expect(await sessions.get(token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual(alive);
  });

  test("that removes the user ends the session even if it was rotated in between", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ userId: "ada" });
    const next = await rotateLive(sessions, token);
    expect(await sessions.save(session, {})).toBeNull();
    expect(await sessions.get(next.token)).toBeNull();
  });

  test("that removes the user does not end the session of another user who has logged in since", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ userId: "ada" });
    const bob = await sessions.logIn(token, "bob");
    expect(await sessions.save(session, {})).toBeNull();
    expect((await sessions.get(bob.token))?.userId).toBe("bob");
  });

  test("of an anonymous request is dropped if a user has logged in since", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({});
    const login = await sessions.logIn(token, "ada");
    expect(await sessions.save(session, { csrf: 1 })).toBeNull();
    expect((await sessions.get(login.token))?.data).toEqual({});
  });

  test("costs one update if nobody else has saved, and writes nothing if nothing has changed", async () => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store });
    const { token } = await sessions.create({ a: 1, b: 2 });
    const session = (await sessions.get(token))!;
    takeCalls();
    await sessions.save(session, { a: 2, b: 2 });
    expect(takeCalls()).toEqual(["update"]);
    const unchanged = (await sessions.get(token))!;
    takeCalls();
    await sessions.save(unchanged, { b: 2, a: 2 });
    expect(takeCalls()).toEqual(["read"]);
  });

  test("that changes nothing returns the changes of other requests, whether or not a touch is due", async () => {
    for (const touchEvery of [1, 60_000]) {
      const sessions = new Sessions({ store: memoryStore(), touchEvery });
      const { token, session } = await sessions.create({ a: 1 });
      await sessions.save((await sessions.get(token))!, { a: 2 });
      await sleep(5);
      expect((await sessions.save(session, { a: 1 }))?.data).toEqual({ a: 2 });
    }
  });

  test("treats __proto__, constructor and toString as ordinary keys", async () => {
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

  test("rejects a copy of a session, because it cannot know what the caller has seen, and so does touch", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { session } = await sessions.create({ a: 1 });
    await expect(sessions.save({ ...session }, { a: 2 })).rejects.toThrow(/not a copy/);
    await expect(sessions.touch({ ...session })).rejects.toThrow(/not a copy/);
  });

  test("stores a change that the caller made inside of the session's data", async () => {
    const sessions = new Sessions<{ list: number[] }>({ store: memoryStore() });
    const { token } = await sessions.create({ list: [1] });
    const session = (await sessions.get(token))!;
    session.data.list.push(2);
    await sessions.save(session, session.data);
    expect((await sessions.get(token))?.data).toEqual({ list: [1, 2] });
  });

  test("called eight times at once with different keys keeps all of them", async () => {
    for (const seed of seeds) {
      const sessions = new Sessions({ store: interleaved(memoryStore(), seed) });
      const { token } = await sessions.create({});
      const saves = Array.from({ length: 8 }, async (_, n) => {
        const session = (await sessions.get(token))!;
        await sessions.save(session, { ...session.data, [`key${n}`]: n });
      });
      await Promise.all(saves);
      const keys = Object.keys((await sessions.get(token))!.data);
      expect(keys.toSorted(), `seed ${seed}`).toEqual(Array.from({ length: 8 }, (_, n) => `key${n}`));
    }
  });

  test("merges any data: keys that this request changed have its values, and all others the stored ones", async () => {
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

  test("called 400 times at once in one process costs a few updates and loses nothing", async () => {
    const { store, takeCalls } = recordCalls(interleaved(memoryStore(), 7));
    const sessions = new Sessions({ store });
    const { token, session } = await sessions.create({});
    takeCalls();
    await Promise.all(Array.from({ length: 400 }, (_, n) => sessions.save(session, { [`key${n}`]: n })));
    expect(takeCalls().filter((call) => call === "update").length).toBeLessThan(5);
    expect(Object.keys((await sessions.get(token))!.data)).toHaveLength(400);
  });

  test("that cannot be stored rejects alone, and the saves queued with it are stored", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxDataBytes: 200 });
    const { token, session } = await sessions.create({});
    const results = await Promise.allSettled([
      sessions.save(session, { a: 1 }),
      sessions.save(session, { b: "x".repeat(150) }),
      sessions.save(session, { c: "x".repeat(150) }),
      sessions.save(session, { d: 1 }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled"]);
    expect(Object.keys((await sessions.get(token))!.data)).toEqual(["a", "b", "d"]);
  });

  test("rejects while a thousand changes of the session wait", async () => {
    const { store, whileUpdating } = queueing();
    const sessions = new Sessions({ store });
    const { session } = await sessions.create({});
    const saves = await whileUpdating(sessions, session, () =>
      Array.from({ length: 1200 }, (_, n) => sessions.save(session, { [n]: 1 })),
    );
    expect(saves.filter(({ status }) => status === "rejected")).toHaveLength(200);
  });

  test("queued with a rotation rejects if the store fails, and is neither repeated nor reported as late", async () => {
    const { store, whileUpdating } = queueing("lose");
    const sessions = new Sessions({ store });
    const { token, session } = await sessions.create({ n: 0 });
    const [saved, rotated] = await whileUpdating(sessions, session, () => [
      sessions.update(session, ({ n }) => ({ n: Number(n) + 1 })),
      sessions.rotate(token),
    ]);
    expect(saved).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
    const next = (rotated as PromiseFulfilledResult<{ readonly token: string }>).value;
    expect((await sessions.get(next.token))?.data).toEqual({ n: 1 });
  });

  test("queued with a rotation of a superseded token is not repeated if the store fails", async () => {
    const { store, whileUpdating } = queueing("lose");
    const sessions = new Sessions({ store });
    const bridge = new Bridge(sessions, () => undefined);
    const { token } = await sessions.create({ n: 0 });
    const late = bridge.request(await bridge.load(token));
    const next = await rotateLive(sessions, token);
    const session = (await sessions.get(next.token))!;
    const [saved, rotated] = await whileUpdating(sessions, session, () => [
      sessions.update(session, ({ n }) => ({ n: Number(n) + 1 })),
      late.rotate(),
    ]);
    expect(saved).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
    expect(rotated).toEqual({ status: "fulfilled", value: "superseded" });
    expect((await sessions.get(next.token))?.data).toEqual({ n: 1 });
  });

  test("queued with a login that is refused is reported as a late save, not as a refused login", async () => {
    const { store, whileUpdating } = queueing();
    const sessions = new Sessions({ store });
    const { token, session } = await sessions.create({});
    const since = await sessions.since();
    await sessions.revokeAllForUser("ada");
    const events = publishedEvents("login-refused", "revoked", "late-save-dropped");
    const [saved, refused, later] = await whileUpdating(sessions, session, () => [
      sessions.save(session, { a: 1 }),
      sessions.logIn(token, "ada", { since }),
      sessions.logIn(token, "ada"),
    ]);
    expect(saved).toEqual({ status: "fulfilled", value: null });
    expect(refused).toEqual({ status: "fulfilled", value: { refused: "logged-out-meanwhile" } });
    expect(later).toMatchObject({ status: "fulfilled", value: { session: { userId: "ada" } } });
    const names = events.map(({ event }) => event);
    expect(names.toSorted()).toEqual(["late-save-dropped", "login-refused", "revoked"]);
  });

  test("encodes once and decodes at most twice", async () => {
    let [encoded, decoded] = [0, 0];
    const codec = {
      encode: (data: object) => ((encoded += 1), JSON.stringify(data)),
      decode: (text: string) => ((decoded += 1), JSON.parse(text) as object),
    };
    const sessions = new Sessions({ store: memoryStore(), codec });
    const { session } = await sessions.create({ a: 1, b: 2 });
    [encoded, decoded] = [0, 0];
    await sessions.save(session, { a: 2, b: 2 });
    expect(encoded).toBe(1);
    expect(decoded).toBeLessThanOrEqual(2);
  });
});

describe("update", () => {
  test("applies to the stored data, so that a counter loses nothing", async () => {
    for (const seed of seeds.slice(0, 20)) {
      const store = interleaved(memoryStore(), seed);
      const [one, two] = [new Sessions({ store }), new Sessions({ store })];
      const { token, session } = await one.create({ n: 0 });
      const counts = Array.from({ length: 20 }, (_, at) =>
        (at % 2 ? one : two).update(session, (data) => {
          data.n = Number(data.n) + 1;
        }),
      );
      await Promise.all(counts);
      expect((await one.get(token))?.data, `seed ${seed}`).toEqual({ n: 20 });
    }
  });

  test("may return new data, which log in and out as those of a save do", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { session } = await sessions.create({ a: 1 });
    const login = (await sessions.update(session, (data) => ({ ...data, userId: "ada" })))!;
    expect(login).toMatchObject({ userId: "ada", data: { a: 1, userId: "ada" } });
    expect((await sessions.update(login, () => ({})))?.userId).toBeNull();
  });

  test("rejects an asynchronous function, and writes nothing", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ a: 1 });
    const change = async (): Promise<object> => ({ a: 2 });
    await expect(sessions.update(session, change as never)).rejects.toThrow(/must be synchronous/);
    expect((await sessions.get(token))?.data).toEqual({ a: 1 });
  });

  test.each([
    ["a query builder, which runs when it is awaited", () => queryBuilder({ sql: "UPDATE" })],
    ["a promise of another realm", () => runInNewContext("Promise.reject(new Error())") as object],
  ])("rejects a function that returns %s, and writes nothing", async (_, change) => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ a: 1 });
    await expect(sessions.update(session, change as never)).rejects.toThrow(/must be synchronous/);
    expect((await sessions.get(token))?.data).toEqual({ a: 1 });
  });

  test("returns null for a dead session", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ a: 1 });
    await sessions.revoke(token);
    expect(await sessions.update(session, () => ({}))).toBeNull();
  });
});

test("data that are nested 3000 levels deep can be created and saved", async () => {
  const sessions = new Sessions({ store: memoryStore() });
  const deep = JSON.parse(`${'{"a":'.repeat(3000)}1${"}".repeat(3000)}`) as Record<string, unknown>;
  const { session } = await sessions.create({ deep });
  expect(await sessions.save(session, { deep, cart: 1 })).toMatchObject({ data: { cart: 1 } });
});

/**
 * Returns a store, and a function that makes calls while an update of the same session is under way, so that
 * their changes queue up and leave as one update. With "lose", that update is stored, but its reply is lost.
 */
function queueing(next: "lose" | "reply" = "reply") {
  const store = memoryStore();
  const steps: ("hold" | "lose" | "reply")[] = [];
  const held = Promise.withResolvers<void>();
  const update: typeof store.update = async (...args) => {
    const step = steps.shift();
    if (step === "hold") await held.promise;
    const result = await store.update(...args);
    if (step === "lose") throw new StoreError("update", "the connection was lost");
    return result;
  };
  const whileUpdating = async (
    sessions: Sessions,
    session: Session,
    calls: () => readonly Promise<unknown>[],
  ): Promise<PromiseSettledResult<unknown>[]> => {
    steps.push("hold", next);
    const first = sessions.save(session, { ...session.data, first: true });
    await turns(5);
    const settled = Promise.allSettled(calls());
    await turns(5);
    held.resolve();
    await first;
    return settled;
  };
  return { store: { ...store, update }, whileUpdating };
}
