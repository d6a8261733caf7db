import { memoryStore, Sessions, StoreError } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { counted } from "./counted.ts";
import { interleaved, seeds, turns } from "./interleaved.ts";

const setUp = (options: object = {}): Sessions => new Sessions({ store: memoryStore(), ...options });

describe("logIn", () => {
  test("continues an anonymous session with its data under a new token, the old one dead (ASVS 7.2.4, NIST 5.1)", async () => {
    const sessions = setUp();
    const visitor = await sessions.create({ cart: ["tea"] });
    const login = await sessions.logIn(visitor.token, "ada");
    expect(login.session).toMatchObject({ id: visitor.session.id, userId: "ada", data: { cart: ["tea"] } });
    expect(await sessions.get(visitor.token)).toBeNull();
    expect((await sessions.get(login.token))?.userId).toBe("ada");
  });

  test("restarts the lifetime, and dates the authentication (NIST 5.2)", async () => {
    let now = 1_000_000;
    const sessions = setUp({ store: memoryStore({ clock: () => now }), idleTimeout: 1000, lifetime: 2000 });
    const visitor = await sessions.create({});
    now += 900;
    const { session } = await sessions.logIn(visitor.token, "ada");
    expect(session!.endsAt).toBeGreaterThanOrEqual(now + 2000 - 1);
    expect(session!.authenticatedAt).toBeLessThanOrEqual(now);
    expect(session!.createdAt).toBe(1_000_000);
  });

  test("over another user's session begins a new one, without that user's data and lifetime, and ends it", async () => {
    const sessions = setUp();
    const ada = await sessions.logIn(null, "ada");
    await sessions.save(ada.session!, { mfa: true, cart: ["tea"], userId: "ada" });
    const bob = await sessions.logIn(ada.token, "bob", { keep: ["cart", "userId"] });
    expect(bob.session).toMatchObject({ userId: "bob", data: { cart: ["tea"] } });
    expect(bob.session!.data).not.toHaveProperty("userId");
    expect(bob.session!.id).not.toBe(ada.session!.id);
    expect(await sessions.get(ada.token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("of the same user goes on in place with the data", async () => {
    const sessions = setUp();
    const first = await sessions.logIn(null, "ada");
    await sessions.save(first.session!, { theme: "dark" });
    const again = await sessions.logIn(first.token, "ada");
    expect(again.session).toMatchObject({ id: first.session!.id, data: { theme: "dark" } });
    expect(await sessions.listForUser("ada")).toHaveLength(1);
  });

  test("with a dead token begins a blank session", async () => {
    const sessions = setUp();
    const { token } = await sessions.create({ secret: 1 });
    await sessions.revoke(token);
    expect((await sessions.logIn(token, "ada")).session).toMatchObject({ userId: "ada", data: {} });
  });

  test("with a superseded token begins a blank session, and leaves the other one alone", async () => {
    const sessions = setUp();
    const visitor = await sessions.create({ cart: 1 });
    const first = await sessions.logIn(visitor.token, "ada");
    const second = await sessions.logIn(visitor.token, "ada");
    expect(second.session!.data).toEqual({});
    expect(await sessions.get(first.token)).not.toBeNull();
  });

  test("at the same time as another one of this user leaves both logged in", async () => {
    const sessions = setUp();
    const visitor = await sessions.create({ cart: 1 });
    const logins = await Promise.all([
      sessions.logIn(visitor.token, "ada"),
      sessions.logIn(visitor.token, "ada"),
    ]);
    const found = await Promise.all(logins.map(({ token }) => sessions.get(token)));
    expect(found.map((session) => session?.data)).toEqual([{ cart: 1 }, {}]);
  });

  test("drops data of an anonymous session that name another user", async () => {
    const sessions = setUp({ userId: (data: { account?: string }) => data.account });
    const { token } = await sessions.create({ account: "eve", cart: 1 }, { userId: null });
    expect((await sessions.logIn(token, "ada")).session!.data).toEqual({ cart: 1 });
  });

  test("with timeouts of its own keeps them within the policy's maxima (remember me) (ASVS 7.1.1)", async () => {
    const sessions = setUp({ idleTimeout: "30m", lifetime: "12h", maxIdleTimeout: "7d", maxLifetime: "30d" });
    const { session } = await sessions.logIn(null, "ada", { idle: "7d", lifetime: "30d" });
    expect(session!.idle).toBe(7 * 86_400_000);
    expect(session!.endsAt - session!.createdAt).toBe(30 * 86_400_000);
    const plain = await sessions.logIn(null, "ada");
    expect(plain.session!.idle).toBe(30 * 60_000);
    await expect(sessions.logIn(null, "ada", { idle: "8d" })).rejects.toThrow(/maxIdleTimeout/);
    await expect(sessions.logIn(null, "ada", { lifetime: "31d" })).rejects.toThrow(/maxLifetime/);
    await expect(sessions.logIn(null, "ada", { keep: "cart" as never })).rejects.toThrow(/keep must be/);
  });

  test("costs a read and one update, or a create, and no read with a cap that is not reached", async () => {
    const { store, calls } = counted(memoryStore());
    const sessions = new Sessions({ store });
    const { token } = await sessions.create({});
    await sessions.logIn(null, "warm the clock");
    calls();
    await sessions.logIn(token, "ada");
    expect(calls()).toEqual(["read", "update"]);
    await sessions.logIn(null, "ada");
    expect(calls()).toEqual(["create"]);
  });
});

describe("a login that overlaps log out everywhere", () => {
  test("is refused if it began before, and leaves no session (ASVS 7.4.3, 16.3.1)", async () => {
    const sessions = setUp();
    const visitor = await sessions.create({});
    const since = await sessions.since();
    await sessions.revokeAllForUser("ada");
    for (const token of [null, visitor.token]) {
      expect(await sessions.logIn(token, "ada", { since })).toEqual({ refused: "logged-out-meanwhile" });
    }
    expect(await sessions.create({}, { userId: "ada", since })).toEqual({ refused: "logged-out-meanwhile" });
    expect(await sessions.listForUser("ada")).toEqual([]);
    expect(await sessions.get(visitor.token)).toBeNull();
  });

  test.each([NaN, -1, 1.5, "1800000000000", null])(
    "is refused as input if it is said to begin at %j",
    async (at) => {
      const { store, calls } = counted(memoryStore());
      const sessions = new Sessions({ store });
      const { token } = await sessions.create({});
      calls();
      const since = at as number;
      const error = "since must be a whole number of epoch milliseconds, as sessions.since() returns";
      await expect(sessions.logIn(token, "ada", { since })).rejects.toThrow(new TypeError(error));
      await expect(sessions.create({}, { userId: "ada", since })).rejects.toThrow(new TypeError(error));
      expect(calls()).toEqual([]);
    },
  );

  test("succeeds if it begins after, in the same millisecond too", async () => {
    for (let n = 0; n < 300; n += 1) {
      const sessions = setUp();
      await sessions.logIn(null, "ada");
      await sessions.revokeAllForUser("ada");
      expect((await sessions.logIn(null, "ada")).refused).toBeUndefined();
    }
  });

  test("is dead or refused, in every order of their steps", async () => {
    for (const seed of seeds) {
      const sessions = new Sessions({ store: interleaved(memoryStore(), seed) });
      const visitor = await sessions.create({});
      const since = await sessions.since();
      const logins = [
        sessions.logIn(null, "ada", { since }),
        sessions.logIn(visitor.token, "ada", { since }),
        sessions.create({ userId: "ada" }, { since }).catch(() => null),
      ];
      await turns(seed % 40);
      await sessions.revokeAllForUser("ada");
      await Promise.all(logins);
      expect(await sessions.listForUser("ada"), `seed ${seed}`).toEqual([]);
    }
  });

  test("keeps the excepted session, also through a rotation and a login of its own", async () => {
    const sessions = setUp();
    const ada = await sessions.logIn(null, "ada");
    await sessions.revokeAllForUser("ada", { exceptToken: ada.token! });
    const rotated = (await sessions.rotate(ada.token!)) as { readonly token: string };
    const again = await sessions.logIn(rotated.token, "ada");
    expect(again.refused).toBeUndefined();
    expect(await sessions.get(again.token)).not.toBeNull();
  });

  test("that arrived late ends older logins only (ASVS 7.6.1)", async () => {
    const sessions = setUp();
    const old = await sessions.logIn(null, "ada");
    await new Promise((resolve) => setTimeout(resolve, 5));
    const loggedOutAt = await sessions.since();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const young = await sessions.logIn(null, "ada");
    expect(await sessions.revokeAllForUser("ada", { authenticatedUpTo: loggedOutAt })).toBe(1);
    expect(await sessions.get(old.token)).toBeNull();
    expect(await sessions.get(young.token)).not.toBeNull();
  });
});

describe("a store that fails once", () => {
  const failingOnce = (operation: "before" | "after"): { sessions: Sessions; arm: () => void } => {
    const store = memoryStore();
    let isArmed = false;
    const update: typeof store.update = async (id, changes) => {
      if (!isArmed) return store.update(id, changes);
      isArmed = false;
      if (operation === "after") await store.update(id, changes);
      throw new StoreError("update", "the connection was lost");
    };
    return { sessions: new Sessions({ store: { ...store, update } }), arm: () => void (isArmed = true) };
  };

  test.each(["before", "after"] as const)("%s the write loses no login and no rotation", async (when) => {
    const { sessions, arm } = failingOnce(when);
    const visitor = await sessions.create({ cart: 1 });
    arm();
    const login = await sessions.logIn(visitor.token, "ada");
    expect((await sessions.get(login.token))?.data).toEqual({ cart: 1 });
    arm();
    const rotated = (await sessions.rotate(login.token!)) as { readonly token: string };
    expect((await sessions.get(rotated.token))?.userId).toBe("ada");
    expect(await sessions.get(login.token)).toBeNull();
  });
});
