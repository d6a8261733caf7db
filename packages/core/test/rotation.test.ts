import { type Created, memoryStore, Sessions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { recordCalls } from "./record-calls.ts";
import { interleaved, seeds, turns } from "./interleaved.ts";
import { rotateLive } from "./rotate-live.ts";

describe("rotate", () => {
  test("replaces the token and nothing else (ASVS 7.2.4)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const login = await sessions.create({ a: 1 }, { userId: "ada" });
    const before = (await sessions.get(login.token))!;
    const next = await rotateLive(sessions, login.token!);
    const { id, userId, data, createdAt, endsAt, authenticatedAt } = before;
    expect(next.session).toMatchObject({ id, userId, data, createdAt, endsAt, authenticatedAt });
    expect(await sessions.get(login.token)).toBeNull();
    expect((await sessions.get(next.token))?.data).toEqual({ a: 1 });
    expect(await sessions.listForUser("ada")).toHaveLength(1);
  });

  test("costs one read and one update", async () => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store });
    const { token } = await sessions.create({});
    await sessions.get(token);
    takeCalls();
    await sessions.rotate(token);
    expect(takeCalls()).toEqual(["read", "update"]);
  });

  test('called by two processes at once succeeds in one of them and returns "superseded" in the other', async () => {
    for (const seed of seeds) {
      const store = interleaved(memoryStore(), seed);
      const [sessions, otherProcess] = [new Sessions({ store }), new Sessions({ store })];
      const { token } = await sessions.create({ a: 1 });
      const results = await Promise.all([sessions.rotate(token), otherProcess.rotate(token)]);
      const won = results.filter((result) => result !== null && result !== "superseded");
      expect(won, `seed ${seed}`).toHaveLength(1);
      expect(results).toContain("superseded");
      expect(await sessions.get((won[0] as Created<object>).token)).not.toBeNull();
    }
  });

  test("returns null for a dead session, and creates nothing", async () => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store });
    const { token } = await sessions.create({});
    await sessions.revoke(token);
    takeCalls();
    expect(await sessions.rotate(token)).toBeNull();
    expect(takeCalls()).not.toContain("create");
  });

  test("keeps the changes of a concurrent save", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ a: 1 });
    const [saved, next] = await Promise.all([
      sessions.save(session, { a: 1, b: 2 }),
      rotateLive(sessions, token),
    ]);
    expect(saved).not.toBeNull();
    expect((await sessions.get(next.token))?.data).toEqual({ a: 1, b: 2 });
  });

  test("called in a loop does not escape log out everywhere", async () => {
    for (const seed of seeds.slice(0, 50)) {
      const store = memoryStore();
      const thief = new Sessions({ store: interleaved(store, seed) });
      const owner = new Sessions({ store: interleaved(store, seed + 1000) });
      let { token } = await thief.create({}, { userId: "eve" });
      const loop = { isStopped: false };
      const looping = (async () => {
        while (!loop.isStopped) {
          const next = await thief.rotate(token!);
          if (next === null || next === "superseded") return;
          ({ token } = next);
        }
      })();
      await turns(seed % 60);
      await owner.revokeAllForUser("eve");
      loop.isStopped = true;
      await looping;
      expect(await thief.get(token), `seed ${seed}`).toBeNull();
    }
  });

  test("keeps the id, by which a devices page ends the session", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const login = await sessions.create({}, { userId: "ada" });
    const [listed] = await sessions.listForUser("ada");
    const next = await rotateLive(sessions, login.token!);
    expect(await sessions.revokeById(listed!.id, { userId: "ada" })).toBe(true);
    expect(await sessions.get(next.token)).toBeNull();
  });
});

describe("a superseded token", () => {
  test("logs nobody in, and a logout with it ends the session", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const login = await sessions.create({}, { userId: "ada" });
    const next = await rotateLive(sessions, login.token!);
    expect(await sessions.get(login.token)).toBeNull();
    expect(await sessions.rotate(login.token!)).toBe("superseded");
    expect(await sessions.revoke(login.token!)).toBe(true);
    expect(await sessions.get(next.token)).toBeNull();
  });

  test("of an anonymous visitor who has logged in cannot log out, because it may have been planted", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const planted = await sessions.create({});
    const login = await sessions.logIn(planted.token, "ada");
    expect(await sessions.revoke(planted.token)).toBe(false);
    expect(await sessions.get(login.token)).not.toBeNull();
  });

  test("that was replaced two rotations ago is dead", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const login = await sessions.create({}, { userId: "ada" });
    const next = await rotateLive(sessions, login.token!);
    const last = await rotateLive(sessions, next.token);
    expect(await sessions.rotate(login.token!)).toBeNull();
    expect(await sessions.revoke(login.token!)).toBe(false);
    expect(await sessions.get(last.token)).not.toBeNull();
  });
});
