import { memoryStore, Sessions, type UserId } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { recordCalls } from "./record-calls.ts";

const AN_OBJECT = "an object: pass the field that identifies the user, an ObjectId as String\\(user\\._id\\)";

describe("a user id", () => {
  test.each<[UserId, string]>([
    ["ada", "ada"],
    [0, "0"],
    [42, "42"],
    [-1, "-1"],
    [12345678901234567890n, "12345678901234567890"],
    ["a\0b", "a\0b"],
    ["__proto__", "__proto__"],
    ["$where", "$where"],
    [" ada ", " ada "],
  ])("%s is stored exactly, and finds only the sessions of that user", async (userId, stored) => {
    const sessions = new Sessions({ store: memoryStore() });
    const { session } = await sessions.create({}, { userId });
    await sessions.create({}, { userId: "somebody else" });
    await sessions.create({});
    expect(session?.userId).toBe(stored);
    expect((await sessions.listForUser(userId)).map(({ id }) => id)).toEqual([session?.id]);
    expect(await sessions.revokeAllForUser(userId)).toBe(1);
    expect(await sessions.listForUser("somebody else")).toHaveLength(1);
  });

  test.each([
    ["", "an empty string"],
    ["\ud800", "a malformed string"],
    [{}, AN_OBJECT],
    [{ id: 1 }, AN_OBJECT],
    [[], AN_OBJECT],
    [true, "boolean"],
    [Number.NaN, "NaN"],
    [1.5, "a fraction"],
    [2 ** 60, "an unsafe integer"],
    [Infinity, "Infinity"],
    [Symbol("x"), "symbol"],
    [() => 1, "function"],
  ])("%o is refused before anything is written", async (userId, kind) => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store });
    const given = { userId: userId as UserId };
    await expect(sessions.create({}, given)).rejects.toThrow(/user id must be/);
    await expect(sessions.logIn(null, userId as UserId)).rejects.toThrow(new RegExp(`not ${kind}$`));
    await expect(sessions.revokeAllForUser(userId as UserId)).rejects.toThrow(TypeError);
    await expect(sessions.listForUser(userId as UserId)).rejects.toThrow(TypeError);
    expect(takeCalls().filter((call) => call !== "now")).toEqual([]);
  });

  test.each([
    [{ userId: 7 }, "7"],
    [{ userId: "ada", passport: { user: "eve" } }, "ada"],
    [{ passport: { user: "ada" } }, "ada"],
    [{ passport: { user: 0 } }, "0"],
    [{ passport: "ada" }, "ada"],
    [{ passport: {} }, null],
    [{ passport: { user: { id: 7 } } }, null],
    [{ userId: "" }, null],
    [{ userId: false }, null],
    [{}, null],
  ])("is derived from the data %j by default", async (data, userId) => {
    const sessions = new Sessions({ store: memoryStore() });
    expect((await sessions.create(data)).session.userId).toBe(userId);
  });

  test("given to create wins over the user that the data name", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    expect((await sessions.create({ userId: "ada" }, { userId: "bob" })).session?.userId).toBe("bob");
    expect((await sessions.create({ userId: "ada" }, { userId: null })).session.userId).toBeNull();
  });
});

describe("the user of a session", () => {
  test("follows the data of a save, from nobody to a user and back", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ cart: "tea" });
    const login = (await sessions.save(session, { cart: "tea", userId: 7 }))!;
    expect(login).toMatchObject({ userId: "7", authenticatedAt: expect.any(Number) as number });
    expect(login.endsAt).toBe(session.endsAt);
    expect(await sessions.listForUser(7)).toHaveLength(1);
    const logout = (await sessions.save(login, { cart: "tea" }))!;
    expect(logout).toMatchObject({ userId: null, authenticatedAt: null });
    expect(await sessions.listForUser(7)).toEqual([]);
    expect((await sessions.get(token))?.userId).toBeNull();
  });

  test.each([[""], [false], [null], [{ id: 7 }], [Number.NaN]])(
    "is null after a save of the userId %j, which cannot name a user",
    async (nobody) => {
      const sessions = new Sessions({ store: memoryStore() });
      const { token, session } = await sessions.create({ userId: "ada" });
      await sessions.save(session, { userId: nobody });
      expect((await sessions.get(token))?.userId).toBeNull();
      expect(await sessions.listForUser("ada")).toEqual([]);
    },
  );

  test("stays the one that logIn set if a save changes other data", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({ cart: ["tea"] });
    const login = await sessions.logIn(token, "ada");
    const saved = (await sessions.save(login.session!, { cart: ["tea", "milk"] }))!;
    expect(saved.userId).toBe("ada");
    expect(await sessions.listForUser("ada")).toHaveLength(1);
    expect((await sessions.rotate(login.token!)) as object).toMatchObject({ session: { userId: "ada" } });
  });

  test("cannot be replaced by another user in a save: the session ends", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ userId: "ada", isAdmin: true });
    expect(await sessions.save(session, { userId: "bob", isAdmin: true })).toBeNull();
    expect(await sessions.get(token)).toBeNull();
    expect(await sessions.listForUser("bob")).toEqual([]);
  });

  test("is the one that the merged data of two saves name", async () => {
    const sessions = new Sessions<{ tenant?: string; name?: string }>({
      store: memoryStore(),
      userId: ({ tenant, name }) => (tenant && name ? `${tenant}/${name}` : null),
    });
    const { token } = await sessions.create({});
    const [one, two] = [(await sessions.get(token))!, (await sessions.get(token))!];
    await Promise.all([sessions.save(one, { tenant: "t1" }), sessions.save(two, { name: "ada" })]);
    expect(await sessions.get(token)).toMatchObject({
      userId: "t1/ada",
      data: { tenant: "t1", name: "ada" },
    });
  });

  test("does not get the data that a request of the previous user saves late", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({});
    const login = await sessions.logIn(token, "ada");
    const slow = (await sessions.get(login.token))!;
    const bob = await sessions.logIn(login.token, "bob");
    expect(await sessions.save(slow, { isAdmin: true })).toBeNull();
    expect((await sessions.get(bob.token))?.data).toEqual({});
  });
});

test("a session belongs to the user whom its data name at the moment of create, even if the caller changes them meanwhile", async () => {
  const sessions = new Sessions({ store: memoryStore() });
  const data = { userId: "ada" };
  const creating = sessions.create(data);
  data.userId = "eve";
  const { session } = await creating;
  expect(session).toMatchObject({ userId: "ada", data: { userId: "ada" } });
});
