import { memoryStore, Sessions, type SessionStore } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { interleaved, seeds, turns } from "./interleaved.ts";

describe("rotate", () => {
  test("gives a new token, and the old one is dead; data, creation and end are kept (ASVS 7.2.4)", async () => {
    let now = 1000;
    const sessions = new Sessions({
      store: memoryStore({ clock: () => now }),
      idleTimeout: 400,
      lifetime: 1000,
    });
    const before = await sessions.create({ cart: "tea" });
    now += 300;
    const after = (await sessions.rotate(before.token, { userId: "ada" }))!;
    expect(after.token).not.toBe(before.token);
    expect(await sessions.get(before.token)).toBeNull();
    const found = (await sessions.get(after.token))!;
    expect(found).toMatchObject({ data: { cart: "tea" }, userId: "ada", createdAt: 1000, endsAt: 2000 });
    expect(await sessions.listForUser("ada")).toHaveLength(1);
    now = 1700;
    expect(await sessions.rotate(after.token)).toBeNull();
  });

  test("can take a session from its user, and give it to another", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({}, { userId: "ada" });
    const bobs = (await sessions.rotate(token, { userId: "bob" }))!;
    expect([await sessions.listForUser("ada"), await sessions.listForUser("bob")]).toMatchObject([
      [],
      [{ userId: "bob" }],
    ]);
    const nobodys = (await sessions.rotate(bobs.token, { userId: null }))!;
    expect(nobodys.session.userId).toBeNull();
    expect(await sessions.listForUser("bob")).toEqual([]);
  });

  test("answers a session that can be saved at once", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({ a: 1 });
    const rotated = (await sessions.rotate(token))!;
    await sessions.save(rotated.session, { a: 1, b: 2 });
    expect((await sessions.get(rotated.token))?.data).toEqual({ a: 1, b: 2 });
  });

  test("of what died gives none", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token } = await sessions.create({}, { userId: "ada" });
    await sessions.revoke(token);
    expect(await sessions.rotate(token)).toBeNull();
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("twice at once ends with exactly one live session", async () => {
    for (const seed of seeds) {
      const sessions = new Sessions({ store: interleaved(memoryStore(), seed) });
      const { token } = await sessions.create({ a: 1 }, { userId: "ada" });
      const rotations = await Promise.all([
        sessions.rotate(token),
        sessions.rotate(token),
        sessions.rotate(token),
      ]);
      const won = rotations.filter((rotation) => rotation !== null);
      expect(won, `seed ${seed}`).toHaveLength(1);
      expect((await sessions.listForUser("ada")).map(({ id }) => id)).toEqual([won[0]!.session.id]);
      expect((await sessions.get(won[0]!.token))?.data).toEqual({ a: 1 });
    }
  });

  test("during a logout gives no live login, where the logout says that it ended the session", async () => {
    for (const seed of seeds) {
      const sessions = new Sessions({ store: interleaved(memoryStore(), seed) });
      const { token } = await sessions.create({}, { userId: "ada" });
      const logout = async (): Promise<boolean> => {
        await turns(seed % 40);
        return sessions.revoke(token);
      };
      const [rotated, ended] = await Promise.all([sessions.rotate(token), logout()]);
      expect(rotated === null, `seed ${seed}`).toBe(ended);
      expect(await sessions.listForUser("ada")).toHaveLength(ended ? 0 : 1);
    }
  });

  test("loses no save that was acknowledged meanwhile", async () => {
    for (const seed of seeds) {
      const sessions = new Sessions({ store: interleaved(memoryStore(), seed) });
      const { token, session } = await sessions.create({ a: 1 });
      const [saved, rotated] = await Promise.all([
        sessions.save(session, { a: 1, b: 2 }),
        sessions.rotate(token),
      ]);
      const found = await sessions.get(rotated!.token);
      expect(found?.data, `seed ${seed}`).toEqual(saved ? { a: 1, b: 2 } : { a: 1 });
      expect(rotated!.session.data).toEqual(found?.data);
    }
  });

  test("that began before log out everywhere resolved gives no login that outlasts it", async () => {
    for (const seed of seeds) {
      const sessions = new Sessions({ store: interleaved(memoryStore(), seed) });
      const { token } = await sessions.create({}, { userId: "ada" });
      const rotating = sessions.rotate(token);
      await turns(seed % 40);
      await sessions.revokeAllForUser("ada");
      const rotated = await rotating;
      expect(await sessions.listForUser("ada"), `seed ${seed}`).toEqual([]);
      if (rotated) expect(await sessions.get(rotated.token)).toBeNull();
    }
  });

  test("that is cut short leaves no login that anyone holds a token of, and none that log out everywhere misses", async () => {
    for (let cut = 1; cut <= 5; cut += 1) {
      for (const executes of [false, true]) {
        let left = Infinity;
        const store = cutAfter(memoryStore(), () => (left -= 1) > 0, executes);
        const sessions = new Sessions({ store });
        const { token } = await sessions.create({}, { userId: "ada" });
        await sessions.get(token);
        left = cut;
        const rotated = await sessions.rotate(token).catch((error: unknown) => error);
        left = Infinity;
        if (rotated instanceof Error)
          expect(await sessions.rotate(token).catch(() => null), `${cut}`).not.toBeInstanceOf(Error);
        await sessions.revokeAllForUser("ada");
        expect(await sessions.listForUser("ada")).toEqual([]);
        expect(await sessions.get(token)).toBeNull();
      }
    }
  });
});

/** A store that fails from some call on, before or after executing it. */
function cutAfter(store: SessionStore, works: () => boolean, executes: boolean): SessionStore {
  const call = async <Answer>(run: () => Promise<Answer>): Promise<Answer> => {
    if (works()) return run();
    if (executes) await run();
    throw new Error("cut");
  };
  return {
    ...store,
    create: (session) => call(() => store.create(session)),
    read: (id) => call(() => store.read(id)),
    update: (id, changes) => call(() => store.update(id, changes)),
    revoke: (id) => call(() => store.revoke(id)),
  };
}
