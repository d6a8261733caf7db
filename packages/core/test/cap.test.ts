import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { memoryStore, Sessions, StoreError } from "@tenure/core";
import { Bridge } from "@tenure/core/bridge";
import { describe, expect, onTestFinished, test } from "vitest";
import { counted } from "./counted.ts";
import { interleaved, seeds } from "./interleaved.ts";

describe("maxPerUser", () => {
  test("ends the session whose user authenticated first, and nobody else's (ASVS 7.1.2)", async () => {
    let now = 1_000_000;
    const sessions = new Sessions({ store: memoryStore({ clock: () => now }), maxPerUser: 2 });
    const tokens: string[] = [];
    await sessions.create({}, { userId: "bob" });
    for (let n = 0; n < 5; n += 1) {
      now += 10;
      await new Promise((resolve) => setTimeout(resolve, 10));
      tokens.push((await sessions.create({ n }, { userId: "ada" })).token!);
    }
    expect((await sessions.listForUser("ada")).map(({ data }) => data?.n)).toEqual([3, 4]);
    expect(await sessions.get(tokens[2])).toBeNull();
    expect(await sessions.listForUser("bob")).toHaveLength(1);
  });

  test("goes by the last authentication: who logs in again stays", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxPerUser: 2 });
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
    const first = await sessions.logIn(null, "ada");
    await pause();
    const second = await sessions.logIn(null, "ada");
    await pause();
    const again = await sessions.logIn(first.token, "ada");
    await pause();
    await sessions.logIn(null, "ada");
    expect(await sessions.get(second.token)).toBeNull();
    expect(await sessions.get(again.token)).not.toBeNull();
  });

  test("never returns a token whose session it has ended", async () => {
    for (const seed of seeds.slice(0, 60)) {
      const store = interleaved(memoryStore(), seed);
      const processes = [0, 1].map(() => new Sessions({ store, maxPerUser: 3 }));
      const logins = await Promise.all(
        Array.from({ length: 10 }, async (_, at) => {
          const { token } = await processes[at % 2]!.logIn(null, "ada");
          return token;
        }),
      );
      const alive = await processes[0]!.listForUser("ada");
      expect(alive.length, `seed ${seed}`).toBe(3);
      // What was alive when its call resolved may have been ended by a later one; at least as many tokens as sessions were given out.
      expect(logins.filter(Boolean).length).toBeGreaterThanOrEqual(3);
    }
  });

  test("of one process, ends nothing that it has let in together", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxPerUser: 5 });
    const logins = await Promise.all(
      Array.from({ length: 400 }, () => sessions.create({}, { userId: "ada" })),
    );
    const tokens = logins.filter((login) => login.refused === undefined).map(({ token }) => token);
    expect(tokens).toHaveLength(5);
    for (const token of tokens) expect(await sessions.get(token)).not.toBeNull();
  });

  test("costs concurrent logins of one user a few lists, not one each", async () => {
    const { store, calls } = counted(interleaved(memoryStore(), 7));
    const sessions = new Sessions({ store, maxPerUser: 5 });
    await Promise.all(Array.from({ length: 400 }, () => sessions.create({}, { userId: "ada" })));
    const lists = calls().filter((call) => call === "listUser");
    expect(lists.length).toBeLessThan(30);
  });

  test("can refuse instead, before anything is written (ASVS 7.1.2)", async () => {
    const { store, calls } = counted(memoryStore());
    const sessions = new Sessions({ store, maxPerUser: 2, onCap: "refuse" });
    const first = await sessions.logIn(null, "ada");
    await sessions.logIn(null, "ada");
    const visitor = await sessions.create({ cart: 1 });
    calls();
    expect(await sessions.logIn(visitor.token, "ada")).toEqual({ refused: "too-many-sessions" });
    expect(calls()).toEqual(["read", "listUser"]);
    expect((await sessions.get(visitor.token))?.data).toEqual({ cart: 1 });
    expect((await sessions.logIn(first.token, "ada")).refused).toBeUndefined();
  });

  test("that refuses never refuses a login by data: the oldest goes", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxPerUser: 1, onCap: "refuse" });
    const first = await sessions.logIn(null, "ada");
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { token, session } = await sessions.create({});
    expect((await sessions.save(session, { userId: "ada" }))?.userId).toBe("ada");
    expect(await sessions.get(first.token)).toBeNull();
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("that cannot be enforced leaves no session whose token nobody holds", async () => {
    const store = memoryStore();
    const first = await new Sessions({ store }).create({}, { userId: "ada" });
    const { id } = first.session!;
    await new Promise((resolve) => setTimeout(resolve, 5));
    const revoke: typeof store.revoke = (one) =>
      one === id ? Promise.reject(new Error("down")) : store.revoke(one);
    const sessions = new Sessions({ store: { ...store, revoke }, maxPerUser: 1 });
    await expect(sessions.create({}, { userId: "ada" })).rejects.toThrow(StoreError);
    await expect(sessions.logIn(null, "ada")).rejects.toThrow(StoreError);
    expect((await sessions.listForUser("ada")).map((one) => one.id)).toEqual([id]);
  });

  test("does not count a session that a framework's regenerate has hidden", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxPerUser: 1 });
    const bridge = new Bridge(sessions, () => undefined);
    const first = await sessions.logIn(null, "ada");
    const request = bridge.request(await bridge.load(first.token!));
    await request.regenerate();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const second = await sessions.logIn(null, "ada");
    expect(await sessions.get(second.token)).not.toBeNull();
    expect(await request.save({ userId: "ada" }, null)).toBe("saved");
  });
});

test.each([
  ["logged-out-meanwhile", (elsewhere: Sessions) => elsewhere.revokeAllForUser("ada")],
  ["too-many-sessions", (elsewhere: Sessions) => elsewhere.logIn(null, "ada")],
])("a login that another process ends before the cap is checked is refused as %s", async (why, end) => {
  const store = memoryStore();
  const elsewhere = new Sessions({ store, maxPerUser: 1 });
  const create: typeof store.create = async (session) => {
    const result = await store.create(session);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await end(elsewhere);
    return result;
  };
  const events: unknown[] = [];
  const listen = (message: unknown): void => void events.push((message as { readonly why: string }).why);
  subscribe("tenure:login-refused", listen);
  onTestFinished(() => void unsubscribe("tenure:login-refused", listen));
  const sessions = new Sessions({ store: { ...store, create }, maxPerUser: 1 });
  expect(await sessions.logIn(null, "ada")).toEqual({ refused: why });
  expect(await sessions.create({}, { userId: "ada" })).toEqual({ refused: why });
  expect(events).toEqual([why, why]);
});

test("a login that a lowered cap refuses ends none of the user's sessions", async () => {
  const store = memoryStore();
  const before = new Sessions({ store, maxPerUser: 5, onCap: "refuse" });
  for (let n = 0; n < 4; n += 1) await before.logIn(null, "ada");
  const { token } = await before.logIn(null, "ada");
  const lowered = new Sessions({ store, maxPerUser: 1, onCap: "refuse" });
  for (const from of [null, token]) {
    expect((await lowered.logIn(from, "ada")).refused).toBe("too-many-sessions");
  }
  expect(await lowered.listForUser("ada")).toHaveLength(5);
});
