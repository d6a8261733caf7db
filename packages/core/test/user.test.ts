import { memoryStore, Sessions, type UserId } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { counted } from "./counted.ts";

describe("a user id", () => {
  test.each<[UserId, string]>([
    ["ada", "ada"],
    [0, "0"],
    [42, "42"],
    [-1, "-1"],
    [12345678901234567890n, "12345678901234567890"],
    ["a\0b", "a\0b"],
    ["\ud800", "\ud800"],
    ["__proto__", "__proto__"],
    ["$where", "$where"],
    [" ada ", " ada "],
  ])("%s is stored exactly, and finds its own sessions only", async (userId, stored) => {
    const sessions = new Sessions({ store: memoryStore() });
    const { session } = await sessions.create({}, { userId });
    await sessions.create({}, { userId: "somebody else" });
    await sessions.create({});
    expect(session.userId).toBe(stored);
    expect((await sessions.listForUser(userId)).map(({ id }) => id)).toEqual([session.id]);
    expect(await sessions.revokeAllForUser(userId)).toBe(1);
    expect(await sessions.listForUser("somebody else")).toHaveLength(1);
  });

  test.each([
    [""],
    [{}],
    [{ id: 1 }],
    [[]],
    [true],
    [Number.NaN],
    [1.5],
    [Infinity],
    [Symbol("x")],
    [() => 1],
  ])("%o is refused before anything is written", async (userId) => {
    const { store, calls } = counted(memoryStore());
    const sessions = new Sessions({ store });
    const given = { userId: userId as UserId };
    await expect(sessions.create({}, given)).rejects.toThrow(/user id must be/);
    await expect(sessions.revokeAllForUser(userId as UserId)).rejects.toThrow(TypeError);
    await expect(sessions.listForUser(userId as UserId)).rejects.toThrow(TypeError);
    expect(calls().filter((call) => call !== "now")).toEqual([]);
  });

  test("told from the data follows the data, to nobody and to somebody else", async () => {
    const store = memoryStore();
    const sessions = new Sessions<{ user?: number; cart?: string }>({ store, userId: (data) => data.user });
    const { token, session } = await sessions.create({ cart: "tea" });
    expect(session.userId).toBeNull();
    const loggedIn = await sessions.save(session, { cart: "tea", user: 7 });
    expect(loggedIn?.userId).toBe("7");
    expect(await sessions.listForUser(7)).toHaveLength(1);
    const other = await sessions.save(loggedIn!, { user: 8 });
    expect(other?.userId).toBe("8");
    expect(await sessions.listForUser(7)).toEqual([]);
    await sessions.save(other!, {});
    expect(await sessions.listForUser(8)).toEqual([]);
    expect((await sessions.get(token))?.userId).toBeNull();
  });

  test("given to a call wins over the one told from the data", async () => {
    const sessions = new Sessions<{ user?: string }>({ store: memoryStore(), userId: (data) => data.user });
    const { session } = await sessions.create({ user: "ada" }, { userId: "bob" });
    expect(session.userId).toBe("bob");
  });
});
