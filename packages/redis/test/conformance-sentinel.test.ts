import { testStore } from "@tenure/conformance";
import { canStart, type RedisSentinel, startRedisSentinel } from "@tenure/servers";
import { inTurn } from "@tenure/store-wrappers/in-turn";
import { Redis } from "ioredis";
import { createSentinel } from "redis";
import { createSentinel as createSentinel5 } from "redis5";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RedisClient, redisStore } from "../src/index.ts";
import { Clients, onLoopback } from "./clients.ts";
import { mixedUp } from "./mixed-up.ts";
import { newId, newSession, readOrError } from "./sessions.ts";

const here = await canStart("redis-cluster");
const clients = new Clients();
let sentinel: RedisSentinel;

type Hosts = { host: string; port: number }[];

const keyPrefix = "app:";

const LIBRARIES: Record<string, (hosts: Hosts) => RedisClient> = {
  ioredis: (hosts) =>
    clients.add(new Redis({ name: "tenure", sentinels: hosts, keyPrefix, sentinelRetryStrategy: () => 100 })),
  "node-redis 6": (hosts) =>
    clients.connecting(
      createSentinel({ name: "tenure", sentinelRootNodes: hosts, keyPrefix, replicaPoolSize: 1 }),
    ),
  "node-redis 5": (hosts) =>
    clients.connecting(createSentinel5({ name: "tenure", sentinelRootNodes: hosts })),
};

/** The libraries that the conformance suite tests. */
const IN_TURN = ["ioredis", "node-redis 6"];

here.describe("with Sentinel", () => {
  const beforeFailover: Record<string, RedisClient> = {};
  beforeAll(async () => {
    sentinel = await startRedisSentinel();
    for (const [name, open] of Object.entries(LIBRARIES)) beforeFailover[name] = open(sentinels());
  });
  afterAll(async () => {
    clients[Symbol.dispose]();
    await sentinel?.[Symbol.asyncDispose]();
  });

  describe("after a failover", () => {
    const confirmed: Record<string, Awaited<ReturnType<typeof createConfirmed>>> = {};

    beforeAll(async () => {
      for (const [name, client] of Object.entries(beforeFailover))
        confirmed[name] = await createConfirmed(client);
      await sentinel.failover();
    });

    test.each(Object.keys(LIBRARIES))(
      "every creation and revocation that replicas confirmed is still there: %s",
      async (name) => {
        const { userId, kept, ended } = confirmed[name]!;
        // The first calls may use the dead connection. Each settles in time, and soon all resolve.
        for (const client of [LIBRARIES[name]!(sentinels()), beforeFailover[name]!]) {
          await expect
            .poll(() => readOrError(redisStore(client), kept.id), { timeout: 20_000 })
            .toMatchObject({ id: kept.id, data: kept.data });
        }
        const after = redisStore(beforeFailover[name]!);
        for (const { id } of ended) {
          await expect(after.read(id)).resolves.toBeNull();
          await expect(after.update(id, { data: "late" })).resolves.toBe("gone");
          await expect(after.create(newSession({ id }))).resolves.toBe("taken");
        }
        await expect(after.listUser(userId)).resolves.toMatchObject([{ id: kept.id }]);
        await expect(after.revokeUser(userId)).resolves.toBe(1);
      },
    );
  });

  let opened = 0;
  testStore(
    { describe, test },
    {
      name: "after a failover, waiting for a replica, ioredis and node-redis 6 in turn",
      open: () => {
        opened += 1;
        return inTurn(
          IN_TURN.map((name) =>
            redisStore(opened === 1 ? beforeFailover[name]! : LIBRARIES[name]!(sentinels()), {
              timeout: 30_000,
              waitForReplicas: { count: 1, timeout: 15_000 },
            }),
          ),
        );
      },
      unreachable: (address) =>
        inTurn(IN_TURN.map((name) => redisStore(LIBRARIES[name]!([address]), { timeout: 500 }))),
      mixedUp: (mixUp) =>
        inTurn(IN_TURN.map((name) => redisStore(mixedUp(LIBRARIES[name]!(sentinels()), mixUp)))),
    },
  );
});

/** Creates and revokes sessions, and waits until both replicas have confirmed it. */
async function createConfirmed(client: RedisClient) {
  const store = redisStore(client, { timeout: 30_000, waitForReplicas: { count: 2, timeout: 15_000 } });
  const userId = newId();
  const kept = newSession({ userId });
  const [ended, endedWithUser] = [newSession(), newSession({ userId: newId() })];
  for (const session of [kept, ended, endedWithUser])
    await expect(store.create(session)).resolves.toBe("created");
  await expect(store.revoke(ended.id)).resolves.toBe(true);
  await expect(store.revokeUser(endedWithUser.userId!)).resolves.toBe(1);
  return { userId, kept, ended: [ended, endedWithUser] };
}

function sentinels(): Hosts {
  return onLoopback(sentinel.sentinels.map(({ port }) => port));
}
