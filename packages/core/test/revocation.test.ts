import { memoryStore, newToken, Sessions, StoreError } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { interleaved, seeds, turns } from "./interleaved.ts";

describe("revocation", () => {
  test("by token is for good, and says whether it ended anything (ASVS 7.4.1)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({});
    expect(await sessions.revoke(token)).toBe(true);
    expect(await sessions.revoke(token)).toBe(false);
    expect(await sessions.revoke(newToken())).toBe(false);
    expect(await sessions.get(token)).toBeNull();
  });

  test("by id ends any of one's own sessions, and none of another's (ASVS 7.5.2)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({}, { userId: "ada" });
    expect(await sessions.revokeById(session.id, { userId: "eve" })).toBe(false);
    expect(await sessions.get(token)).not.toBeNull();
    expect(await sessions.revokeById(session.id, { userId: "ada" })).toBe(true);
    expect(await sessions.get(token)).toBeNull();
    expect(await sessions.revokeById(session.id)).toBe(false);
  });

  test("of all a user's spares the current one, and other users (ASVS 7.4.2, 7.4.3)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const logins = await Promise.all([1, 2, 3].map((n) => sessions.create({ n }, { userId: "ada" })));
    await sessions.create({}, { userId: "bob" });
    await sessions.create({});
    expect(await sessions.revokeAllForUser("ada", { exceptToken: logins[1]!.token })).toBe(2);
    expect((await sessions.listForUser("ada")).map(({ data }) => data)).toEqual([{ n: 2 }]);
    expect(await sessions.revokeAllForUser("ada", { exceptId: logins[1]!.session.id })).toBe(0);
    expect(await sessions.revokeAllForUser("ada", { exceptToken: "not a token of anybody" })).toBe(1);
    expect(await sessions.listForUser("bob")).toHaveLength(1);
  });

  test("of everyone leaves nobody (ASVS 7.4.5)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    await Promise.all(Array.from({ length: 500 }, (_, n) => sessions.create({}, n % 2 ? { userId: n } : {})));
    expect(await sessions.revokeEveryone()).toBe(500);
    let left = 0;
    for await (const _ of sessions.all()) left += 1;
    expect(left).toBe(0);
  });

  test("of everyone ends what a node of the backend says was created later than now", async () => {
    const store = memoryStore();
    const behind = { ...store, now: async () => (await store.now()) - 60_000 };
    const sessions = new Sessions({ store: behind });
    await sessions.create({}, { userId: "ada" });
    await sessions.create({});
    expect(await sessions.revokeEveryone()).toBe(2);
  });

  test("of everyone outlasts a rotation that comes meanwhile", async () => {
    for (const seed of seeds) {
      const sessions = new Sessions({ store: interleaved(memoryStore(), seed) });
      const { token } = await sessions.create({}, { userId: "ada" });
      // A scan takes some thousand turns: the successor is often put where it has looked before.
      const ending = sessions.revokeEveryone();
      await turns((seed * 37) % 1000);
      const rotated = await sessions.rotate(token);
      await ending;
      expect(await sessions.listForUser("ada"), `seed ${seed}`).toEqual([]);
      if (rotated) expect(await sessions.get(rotated.token)).toBeNull();
    }
  });

  test("of all a user's ends a rotation's successor too, where nodes of the backend differ by a minute", async () => {
    for (const seed of seeds) {
      const store = interleaved(memoryStore(), seed);
      const behind = { ...store, now: async () => (await store.now()) - 60_000 };
      const sessions = new Sessions({ store: behind });
      const { token } = await sessions.create({}, { userId: "ada" });
      const rotating = sessions.rotate(token);
      await turns(seed % 30);
      await sessions.revokeAllForUser("ada");
      await rotating;
      expect(await sessions.listForUser("ada"), `seed ${seed}`).toEqual([]);
    }
  });

  test("a login that comes after log out everywhere stays", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    await sessions.create({}, { userId: "ada" });
    await sessions.revokeAllForUser("ada");
    const { token } = await sessions.create({}, { userId: "ada" });
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("a user's list has what a devices page needs, oldest first, and never a token (ASVS 7.5.2)", async () => {
    let now = 1_000_000;
    const sessions = new Sessions({
      store: memoryStore({ clock: () => now }),
      idleTimeout: 500,
      lifetime: 5000,
    });
    const tokens: string[] = [];
    for (const browser of ["Firefox", "Safari", "Edge"]) {
      tokens.push((await sessions.create({ browser }, { userId: "ada" })).token);
      now += 100;
    }
    const list = await sessions.listForUser("ada");
    expect(list[0]).toEqual({
      id: sessions.idOf(tokens[0]!),
      userId: "ada",
      data: { browser: "Firefox" },
      createdAt: 1_000_000,
      touchedAt: 1_000_000,
      idle: 500,
      expiresAt: 1_000_500,
      endsAt: 1_005_000,
    });
    expect(list.map(({ data }) => data.browser)).toEqual(["Firefox", "Safari", "Edge"]);
    for (const token of tokens) expect(JSON.stringify(list)).not.toContain(token);
  });
});

