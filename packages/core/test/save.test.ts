import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { memoryStore, type Session, type SessionEvent, Sessions, StoreError } from "@tenure/core";
import { Bridge } from "@tenure/core/bridge";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { counted } from "./counted.ts";
import { interleaved, seeds, turns } from "./interleaved.ts";

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

  test.each([
    ["revoked", (s: Sessions, token: string) => s.revoke(token)],
    ["revoked with the user's others", (s: Sessions) => s.revokeAllForUser("ada")],
    ["revoked by its id", (s: Sessions, token: string) => s.revokeById(s.idOf(token)!)],
    ["rotated", (s: Sessions, token: string) => s.rotate(token)],
    ["logged in again", (s: Sessions, token: string) => s.logIn(token, "ada")],
    ["ended with everyone's", (s: Sessions) => s.revokeEveryone()],
  ])("of a session that was %s writes nothing and says so (ASVS 7.4.1)", async (_, end) => {
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

  test("that takes the user away is never late: it ends a session that was rotated meanwhile", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ userId: "ada" });
    const next = (await sessions.rotate(token)) as { readonly token: string };
    expect(await sessions.save(session, {})).toBeNull();
    expect(await sessions.get(next.token)).toBeNull();
  });

  test("that takes the user away does not end the session of another who has logged in meanwhile", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ userId: "ada" });
    const bob = await sessions.logIn(token, "bob");
    expect(await sessions.save(session, {})).toBeNull();
    expect((await sessions.get(bob.token))?.userId).toBe("bob");
  });

  test("of an anonymous change at the moment of a login is dropped", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({});
    const login = await sessions.logIn(token, "ada");
    expect(await sessions.save(session, { csrf: 1 })).toBeNull();
    expect((await sessions.get(login.token))?.data).toEqual({});
  });

  test("that is not a use restarts nothing", async () => {
    let now = 1_000_000;
    const sessions = new Sessions({ store: memoryStore({ clock: () => now }), idleTimeout: 1000 });
    const { session } = await sessions.create({});
    now += 500;
    const saved = await sessions.save(session, { a: 1 }, { touch: false });
    expect(saved?.expiresAt).toBe(session.expiresAt);
    now += 500;
    expect(await sessions.save(saved!, { a: 2 })).toBeNull();
  });

  test("is one update where nobody else saved, and writes no data where nothing changed", async () => {
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

  test("that changes nothing returns what others stored meanwhile, whether a touch is due or not", async () => {
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
    await expect(sessions.touch({ ...session })).rejects.toThrow(/not a copy/);
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

  test("by many at once in one process is a few updates, and loses nothing", async () => {
    const { store, calls } = counted(interleaved(memoryStore(), 7));
    const sessions = new Sessions({ store });
    const { token, session } = await sessions.create({});
    calls();
    await Promise.all(Array.from({ length: 400 }, (_, n) => sessions.save(session, { [`key${n}`]: n })));
    expect(calls().filter((call) => call === "update").length).toBeLessThan(5);
    expect(Object.keys((await sessions.get(token))!.data)).toHaveLength(400);
  });

  test("that cannot be stored rejects alone", async () => {
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

  test("beyond a thousand waiting ones is refused", async () => {
    const store = memoryStore();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const update: typeof store.update = async (...args) => held.then(() => store.update(...args));
    const sessions = new Sessions({ store: { ...store, update } });
    const { session } = await sessions.create({});
    await sessions.since();
    const saves = Array.from({ length: 1200 }, (_, n) => sessions.save(session, { [n]: 1 }));
    const settled = Promise.allSettled(saves);
    await new Promise((resolve) => setTimeout(resolve, 50));
    release();
    const refused = (await settled).filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(199);
  });

  test("that waits with a rotation rejects if the store fails, and is neither repeated nor reported as late", async () => {
    const { store, whileHeld } = holding("lose");
    const sessions = new Sessions({ store });
    const { token, session } = await sessions.create({ n: 0 });
    const [saved, rotated] = await whileHeld(sessions, session, () => [
      sessions.update(session, ({ n }) => ({ n: Number(n) + 1 })),
      sessions.rotate(token),
    ]);
    expect(saved).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
    const next = (rotated as PromiseFulfilledResult<{ readonly token: string }>).value;
    expect((await sessions.get(next.token))?.data).toEqual({ n: 1 });
  });

  test("that waits with a rotation that came too late is not repeated if the store fails", async () => {
    const { store, whileHeld } = holding("lose");
    const sessions = new Sessions({ store });
    const bridge = new Bridge(sessions, () => undefined);
    const { token } = await sessions.create({ n: 0 });
    const late = bridge.request(await bridge.load(token));
    const next = (await sessions.rotate(token)) as { readonly token: string };
    const session = (await sessions.get(next.token))!;
    const [saved, rotated] = await whileHeld(sessions, session, () => [
      sessions.update(session, ({ n }) => ({ n: Number(n) + 1 })),
      late.rotate(),
    ]);
    expect(saved).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
    expect(rotated).toEqual({ status: "fulfilled", value: "superseded" });
    expect((await sessions.get(next.token))?.data).toEqual({ n: 1 });
  });

  test("that waits with a login that is refused is late, and is not reported as a refused login", async () => {
    const { store, whileHeld } = holding();
    const sessions = new Sessions({ store });
    const { token, session } = await sessions.create({});
    const since = await sessions.since();
    await sessions.revokeAllForUser("ada");
    const events: string[] = [];
    const listen = (message: unknown): void => void events.push((message as SessionEvent).event);
    const names = ["login-refused", "revoked", "late-save-dropped"].map((name) => `tenure:${name}`);
    for (const name of names) subscribe(name, listen);
    const [saved, refused, later] = await whileHeld(sessions, session, () => [
      sessions.save(session, { a: 1 }),
      sessions.logIn(token, "ada", { since }),
      sessions.logIn(token, "ada"),
    ]);
    for (const name of names) unsubscribe(name, listen);
    expect(saved).toEqual({ status: "fulfilled", value: null });
    expect(refused).toEqual({ status: "fulfilled", value: { refused: "logged-out-meanwhile" } });
    expect(later).toMatchObject({ status: "fulfilled", value: { session: { userId: "ada" } } });
    expect(events.toSorted()).toEqual(["late-save-dropped", "login-refused", "revoked"]);
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

/**
 * A store that can hold one update, so that the next calls wait together. With "lose", their update is stored and
 * then rejects.
 */
function holding(next: "lose" | "reply" = "reply") {
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
  const whileHeld = async (
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
  return { store: { ...store, update }, whileHeld };
}

describe("update", () => {
  test("applies to what is stored: counters and lists lose nothing", async () => {
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

  test("may return new data, and logs in and out by them as a save does", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { session } = await sessions.create({ a: 1 });
    const login = (await sessions.update(session, (data) => ({ ...data, userId: "ada" })))!;
    expect(login).toMatchObject({ userId: "ada", data: { a: 1, userId: "ada" } });
    expect((await sessions.update(login, () => ({})))?.userId).toBeNull();
  });

  test("refuses an asynchronous function, and writes nothing", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ a: 1 });
    const change = async (): Promise<object> => ({ a: 2 });
    await expect(sessions.update(session, change as never)).rejects.toThrow(/must be synchronous/);
    expect((await sessions.get(token))?.data).toEqual({ a: 1 });
  });

  test("of a dead session is null", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ a: 1 });
    await sessions.revoke(token);
    expect(await sessions.update(session, () => ({}))).toBeNull();
  });
});

test("data that are nested some thousand deep are saved again and again", async () => {
  const sessions = new Sessions({ store: memoryStore() });
  const deep = JSON.parse(`${'{"a":'.repeat(3000)}1${"}".repeat(3000)}`) as Record<string, unknown>;
  const { session } = await sessions.create({ deep });
  expect(await sessions.save(session, { deep, cart: 1 })).toMatchObject({ data: { cart: 1 } });
});
