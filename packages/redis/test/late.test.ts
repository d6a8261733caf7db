import { StoreError } from "@tenure/core";
import { canStart, server, startRedis } from "@tenure/servers";
import { Redis } from "ioredis";
import { afterAll, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients } from "./clients.ts";
import { heldBack } from "./held-back.ts";
import { freshId, newSession, stored } from "./sessions.ts";

const redis = await server("redis");
const here = await canStart("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

redis.describe("a command that arrives after its caller got an error", () => {
  test.each(["create", "touch", "save", "login", "revoke", "revokeUser"] as const)(
    "%s changes nothing",
    async (call) => {
      await using held = await heldBack(redis.url);
      const store = redisStore(clients.redis(held.url), { timeout: 300 });
      const direct = redisStore(clients.redis(redis.url));
      const userId = freshId();
      const [session, fresh] = [newSession({ userId }), newSession({ userId })];
      await direct.create(session);
      await store.update(session.id, {});
      const before = await direct.read(session.id);
      const calls = {
        create: () => store.create(fresh),
        touch: () => store.update(session.id, {}),
        save: () => store.update(session.id, { data: "late" }),
        login: () =>
          store.update(session.id, { userId: freshId(), lifetime: 1000, authenticatedAt: Date.now() }),
        revoke: () => store.revoke(session.id),
        revokeUser: () => store.revokeUser(userId),
      };
      held.hold();
      await expect(calls[call]()).rejects.toThrow(StoreError);
      held.release();
      await expect.poll(() => stored(store, freshId())).toBeNull();
      await expect(direct.read(session.id)).resolves.toEqual(before);
      await expect(direct.read(fresh.id)).resolves.toBeNull();
      await expect(direct.listUser(userId)).resolves.toEqual([before]);
    },
  );

  test("the second script of a login changes nothing either, though the first was in time", async () => {
    await using held = await heldBack(redis.url);
    const store = redisStore(clients.redis(held.url), { timeout: 300 });
    const direct = redisStore(clients.redis(redis.url));
    const admin = clients.redis(redis.url);
    await store.create(newSession({ userId: freshId() }));
    const session = newSession({ userId: freshId() });
    held.holdAfterReply();
    await expect(store.create(session)).rejects.toThrow(StoreError);
    await expect(admin.zscore(`tenure:u:${session.userId}`, session.id)).resolves.not.toBeNull();
    held.release();
    await expect.poll(() => stored(store, freshId())).toBeNull();
    await expect(direct.read(session.id)).resolves.toBeNull();
  });
});

here.describe("a client that goes on trying for ever", () => {
  test.each([
    ["the store's timeout", {}, { timeout: 300 }],
    ["its own commandTimeout", { commandTimeout: 300 }, { timeout: 5000 }],
    ["a store that waits for replicas", {}, { timeout: 300, waitForReplicas: { count: 1, timeout: 100 } }],
  ])("sends what was given up by %s, and it changes nothing", async (_, its, options) => {
    await using own = await startRedis();
    const client = clients.add(
      new Redis(own.url, { maxRetriesPerRequest: null, retryStrategy: () => 50, ...its }),
    );
    const store = redisStore(client, options);
    const direct = redisStore(clients.redis(own.url));
    const [session, created] = [newSession(), newSession()];
    await direct.create(session);
    await store.update(session.id, {});
    const before = await direct.read(session.id);
    await own.pause();
    client.disconnect(true);
    const calls = [
      store.create(created),
      store.update(session.id, {}),
      store.update(session.id, { data: "late" }),
      store.revoke(session.id),
    ];
    for (const call of calls) await expect(call).rejects.toThrow(StoreError);
    await own.resume();
    await expect.poll(() => store.now().catch(String)).toEqual(expect.any(Number));
    await expect(direct.read(created.id)).resolves.toBeNull();
    await expect(direct.read(session.id)).resolves.toEqual(before);
  });
});
