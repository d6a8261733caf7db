import { canStart, startRedis } from "@tenure/servers";
import type { OwnServer } from "@tenure/servers";
import type { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients } from "./clients.ts";
import { freshId, newSession } from "./sessions.ts";

const here = await canStart("redis");
const clients = new Clients();
let own: OwnServer;
let admin: Redis;
let store: ReturnType<typeof redisStore>;

here.describe("the index of a user's sessions", () => {
  beforeAll(async () => {
    own = await startRedis();
    admin = clients.redis(own.url);
    store = redisStore(clients.redis(own.url));
  });
  afterAll(async () => {
    clients[Symbol.dispose]();
    await own?.[Symbol.asyncDispose]();
  });

  test("a session that is revoked is doubted, for a failover may bring it back, and leaves ten minutes later when the user logs in again", async () => {
    const userId = freshId();
    const [first, second] = [await create({ userId }), await create({ userId })];
    await store.revoke(first);
    await expect.poll(() => score(userId, first)).toBeLessThan(0);
    await create({ userId });
    await store.now();
    expect(await score(userId, first)).toBeLessThan(0);
    await store.revokeUser(userId);
    await expect.poll(() => admin.zcount(indexOf(userId), "0", "inf")).toBe(0);
    await admin.zincrby(indexOf(userId), 600_001, first);
    await admin.zincrby(indexOf(userId), 600_001, second);
    const third = await create({ userId });
    await expect.poll(() => score(userId, first)).toBeNull();
    await expect.poll(() => score(userId, second)).toBeNull();
    expect(await score(userId, third)).toBeGreaterThan(0);
  });

  test("a session that a failover brings back after it had ended is still reached", async () => {
    const userId = freshId();
    const id = await create({ userId });
    const value = await admin.get(`tenure:s:${id}`);
    await store.revoke(id);
    await expect.poll(() => score(userId, id)).toBeLessThan(0);
    await admin.set(`tenure:s:${id}`, value!, "EX", 60);
    await expect(store.listUser(userId)).resolves.toMatchObject([{ id }]);
    await expect(store.revokeUser(userId)).resolves.toBe(1);
    await expect(store.read(id)).resolves.toBeNull();
  });

  test("a session that is doubted and alive all the same is found by the next login, and is in no doubt", async () => {
    const userId = freshId();
    const id = await create({ userId });
    const { endsAt } = (await store.read(id))!;
    await admin.zadd(indexOf(userId), String(600_001 - (await store.now())), id);
    await create({ userId });
    await expect.poll(() => score(userId, id)).toBe(endsAt);
  });

  test("it expires by itself, an hour after the last session must end", async () => {
    const userId = freshId();
    const long = await create({ userId, lifetime: 7_200_000 });
    await create({ userId, lifetime: 60_000 });
    const { endsAt } = (await store.read(long))!;
    // The index was written before the session was.
    const expires = await admin.call("PEXPIRETIME", indexOf(userId));
    expect(Number(expires)).toBeGreaterThan(endsAt + 3_600_000 - 5000);
    expect(Number(expires)).toBeLessThanOrEqual(endsAt + 3_600_000);
  });

  test("a touch never writes it", async () => {
    const userId = freshId();
    const id = await create({ userId });
    const before = await admin.zrange(indexOf(userId), "0", "-1", "WITHSCORES");
    await admin.config("RESETSTAT");
    await store.update(id, {});
    await store.update(id, { data: "new" });
    await store.update(id, { userId });
    expect(await admin.zrange(indexOf(userId), "0", "-1", "WITHSCORES")).toEqual(before);
    expect(await admin.info("commandstats")).not.toContain("cmdstat_zadd");
  });

  test("entries an hour past their session's end go when the user logs in again", async () => {
    const userId = freshId();
    const longAgo = (await store.now()) - 3_601_000;
    await admin.zadd(
      indexOf(userId),
      ...Array.from({ length: 250 }, (_, n) => [String(longAgo), `old-${n}`]).flat(),
    );
    for (let left = 250; left > 0; left -= 100) await create({ userId });
    expect(await admin.zcount(indexOf(userId), "0", String(longAgo))).toBe(0);
    expect(await admin.zcard(indexOf(userId))).toBeLessThan(20);
  });

  test("an id that leads nowhere is doubted when found, and goes when it still leads nowhere after ten minutes", async () => {
    const userId = freshId();
    const id = freshId();
    const future = (await store.now()) + 86_400_000;
    await admin.zadd(indexOf(userId), String(future), id);
    await expect(store.listUser(userId)).resolves.toEqual([]);
    await expect.poll(() => score(userId, id)).toBeLessThan(0);

    const doubted = (await score(userId, id))!;
    await expect(store.listUser(userId)).resolves.toEqual([]);
    await expect(store.revokeUser(userId)).resolves.toBe(0);
    await store.now();
    expect(await score(userId, id)).toBe(doubted);

    await admin.zadd(indexOf(userId), String(doubted + 600_001), id);
    await store.listUser(userId);
    await expect.poll(() => score(userId, id)).toBeNull();
  });

  test("an id is doubted while its session is on its way: once that is there, it counts and is in no doubt", async () => {
    const userId = freshId();
    const session = newSession({ userId });
    const future = (await store.now()) + 86_400_000;
    await admin.zadd(indexOf(userId), String(future), session.id);
    await store.listUser(userId);
    await expect.poll(() => score(userId, session.id)).toBeLessThan(0);
    // What a create does whose index was written before that look.
    await redisStore(clients.redis(own.url)).create({ ...session, userId: null });
    await admin.call("SET", `tenure:s:${session.id}`, await valueBoundTo(userId), "KEEPTTL");

    const [record] = await store.listUser(userId);
    expect(record).toMatchObject({ id: session.id, userId });
    await expect.poll(() => score(userId, session.id)).toBe(record!.endsAt);
    await expect(store.revokeUser(userId)).resolves.toBe(1);
  });

  test(
    "a user who is never listed keeps an index of some size, though sessions die long before their end",
    { timeout: 60_000 },
    async () => {
      const userId = freshId();
      let largest = 0;
      for (let n = 0; n < 60; n += 1) {
        await Promise.all(
          Array.from({ length: 5 }, () => create({ userId, idle: 1, lifetime: 3_000_000_000_000 })),
        );
        // The ten minutes' patience, in no time.
        await admin.eval(
          "for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(0')) do redis.call('ZINCRBY', KEYS[1], 600001, id) end",
          1,
          indexOf(userId),
        );
        largest = Math.max(largest, await admin.zcard(indexOf(userId)));
      }
      expect(largest).toBeLessThan(150);
    },
  );

  test("a session that was bound to another user leaves the first one's index in the end, and is in the other's at once", async () => {
    const [before, after] = [freshId(), freshId()];
    const id = await create({ userId: before });
    await store.update(id, { userId: after });
    expect(await score(after, id)).toBe((await store.read(id))!.endsAt);
    await expect.poll(() => score(before, id)).toBeLessThan(0);
    await expect(store.listUser(before)).resolves.toEqual([]);
    await expect(store.revokeUser(before)).resolves.toBe(0);
    await expect(store.read(id)).resolves.not.toBeNull();
    await store.update(id, { userId: before });
    await expect.poll(() => score(before, id)).toBeGreaterThan(0);
    await expect(store.revokeUser(before)).resolves.toBe(1);
  });

  async function create(given: Parameters<typeof newSession>[0]): Promise<string> {
    const session = newSession(given);
    await expect(store.create(session)).resolves.toBe(true);
    return session.id;
  }

  /** A stored value of a session of that user. */
  async function valueBoundTo(userId: string): Promise<string> {
    const id = await create({ userId });
    const value = await admin.get(`tenure:s:${id}`);
    await store.revoke(id);
    return value!;
  }

  async function score(userId: string, id: string): Promise<number | null> {
    const found = await admin.zscore(indexOf(userId), id);
    return found === null ? null : Number(found);
  }
});

function indexOf(userId: string): string {
  return `tenure:u:${userId}`;
}
