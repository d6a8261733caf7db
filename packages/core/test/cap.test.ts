import { memoryStore, Sessions, StoreError } from "@tenure/core";
import { Bridge } from "@tenure/core/bridge";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { recordCalls } from "./record-calls.ts";
import { interleaved, seeds } from "./interleaved.ts";
import { publishedEvents } from "./published-events.ts";

// A login is dated earlier if its process is delayed while it reads the store's clock.
beforeEach(() => void vi.useFakeTimers({ toFake: ["Date", "performance"] }));
afterEach(() => void vi.useRealTimers());

describe("maxPerUser", () => {
  test("ends the session whose user authenticated first, and no other user's (ASVS 7.1.2)", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxPerUser: 2 });
    const tokens: string[] = [];
    await sessions.create({}, { userId: "bob" });
    for (let n = 0; n < 5; n += 1) {
      vi.advanceTimersByTime(5);
      tokens.push((await sessions.create({ n }, { userId: "ada" })).token!);
    }
    expect((await sessions.listForUser("ada")).map(({ data }) => data?.n)).toEqual([3, 4]);
    expect(await sessions.get(tokens[2])).toBeNull();
    expect(await sessions.listForUser("bob")).toHaveLength(1);
  });

  test("keeps a session whose user has logged in again", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxPerUser: 2 });
    const first = await sessions.logIn(null, "ada");
    vi.advanceTimersByTime(5);
    const second = await sessions.logIn(null, "ada");
    vi.advanceTimersByTime(5);
    const again = await sessions.logIn(first.token, "ada");
    vi.advanceTimersByTime(5);
    await sessions.logIn(null, "ada");
    expect(await sessions.get(second.token)).toBeNull();
    expect(await sessions.get(again.token)).not.toBeNull();
  });

  test("holds for concurrent logins in two processes, and each session that is left has a returned token", async () => {
    for (const seed of seeds.slice(0, 60)) {
      const store = interleaved(memoryStore(), seed);
      const processes = [0, 1].map(() => new Sessions({ store, maxPerUser: 3 }));
      const logins = await Promise.all(
        Array.from({ length: 10 }, (_, at) => processes[at % 2]!.logIn(null, "ada")),
      );
      const alive = await processes[0]!.listForUser("ada");
      expect(alive.length, `seed ${seed}`).toBe(3);
      // More logins may return a token, because a later login can end their session.
      const returned = logins.map(({ session }) => session?.id);
      expect(returned, `seed ${seed}`).toEqual(expect.arrayContaining(alive.map(({ id }) => id)));
    }
  });

  test("ends no session whose token one of 400 concurrent logins in one process returned", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxPerUser: 5 });
    const logins = await Promise.all(
      Array.from({ length: 400 }, () => sessions.create({}, { userId: "ada" })),
    );
    const tokens = logins.filter((login) => login.refused === undefined).map(({ token }) => token);
    expect(tokens).toHaveLength(5);
    for (const token of tokens) expect(await sessions.get(token)).not.toBeNull();
  });

  test("lists a user's sessions a few times for 400 concurrent logins, not once for each", async () => {
    const { store, takeCalls } = recordCalls(interleaved(memoryStore(), 7));
    const sessions = new Sessions({ store, maxPerUser: 5 });
    await Promise.all(Array.from({ length: 400 }, () => sessions.create({}, { userId: "ada" })));
    const lists = takeCalls().filter((call) => call === "listUser");
    expect(lists.length).toBeLessThan(30);
  });

  test('with onCap "refuse" refuses a login before anything is written (ASVS 7.1.2)', async () => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store, maxPerUser: 2, onCap: "refuse" });
    const first = await sessions.logIn(null, "ada");
    await sessions.logIn(null, "ada");
    const visitor = await sessions.create({ cart: 1 });
    takeCalls();
    expect(await sessions.logIn(visitor.token, "ada")).toEqual({ refused: "too-many-sessions" });
    expect(takeCalls()).toEqual(["read", "listUser"]);
    expect((await sessions.get(visitor.token))?.data).toEqual({ cart: 1 });
    expect((await sessions.logIn(first.token, "ada")).refused).toBeUndefined();
  });

  test('with onCap "refuse" holds for concurrent logins, of which one process accepts as many as it may', async () => {
    const store = memoryStore();
    const sessions = new Sessions({ store, maxPerUser: 3, onCap: "refuse" });
    const logins = await Promise.all(Array.from({ length: 50 }, () => sessions.logIn(null, "ada")));
    const accepted = logins.filter(({ refused }) => refused === undefined);
    expect(accepted).toHaveLength(3);
    const alive = await sessions.listForUser("ada");
    expect(new Set(alive.map(({ id }) => id))).toEqual(new Set(accepted.map(({ session }) => session?.id)));
  });

  test('with onCap "refuse" holds for concurrent logins in two processes, and ends no session whose token was returned', async () => {
    for (const seed of seeds.slice(0, 60)) {
      const store = interleaved(memoryStore(), seed);
      const processes = [0, 1].map(() => new Sessions({ store, maxPerUser: 3, onCap: "refuse" }));
      const logins = await Promise.all(
        Array.from({ length: 10 }, (_, at) => processes[at % 2]!.logIn(null, "ada")),
      );
      const alive = await processes[0]!.listForUser("ada");
      expect(alive.length, `seed ${seed}`).toBeLessThanOrEqual(3);
      const returned = logins.filter(({ refused }) => refused === undefined);
      expect(new Set(alive.map(({ id }) => id)), `seed ${seed}`).toEqual(
        new Set(returned.map(({ session }) => session?.id)),
      );
    }
  });

  test('with onCap "refuse" still ends the oldest session if a save logs the user in', async () => {
    const sessions = new Sessions({ store: memoryStore(), maxPerUser: 1, onCap: "refuse" });
    const first = await sessions.logIn(null, "ada");
    vi.advanceTimersByTime(5);
    const { token, session } = await sessions.create({});
    expect((await sessions.save(session, { userId: "ada" }))?.userId).toBe("ada");
    expect(await sessions.get(first.token)).toBeNull();
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("leaves no new session if the store fails to end the oldest one", async () => {
    const store = memoryStore();
    const first = await new Sessions({ store }).create({}, { userId: "ada" });
    const { id } = first.session!;
    vi.advanceTimersByTime(5);
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
    vi.advanceTimersByTime(5);
    const second = await sessions.logIn(null, "ada");
    expect(await sessions.get(second.token)).not.toBeNull();
    expect(await request.save({ userId: "ada" }, null)).toBe("saved");
  });
});

test.each([
  ["logged-out-meanwhile", (elsewhere: Sessions) => elsewhere.revokeAllForUser("ada")],
  ["too-many-sessions", (elsewhere: Sessions) => elsewhere.logIn(null, "ada")],
])(
  "a login whose session another process ends before the cap is checked is refused: %s",
  async (why, end) => {
    const store = memoryStore();
    const elsewhere = new Sessions({ store, maxPerUser: 1 });
    const create: typeof store.create = async (session) => {
      const result = await store.create(session);
      vi.advanceTimersByTime(5);
      await end(elsewhere);
      return result;
    };
    const events = publishedEvents("login-refused");
    const sessions = new Sessions({ store: { ...store, create }, maxPerUser: 1 });
    expect(await sessions.logIn(null, "ada")).toEqual({ refused: why });
    expect(await sessions.create({}, { userId: "ada" })).toEqual({ refused: why });
    expect(events).toMatchObject([{ why }, { why }]);
  },
);

test("a login that is refused because maxPerUser was lowered ends none of the user's sessions", async () => {
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