describe("maxPerUser", () => {
  test("ends the oldest, and nobody else's", async () => {
    let now = 1_000_000;
    const sessions = new Sessions({ store: memoryStore({ clock: () => now }), maxPerUser: 2 });
    const tokens: string[] = [];
    await sessions.create({}, { userId: "bob" });
    for (let n = 0; n < 5; n += 1) {
      now += 1;
      tokens.push((await sessions.create({ n }, { userId: "ada" })).token);
    }
    expect((await sessions.listForUser("ada")).map(({ data }) => data.n)).toEqual([3, 4]);
    expect(await sessions.get(tokens[2]!)).toBeNull();
    expect(await sessions.listForUser("bob")).toHaveLength(1);
  });

  test("never ends the login that was let in just now, within one millisecond either", async () => {
    const sessions = new Sessions({ store: memoryStore({ clock: () => 1_000_000 }), maxPerUser: 2 });
    for (let n = 0; n < 50; n += 1) {
      const { token } = await sessions.create({}, { userId: "ada" });
      expect(await sessions.get(token)).not.toBeNull();
      expect(await sessions.listForUser("ada")).toHaveLength(Math.min(n + 1, 2));
    }
  });

  test("that can't be enforced leaves no session that nobody holds a token of", async () => {
    const store = memoryStore();
    const { session } = await new Sessions({ store }).create({}, { userId: "ada" });
    const revoke = (id: string): Promise<boolean> =>
      id === session.id ? Promise.reject(new Error("down")) : store.revoke(id);
    const sessions = new Sessions({ store: { ...store, revoke }, maxPerUser: 1 });
    const { token } = await sessions.create({});
    const logins = [
      () => sessions.create({}, { userId: "ada" }),
      () => sessions.createWithToken(newToken(), {}, { userId: "ada" }),
      () => sessions.rotate(token, { userId: "ada" }),
    ];
    for (const login of logins) {
      await expect(login()).rejects.toThrow(StoreError);
      expect((await sessions.listForUser("ada")).map(({ id }) => id)).toEqual([session.id]);
    }
  });

  test("holds under concurrent logins, rotations and a logout, and ends the oldest alone", async () => {
    for (const seed of seeds) {
      let now = 1_000_000;
      const store = interleaved(memoryStore({ clock: () => (now += 1) }), seed);
      const sessions = new Sessions({ store, maxPerUser: 3 });
      const tokens: string[] = [];
      for (const n of [0, 1, 2]) tokens.push((await sessions.create({ n }, { userId: "ada" })).token);
      await Promise.all([
        sessions.revoke(tokens[0]!),
        sessions.rotate(tokens[1]!).then((rotated) => rotated && sessions.rotate(rotated.token)),
        sessions.rotate(tokens[2]!),
        sessions.create({ n: 3 }, { userId: "ada" }),
        sessions.create({ n: 4 }, { userId: "ada" }),
      ]);
      const alive = (await sessions.listForUser("ada")).map(({ data }) => data.n);
      expect(alive, `seed ${seed}`).toHaveLength(3);
      expect(new Set(alive), `seed ${seed}`).toEqual(new Set([2, 3, 4]));
    }
  });

  test("counts a login by save and by rotation, and never ends the session that just logged in", async () => {
    let now = 1_000_000;
    const sessions = new Sessions({ store: memoryStore({ clock: () => now }), maxPerUser: 1 });
    const anonymous = await sessions.create({});
    const another = await sessions.create({});
    now += 1;
    const first = await sessions.create({}, { userId: "ada" });
    const rotated = await sessions.rotate(anonymous.token, { userId: "ada" });
    expect(await sessions.get(first.token)).toBeNull();
    expect(await sessions.get(rotated!.token)).not.toBeNull();
    await sessions.save(another.session, { a: 1 }, { userId: "ada" });
    expect((await sessions.listForUser("ada")).map(({ id }) => id)).toEqual([another.session.id]);
  });

  test("holds under concurrent logins once they have all resolved, and leaves as many as it may", async () => {
    for (const seed of seeds) {
      let now = 1_000_000;
      const store = interleaved(memoryStore({ clock: () => (now += 1) }), seed);
      const sessions = new Sessions({ store, maxPerUser: 3 });
      await Promise.all(Array.from({ length: 8 }, () => sessions.create({}, { userId: "ada" })));
      expect(await sessions.listForUser("ada"), `seed ${seed}`).toHaveLength(3);
    }
  });

  test("of concurrent logins within one millisecond costs one session too many at most", async () => {
    for (const seed of seeds) {
      const store = interleaved(memoryStore({ clock: () => 1_000_000 }), seed);
      const sessions = new Sessions({ store, maxPerUser: 3 });
      await Promise.all(Array.from({ length: 8 }, () => sessions.create({}, { userId: "ada" })));
      const left = (await sessions.listForUser("ada")).length;
      expect([2, 3], `seed ${seed}`).toContain(left);
    }
  });
});
