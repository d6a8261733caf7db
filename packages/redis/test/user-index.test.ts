import { canStart, type OwnServer, startRedis } from "@tenure/servers";
import type { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients } from "./clients.ts";
import { createSession, newId } from "./sessions.ts";

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

  test("loses the entries of the sessions that revokeUser ended, and keeps the fence for the tombstone minimum", async () => {
    const userId = newId();
    const ids = [
      await createSession(store, { userId, lifetime: 60_000 }),
      await createSession(store, { userId, lifetime: 60_000 }),
    ];
    await store.revokeUser(userId, { except: ids[0]! });
    await expect.poll(() => entries(userId)).toEqual([ids[0]]);
    await expect(admin.pttl(indexOf(userId))).resolves.toBeGreaterThan(3_590_000);
  });

  test("keeps an entry without a session for ten minutes, because a create may be in flight, and loses it at a later listing", async () => {
    const userId = newId();
    const id = await createSession(store, { userId });
    await admin.del(`tenure:s:${id}`);
    await expect(store.listUser(userId)).resolves.toEqual([]);
    await store.now();
    await expect(entries(userId)).resolves.toEqual([id]);
    await age(userId);
    await expect(store.listUser(userId)).resolves.toEqual([]);
    await expect.poll(() => entries(userId)).toEqual([]);
  });

  test("keeps the entry of a session that was bound again before a late removal of the entry arrives", async () => {
    const userId = newId();
    const id = await createSession(store, { userId });
    await store.update(id, { userId: null });
    await age(userId);
    const lister = clients.redis(own.url);
    // The listing finds the session unbound. The removal is delayed until the session is bound again.
    const evalsha = lister.evalsha.bind(lister) as (...args: unknown[]) => Promise<unknown>;
    const { promise: bound, resolve: sendRemoval } = Promise.withResolvers<void>();
    let scripts = 0;
    let removal: Promise<unknown> | undefined;
    lister.evalsha = (...args: unknown[]) => {
      scripts += 1;
      // The first call only learns the server's clock.
      if (scripts < 3) return evalsha(...args);
      removal = bound.then(() => evalsha(...args));
      return removal;
    };
    await expect(redisStore(lister).listUser(userId)).resolves.toEqual([]);
    await expect.poll(() => removal !== undefined).toBe(true);
    await store.update(id, { userId });
    sendRemoval();
    await removal;
    await expect(store.listUser(userId)).resolves.toMatchObject([{ id }]);
  });

  test("stays small if the user is never listed, even if sessions expire long before their lifetime ends", async () => {
    const userId = newId();
    let largest = 0;
    for (let n = 0; n < 60; n += 1) {
      await Promise.all(
        Array.from({ length: 5 }, () =>
          createSession(store, { userId, idle: 1, lifetime: 3_000_000_000_000 }),
        ),
      );
      // Wait for the reads that follow a create, and for the removals that follow those.
      for (let turn = 0; turn < 3; turn += 1) await store.now();
      await age(userId);
      largest = Math.max(largest, await admin.zcard(indexOf(userId)));
    }
    expect(largest).toBeLessThan(150);
  });

  test("expires an hour after the end of the longest lifetime", async () => {
    const userId = newId();
    const long = await createSession(store, { userId, lifetime: 7_200_000 });
    await createSession(store, { userId, lifetime: 60_000 });
    const { endsAt } = (await store.read(long))!;
    // The index was written before the session.
    const expires = Number(await admin.call("PEXPIRETIME", indexOf(userId)));
    expect(expires).toBeGreaterThan(endsAt + 3_600_000 - 5000);
    expect(expires).toBeLessThanOrEqual(endsAt + 3_600_000);
  });

  test("outlasts a lifetime that an update restarts, even if the update does not give the user", async () => {
    const userId = newId();
    const id = await createSession(store, { userId, lifetime: 60_000 });
    await store.update(id, { lifetime: 7_200_000 });
    const expires = Number(await admin.call("PEXPIRETIME", indexOf(userId)));
    expect(expires).toBeGreaterThan((await store.read(id))!.endsAt + 3_590_000);
  });

  test("is not written by a touch or a save", async () => {
    const userId = newId();
    const id = await createSession(store, { userId });
    await admin.config("RESETSTAT");
    await store.update(id, {});
    await store.update(id, { data: "new" });
    await store.update(id, { userId });
    expect(await admin.info("commandstats")).not.toContain("cmdstat_zadd");
  });

  async function entries(userId: string): Promise<string[]> {
    return admin.zrangebyscore(indexOf(userId), "(0", "inf");
  }

  /** Makes all entries of an index ten minutes older. */
  async function age(userId: string): Promise<void> {
    for (const id of await entries(userId)) await admin.zincrby(indexOf(userId), -600_001_000, id);
  }
});

function indexOf(userId: string): string {
  return `tenure:u:${userId}`;
}
