import { memoryStore, type SessionRecord, Sessions, type SessionStore } from "@tenure/core";
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

  test("of what was ended while its successor was made gives none", async () => {
    for (const nth of [1, 2]) {
      const memory = memoryStore();
      let writes = 0;
      const logOutAfter = async <Answer>(answer: Promise<Answer>): Promise<Answer> => {
        const answered = await answer;
        if ((writes += 1) === nth) await memory.revokeUser("ada");
        return answered;
      };
      const store: SessionStore = {
        ...memory,
        create: (session) => logOutAfter(memory.create(session)),
        revoke: (id) => logOutAfter(memory.revoke(id)),
      };
      const { token } = await new Sessions({ store: memory }).create({}, { userId: "ada" });
      expect(await new Sessions({ store }).rotate(token), `write ${nth}`).toBeNull();
      expect(await memory.listUser("ada")).toEqual([]);
    }
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
      for (let head = 0; head < 30; head += 1) {
        const sessions = new Sessions({ store: interleaved(memoryStore(), seed * 30 + head) });
        const { token } = await sessions.create({}, { userId: "ada" });
        const rotating = sessions.rotate(token);
        await turns(head);
        await sessions.revokeAllForUser("ada");
        expect(await sessions.listForUser("ada"), `seed ${seed}`).toEqual([]);
        const rotated = await rotating;
        expect(await sessions.listForUser("ada"), `seed ${seed}`).toEqual([]);
        if (rotated) expect(await sessions.get(rotated.token)).toBeNull();
      }
    }
  });

  test("again and again, by who holds the token, outruns no log out everywhere", async () => {
    for (const seed of seeds) {
      for (let head = 0; head < 20; head += 1) {
        const sessions = new Sessions({ store: interleaved(memoryStore(), seed * 20 + head) });
        let { token } = await sessions.create({}, { userId: "ada" });
        const running = (async () => {
          for (;;) {
            const rotated = await sessions.rotate(token);
            if (!rotated) return;
            ({ token } = rotated);
          }
        })();
        await turns(head);
        await sessions.revokeAllForUser("ada");
        expect(await sessions.listForUser("ada"), `seed ${seed}`).toEqual([]);
        await running;
      }
    }
  });

  test.each([1, 2, 3])(
    "of session %d of 3, beside a login that a cap of 3 lets in, costs the oldest its session and nobody else",
    async (nth) => {
      for (const seed of seeds) {
        let now = 1_000_000;
        const store = interleaved(memoryStore({ clock: () => (now += 1) }), seed);
        const sessions = new Sessions({ store, maxPerUser: 3 });
        const tokens: string[] = [];
        for (const n of [1, 2, 3]) tokens.push((await sessions.create({ n }, { userId: "ada" })).token);
        const [rotated] = await Promise.all([
          turns(seed % 20).then(() => sessions.rotate(tokens[nth - 1]!)),
          sessions.create({ n: 4 }, { userId: "ada" }),
        ]);
        const alive = (await sessions.listForUser("ada")).map(({ data }) => data.n);
        expect(alive, `seed ${seed}`).toEqual([2, 3, 4]);
        const found = rotated && (await sessions.get(rotated.token));
        expect(found?.data.n, `seed ${seed}`).toBe(nth === 1 ? undefined : nth);
      }
    },
  );

  test("in the middle of a cap's look is no session more", async () => {
    for (let round = 0; round < 20; round += 1) {
      let now = 1_000_000;
      const memory = memoryStore({ clock: () => (now += 1) });
      const sessions = new Sessions({ store: memory });
      const tokens: string[] = [];
      for (const n of [1, 2, 3]) tokens.push((await sessions.create({ n }, { userId: "ada" })).token);
      let isOver = false;
      // Judged per session, in two pages: shows the one that leaves as well as its successor.
      const listUser = async (userId: string): Promise<SessionRecord[]> => {
        const page = await memory.listUser(userId);
        if (isOver || page.length < 4) return page;
        isOver = true;
        await sessions.rotate(tokens[1]!);
        const seen = new Set(page.map(({ id }) => id));
        return [...page, ...(await memory.listUser(userId)).filter(({ id }) => !seen.has(id))];
      };
      const capped = new Sessions({ store: { ...memory, listUser }, maxPerUser: 3 });
      await capped.create({ n: 4 }, { userId: "ada" });
      expect((await sessions.listForUser("ada")).map(({ data }) => data.n)).toEqual([2, 3, 4]);
    }
  });

  test("shows a user's list one session, never the old one and its successor", async () => {
    for (const seed of seeds) {
      const store = memoryStore();
      const sessions = new Sessions({ store: interleaved(store, seed) });
      const { token } = await sessions.create({}, { userId: "ada" });
      const rotating = sessions.rotate(token);
      const onlooker = new Sessions({ store });
      for (let turn = 0; turn < 100; turn += 1) {
        expect((await onlooker.listForUser("ada")).length, `seed ${seed}`).toBeLessThanOrEqual(1);
        await turns(1);
      }
      await rotating;
      expect(await sessions.listForUser("ada")).toHaveLength(1);
    }
  });

  test("that the store refuses leaves the session as it was", async () => {
    const memory = memoryStore();
    const refuse = (userId: string | null | undefined): void => {
      if (userId === "too long") throw new TypeError("userId is too long");
    };
    const store: SessionStore = {
      ...memory,
      create: async (session) => (refuse(session.userId), memory.create(session)),
      update: async (id, changes) => (refuse(changes.userId), memory.update(id, changes)),
    };
    const sessions = new Sessions({ store });
    const { token } = await sessions.create({ a: 1 });
    await expect(sessions.rotate(token, { userId: "too long" })).rejects.toThrow(TypeError);
    expect((await sessions.get(token))?.data).toEqual({ a: 1 });
  });

  test("of a session that this codec can't read leaves it as it was", async () => {
    const store = memoryStore();
    const { token } = await new Sessions({ store }).create({ a: 1 });
    const codec = {
      encode: (): string => "x",
      decode: (): object => {
        throw new Error("not mine");
      },
    };
    await expect(new Sessions({ store, codec }).rotate(token)).rejects.toThrow(/not of this codec/);
    expect((await new Sessions({ store }).get(token))?.data).toEqual({ a: 1 });
  });

  test("that is cut short leaves the session as it was, or no session that anyone sees", async () => {
    for (let cut = 1; cut <= 6; cut += 1) {
      for (const executes of [false, true]) {
        let left = Infinity;
        const store = cutAfter(memoryStore(), () => (left -= 1) > 0, executes);
        const sessions = new Sessions({ store });
        const { token } = await sessions.create({}, { userId: "ada" });
        await sessions.get(token);
        left = cut;
        const rotated = await sessions.rotate(token).catch(() => undefined);
        left = Infinity;
        expect(rotated === undefined, `cut ${cut}`).toBe(cut <= 5);
        const alive = rotated?.session ?? (await sessions.get(token));
        const listed = (await sessions.listForUser("ada")).map(({ id }) => id);
        expect(listed, `cut ${cut}`).toEqual(alive ? [alive.id] : []);
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
