import type { SessionStore } from "@tenure/core";
import { canStart, startRedis, startRedisSentinel } from "@tenure/servers";
import { Redis, type RedisOptions } from "ioredis";
import { afterAll, expect, test, vi } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients, onLoopback } from "./clients.ts";
import { freshId, newSession } from "./sessions.ts";

const here = await canStart("redis");
const together = await canStart("redis-cluster");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

/** Some ten pages of a user's index. */
const MANY = 2000;

together.describe("a failover between two pages of a user's index", () => {
  test("revokeUser ends every session all the same", async () => {
    await using watched = await startRedisSentinel();
    const sentinels = onLoopback(watched.sentinels.map(({ port }) => port));
    const client = patient({ name: watched.name, sentinels, sentinelRetryStrategy: () => 100 });
    const store = redisStore(client, { timeout: 30_000 });
    const userId = await userOf(store, MANY);
    atPage(client, 3, async () => {
      await client.wait(2, 5000);
      await watched.failover();
    });
    await expect(store.revokeUser(userId)).resolves.toBe(MANY);
    await expect(store.listUser(userId)).resolves.toEqual([]);
  });
});

here.describe("a server that is restarted between two pages", () => {
  test("of a user's index: revokeUser ends every session all the same, and listUser lists every one", async () => {
    await using own = await startRedis({ args: ["--save", "3600 1"] });
    const client = patient({ host: "127.0.0.1", port: own.port });
    const store = redisStore(client, { timeout: 30_000 });
    const userId = await userOf(store, MANY);
    const restart = async () => {
      await own.stop();
      await own.start();
    };
    atPage(client, 3, restart);
    await expect(store.listUser(userId)).resolves.toHaveLength(MANY);
    atPage(client, 3, restart);
    await expect(store.revokeUser(userId)).resolves.toBe(MANY);
    await expect(store.listUser(userId)).resolves.toEqual([]);
  });

  test("of all keys: scan shows every session all the same, and none twice", async () => {
    await using own = await startRedis({ args: ["--save", "3600 1"] });
    const client = patient({ host: "127.0.0.1", port: own.port });
    const store = redisStore(client, { timeout: 30_000 });
    await userOf(store, MANY);
    const scanned: string[] = [];
    for await (const { id } of store.scan()) {
      scanned.push(id);
      if (scanned.length !== MANY / 2) continue;
      await own.stop();
      await own.start();
    }
    expect(scanned).toHaveLength(MANY);
    expect(new Set(scanned).size).toBe(MANY);
  });
});

/** A client that waits for its server as long as it takes. */
function patient(options: Omit<RedisOptions, "replyMapping">): Redis {
  return clients.add(new Redis({ retryStrategy: () => 50, maxRetriesPerRequest: null, ...options }));
}

/** Does something after the answer to the nth ZSCAN from now, and before the next is sent. */
function atPage(client: Redis, nth: number, act: () => Promise<unknown>): void {
  const ask = client.zscan.bind(client) as (...args: unknown[]) => Promise<[string, string[]]>;
  let page = 0;
  const spy = vi.spyOn(client, "zscan").mockImplementation(async (...args: unknown[]) => {
    const answer = await ask(...args);
    page += 1;
    if (page === nth) {
      spy.mockRestore();
      await act();
    }
    return answer;
  });
}

async function userOf(store: SessionStore, sessions: number): Promise<string> {
  const userId = freshId();
  for (let n = 0; n < sessions; n += 100) {
    await Promise.all(Array.from({ length: 100 }, () => store.create(newSession({ userId }))));
  }
  return userId;
}
