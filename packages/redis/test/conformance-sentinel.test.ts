import { testStore } from "@tenure/conformance";
import { canStart, type RedisSentinel, startRedisSentinel } from "@tenure/servers";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { redisStore, type RedisStoreOptions } from "../src/index.ts";
import { Clients, onLoopback } from "./clients.ts";
import { mixedUpOver } from "./mixed-up.ts";
import { freshId, newSession, stored } from "./sessions.ts";

const here = await canStart("redis-cluster");
const clients = new Clients();
let watched: RedisSentinel;
let ours: Redis;
let theirs: Redis;

here.describe("Sentinel", () => {
  beforeAll(async () => {
    watched = await startRedisSentinel();
    ours = connect();
    theirs = connect();
  });
  afterAll(async () => {
    clients[Symbol.dispose]();
    await watched?.[Symbol.asyncDispose]();
  });

  test(
    "after a failover, what replicas had confirmed is there: created sessions are alive, revoked ones are dead",
    { timeout: 90_000 },
    async () => {
      const store = redisStore(ours, { timeout: 30_000, waitForReplicas: { count: 2, timeout: 15_000 } });
      const userId = freshId();
      const [kept, ended, endedWithUser] = [
        newSession({ userId }),
        newSession(),
        newSession({ userId: freshId() }),
      ];
      for (const session of [kept, ended, endedWithUser])
        await expect(store.create(session)).resolves.toBe("created");
      await expect(store.revoke(ended.id)).resolves.toBe(true);
      await expect(store.revokeUser(endedWithUser.userId!)).resolves.toBe(1);

      await watched.failover();

      // The first calls may use the dead connection: each succeeds or rejects in time, and soon all succeed.
      await expect
        .poll(() => stored(redisStore(theirs), kept.id), { timeout: 20_000 })
        .toMatchObject({ id: kept.id, data: kept.data });
      const after = redisStore(ours);
      await expect
        .poll(() => stored(after, kept.id), { timeout: 20_000 })
        .toMatchObject({ id: kept.id, data: kept.data });
      for (const { id } of [ended, endedWithUser]) {
        await expect(after.read(id)).resolves.toBeNull();
        await expect(after.update(id, { data: "late" })).resolves.toBe("gone");
        await expect(after.create(newSession({ id }))).resolves.toBe("taken");
      }
      await expect(after.listUser(userId)).resolves.toMatchObject([{ id: kept.id }]);
      await expect(after.revokeUser(userId)).resolves.toBe(1);
    },
  );

  suite("after a failover, waiting for a replica", {
    timeout: 30_000,
    waitForReplicas: { count: 1, timeout: 15_000 },
  });
});

function suite(name: string, options: RedisStoreOptions): void {
  let opened = 0;
  testStore(
    { describe, test },
    {
      name: `Sentinel ${name}`,
      open: () => redisStore((opened += 1) === 1 ? ours : theirs, options),
      unreachable: ({ host, port }) =>
        redisStore(clients.add(new Redis({ name: "tenure", sentinels: [{ host, port }] })), { timeout: 500 }),
      mixedUp: mixedUpOver(connect),
    },
  );
}

function connect(): Redis {
  const sentinels = onLoopback(watched.sentinels.map(({ port }) => port));
  return clients.add(new Redis({ name: watched.name, sentinels, sentinelRetryStrategy: () => 100 }));
}
