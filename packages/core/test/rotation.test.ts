import { memoryStore, Sessions } from "@tenure/core";
import { Bridge } from "@tenure/core/bridge";
import { describe, expect, test } from "vitest";
import { counted } from "./counted.ts";
import { interleaved, seeds, turns } from "./interleaved.ts";

type Rotated = { readonly token: string; readonly session: { readonly id: string; readonly data: object } };
const rotated = async (sessions: Sessions, token: string): Promise<Rotated> =>
  (await sessions.rotate(token)) as Rotated;

describe("rotate", () => {
  test("replaces the token and nothing else (ASVS 7.2.4)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const login = await sessions.create({ a: 1 }, { userId: "ada" });
    const before = (await sessions.get(login.token))!;
    const next = await rotated(sessions, login.token!);
    const { id, userId, data, createdAt, endsAt, authenticatedAt } = before;
    expect(next.session).toMatchObject({ id, userId, data, createdAt, endsAt, authenticatedAt });
    expect(await sessions.get(login.token)).toBeNull();
    expect((await sessions.get(next.token))?.data).toEqual({ a: 1 });
    expect(await sessions.listForUser("ada")).toHaveLength(1);
  });

  test("is one read and one update", async () => {
    const { store, calls } = counted(memoryStore());
    const sessions = new Sessions({ store });
    const { token } = await sessions.create({});
    await sessions.get(token);
    calls();
    await sessions.rotate(token);
    expect(calls()).toEqual(["read", "update"]);
  });

  test("by two requests at once is won by one, and the other learns that it was superseded", async () => {
    for (const seed of seeds) {
      const store = interleaved(memoryStore(), seed);
      const [sessions, otherProcess] = [new Sessions({ store }), new Sessions({ store })];
      const { token } = await sessions.create({ a: 1 });
      const results = await Promise.all([sessions.rotate(token), otherProcess.rotate(token)]);
      const won = results.filter((result) => result !== null && result !== "superseded");
      expect(won, `seed ${seed}`).toHaveLength(1);
      expect(results).toContain("superseded");
      expect(await sessions.get((won[0] as Rotated).token)).not.toBeNull();
    }
  });

  test("of a dead session is null, and creates nothing", async () => {
    const { store, calls } = counted(memoryStore());
    const sessions = new Sessions({ store });
    const { token } = await sessions.create({});
    await sessions.revoke(token);
    calls();
    expect(await sessions.rotate(token)).toBeNull();
    expect(calls()).not.toContain("create");
  });

  test("keeps a save that is under way", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ a: 1 });
    const [saved, next] = await Promise.all([
      sessions.save(session, { a: 1, b: 2 }),
      rotated(sessions, token),
    ]);
    expect(saved).not.toBeNull();
    expect((await sessions.get(next.token))?.data).toEqual({ a: 1, b: 2 });
  });

  test("in a loop does not outrun log out everywhere", async () => {
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
});

describe("a login by the data of a request", () => {
  const setUp = (): { readonly bridge: Bridge<object>; readonly advance: (ms: number) => void } => {
    let now = 1_000_000;
    const store = memoryStore({ clock: () => now });
    const sessions = new Sessions<object>({ store, idleTimeout: 4000, lifetime: 10_000 });
    return { bridge: new Bridge(sessions, () => undefined), advance: (ms) => void (now += ms) };
  };

  test("that has rotated its session restarts the lifetime", async () => {
    const { bridge, advance } = setUp();
    const { token } = await bridge.sessions.create({});
    advance(2000);
    const request = bridge.request(await bridge.load(token));
    await request.rotate();
    expect(await request.save({ userId: "ada" }, null)).toBe("saved");
    const after = await bridge.sessions.get(request.token);
    expect(after!.endsAt).toBe(1_000_000 + 2000 + 10_000);
  });

  test("that has regenerated its session restarts the lifetime, with the idle timeout of its cookie", async () => {
    const { bridge, advance } = setUp();
    const { token } = await bridge.sessions.create({});
    advance(2000);
    const request = bridge.request(await bridge.load(token));
    await request.regenerate();
    expect(await request.save({ userId: "ada" }, 3000)).toBe("saved");
    const after = await bridge.sessions.get(request.token);
    expect(after).toMatchObject({ userId: "ada", idle: 3000 });
    expect(after!.endsAt).toBe(1_000_000 + 2000 + 10_000);
  });
});

describe("a superseded token", () => {
  test("logs nobody in, and a logout with it ends the session", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const login = await sessions.create({}, { userId: "ada" });
    const next = await rotated(sessions, login.token!);
    expect(await sessions.get(login.token)).toBeNull();
    expect(await sessions.rotate(login.token!)).toBe("superseded");
    expect(await sessions.revoke(login.token!)).toBe(true);
    expect(await sessions.get(next.token)).toBeNull();
  });

  test("from before the login of an anonymous visitor cannot log out, because it may have been planted", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const planted = await sessions.create({});
    const login = await sessions.logIn(planted.token, "ada");
    expect(await sessions.revoke(planted.token)).toBe(false);
    expect(await sessions.get(login.token)).not.toBeNull();
  });

  test("of two rotations ago is dead", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const login = await sessions.create({}, { userId: "ada" });
    const next = await rotated(sessions, login.token!);
    const last = await rotated(sessions, next.token);
    expect(await sessions.rotate(login.token!)).toBeNull();
    expect(await sessions.revoke(login.token!)).toBe(false);
    expect(await sessions.get(last.token)).not.toBeNull();
  });

  test("does not stop log out this device, which goes by the id", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const login = await sessions.create({}, { userId: "ada" });
    const [shown] = await sessions.listForUser("ada");
    const next = await rotated(sessions, login.token!);
    expect(await sessions.revokeById(shown!.id, { userId: "ada" })).toBe(true);
    expect(await sessions.get(next.token)).toBeNull();
  });
});
