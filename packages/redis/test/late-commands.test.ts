import { type SessionStore, StoreError } from "@tenure/core";
import { faultyProxy, server } from "@tenure/servers";
import { Redis } from "ioredis";
import { createClient, createClientPool } from "redis";
import { afterAll, expect, test } from "vitest";
import { type RedisClient, redisStore, type RedisStoreOptions } from "../src/index.ts";
import { Clients, LIBRARIES } from "./clients.ts";
import { holdingProxy } from "./holding-proxy.ts";
import { newId, newSession, readOrError } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

redis.describe.each(LIBRARIES)(
  "a command that arrives after its call has rejected, with $name,",
  ({ open }) => {
    test.each(["create", "touch", "save", "login", "revoke", "revokeUser"] as const)(
      "changes nothing: %s",
      async (call) => {
        await using proxy = await holdingProxy(redis.url);
        const store = redisStore(open(clients, proxy.url), { timeout: 300 });
        const direct = redisStore(clients.redis(redis.url));
        const userId = newId();
        const [session, created] = [newSession({ userId }), newSession({ userId })];
        await direct.create(session);
        await firstTouch(store, session.id);
        const before = await direct.read(session.id);
        const calls = {
          create: () => store.create(created),
          touch: () => store.update(session.id, {}),
          save: () => store.update(session.id, { data: "late" }),
          login: () =>
            store.update(session.id, { userId: newId(), lifetime: 1000, authenticatedAt: Date.now() }),
          revoke: () => store.revoke(session.id),
          revokeUser: () => store.revokeUser(userId),
        };
        proxy.hold();
        await expect(calls[call]()).rejects.toThrow(StoreError);
        expect(proxy.holdsAny()).toBe(true);
        proxy.release();
        await expect.poll(() => readOrError(store, newId())).toBeNull();
        await expect(direct.read(session.id)).resolves.toEqual(before);
        await expect(direct.read(created.id)).resolves.toBeNull();
        await expect(direct.listUser(userId)).resolves.toEqual([before]);
      },
    );

    test("changes nothing if it is the second script of a login, whose first script arrived in time", async () => {
      await using proxy = await holdingProxy(redis.url);
      const store = redisStore(open(clients, proxy.url), { timeout: 300 });
      const direct = redisStore(clients.redis(redis.url));
      const admin = clients.redis(redis.url);
      const warmUp = () => store.create(newSession({ userId: newId() })).catch(String);
      await expect.poll(warmUp).toBe("created");
      const session = newSession({ userId: newId() });
      proxy.holdAfterReply();
      await expect(store.create(session)).rejects.toThrow(StoreError);
      await expect(admin.zscore(`tenure:u:${session.userId}`, session.id)).resolves.not.toBeNull();
      expect(proxy.holdsAny()).toBe(true);
      proxy.release();
      await expect.poll(() => readOrError(store, newId())).toBeNull();
      await expect(direct.read(session.id)).resolves.toBeNull();
    });
  },
);

redis.describe("a client that retries for ever", () => {
  const forever = { maxRetriesPerRequest: null, retryStrategy: () => 50 };
  const socket = { reconnectStrategy: () => 50 };
  const waitForReplicas = { count: 1, timeout: 100 };
  test.each<[string, (url: string) => RedisClient, RedisStoreOptions]>([
    ["ioredis, after the store's timeout", (url) => clients.add(new Redis(url, forever)), { timeout: 300 }],
    [
      "ioredis, after its own commandTimeout",
      (url) => clients.add(new Redis(url, { ...forever, commandTimeout: 300 })),
      { timeout: 5000 },
    ],
    [
      "ioredis, if the store waits for replicas",
      (url) => clients.add(new Redis(url, forever)),
      { timeout: 300, waitForReplicas },
    ],
    [
      "node-redis, after the store's timeout",
      (url) => clients.connecting(createClient({ url, socket })),
      { timeout: 300 },
    ],
    [
      "node-redis, after the timeout of its commandOptions",
      (url) => clients.connecting(createClient({ url, socket, commandOptions: { timeout: 300 } })),
      { timeout: 5000 },
    ],
    [
      "node-redis, if the store waits for replicas",
      (url) => clients.connecting(createClient({ url, socket })),
      { timeout: 300, waitForReplicas },
    ],
    ["a node-redis pool", (url) => clients.connecting(createClientPool({ url, socket })), { timeout: 300 }],
  ])(
    "changes nothing after the call has rejected, whether it still sends the command or not: %s",
    async (_, open, options) => {
      await using proxy = await faultyProxy(redis.url);
      const store = redisStore(open(proxy.url), options);
      const direct = redisStore(clients.redis(redis.url));
      const [session, created] = [newSession(), newSession()];
      await direct.create(session);
      await firstTouch(store, session.id);
      const before = await direct.read(session.id);
      await proxy.refuse();
      const calls = [
        store.create(created),
        store.update(session.id, {}),
        store.update(session.id, { data: "late" }),
        store.revoke(session.id),
      ];
      await Promise.all(calls.map((call) => expect(call).rejects.toThrow(StoreError)));
      await proxy.accept();
      await expect.poll(() => store.now().catch(String)).toEqual(expect.any(Number));
      await expect(direct.read(created.id)).resolves.toBeNull();
      await expect(direct.read(session.id)).resolves.toEqual(before);
    },
  );
});

/** Touches until a touch succeeds. Connecting may take a busy machine longer than the store's timeout. */
async function firstTouch(store: SessionStore, id: string): Promise<void> {
  await expect.poll(() => store.update(id, {}).catch(String)).toMatch(/^(?:updated|gone)$/);
}
