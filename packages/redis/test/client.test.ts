import { server } from "@tenure/servers";
import { Cluster, Redis } from "ioredis";
import { Cluster as Cluster5, Redis as Redis5 } from "ioredis5";
import {
  createClient,
  createClientPool,
  createCluster,
  createSentinel,
  type RedisClientOptions,
} from "redis";
import { createClient as createClient5 } from "redis5";
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type RedisClient, redisStore } from "../src/index.ts";
import { Clients } from "./clients.ts";
import { newId, newSession, warmUp } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

const lazy = { lazyConnect: true } as const;

describe("redisStore refuses", () => {
  test.each<[string, RedisClient]>([
    ["a Cluster that reads from replicas", new Cluster([], { ...lazy, scaleReads: "slave" })],
    ["a Cluster that reads from all", new Cluster5([], { ...lazy, scaleReads: "all" })],
    ["a Cluster with a function that chooses the node", new Cluster([], { ...lazy, scaleReads: () => null })],
    ["a replica that Sentinel chose", new Redis({ ...lazy, sentinels: [{}], name: "tenure", role: "slave" })],
    ["a read-only connection", new Redis({ ...lazy, readOnly: true })],
  ])("%s, because a replica may still return revoked sessions", (_, client) => {
    expect(() => redisStore(client)).toThrow(
      expect.objectContaining({ name: "TypeError", message: expect.stringContaining("primaries") as string }),
    );
  });

  const node = (options: RedisClientOptions): RedisClient => clients.connecting(createClient(options));
  test.each<[string, () => RedisClient, string]>([
    ["a client that reads from replicas", () => node({ readonly: true }), "primaries"],
    ["a client with a cache", () => node({ clientSideCache: { ttl: 0 } }), "clientSideCache"],
    ["a client with a keyPrefix of bytes", () => node({ keyPrefix: Buffer.from("a") }), "keyPrefix"],
    [
      "a Cluster that reads from replicas",
      () => clients.connecting(createCluster({ rootNodes: [], useReplicas: true })),
      "primaries",
    ],
    [
      "a pool with a cache",
      () => clients.connecting(createClientPool({}, { clientSideCache: { ttl: 0 } })),
      "clientSideCache",
    ],
    ["a client that is not connected", () => createClient(), "connect()"],
    ["a client of version 5 that is not connected", () => createClient5(), "connect()"],
    ["a pool that is not connected", () => createClientPool(), "connect()"],
    ["a Cluster that is not connected", () => createCluster({ rootNodes: [] }), "connect()"],
    [
      "a Sentinel that is not connected",
      () => createSentinel({ name: "tenure", sentinelRootNodes: [{ host: "127.0.0.1", port: 1 }] }),
      "connect()",
    ],
  ])("with node-redis, %s", (_, open, name) => {
    expect(() => redisStore(open())).toThrow(
      expect.objectContaining({ name: "TypeError", message: expect.stringContaining(name) as string }),
    );
  });

  test.each<[unknown, string]>([
    [undefined, "undefined"],
    [null, "null"],
    ["redis://127.0.0.1:6379", "string"],
    [createClient().legacy(), "legacy mode"],
    [{ isOpen: true, sendCommand() {} }, "node-redis 4"],
    [{ invokeScript() {} }, "Valkey GLIDE"],
    [{ evalsha() {}, mget() {}, options: {}, keyData: {}, shaScripts: {} }, "ioredis-mock"],
    [{}, "an object that is not a client"],
  ])("%j, which is not a supported client, with an error that names what it is", (client, name) => {
    // A caller without types may pass any value.
    expect(() => redisStore(client as RedisClient)).toThrow(
      expect.objectContaining({ name: "TypeError", message: expect.stringContaining(name) as string }),
    );
  });
});

describe("redisStore", () => {
  test("accepts clients with ioredis' defaults, and does not connect them", () => {
    for (const client of [new Cluster([], lazy), new Cluster5([], lazy), new Redis(lazy), new Redis5(lazy)]) {
      expect(() => redisStore(client)).not.toThrow();
      expect(client.status).toBe("wait");
    }
  });
});

describe("redisStore refuses an invalid option", () => {
  test.each([
    [{ timeout: 0 }, "timeout"],
    [{ timeout: 30_001 }, "timeout"],
    [{ timeout: 0.5 }, "timeout"],
    [{ tombstoneMinimum: -1 }, "tombstoneMinimum"],
    [{ tombstoneMinimum: 9_999 }, "tombstoneMinimum"],
    [{ prefix: "\ud800" }, "prefix"],
    [{ waitForReplicas: { count: 0, timeout: 100 } }, "waitForReplicas.count"],
    [{ waitForReplicas: { count: 1, timeout: 0 } }, "waitForReplicas.timeout"],
    [{ waitForReplicas: { count: 1, timeout: 2501 } }, "waitForReplicas.timeout"],
    [{ tombstoneMinimun: 1 } as never, "Unknown option tombstoneMinimun. Known options: prefix, timeout"],
    [{ waitForReplicas: { replicas: 1 } as never }, "Unknown option replicas. Known options: count, timeout"],
  ])("%j", (options, name) => {
    expect(() => redisStore(new Redis(lazy), options)).toThrow(
      expect.objectContaining({ name: "TypeError", message: expect.stringContaining(name) as string }),
    );
  });
});

redis.describe("redisStore refuses a client that has subscribed to a channel", () => {
  // ioredis 6 uses RESP 3, with which a subscribed client can still send commands.
  test("ioredis 5", async () => {
    const client = clients.add(new Redis5(redis.url));
    await client.subscribe("channel");
    expect(() => redisStore(client)).toThrow("subscriber mode");
  });

  test("node-redis", async () => {
    const client = clients.connecting(createClient({ url: redis.url }));
    await client.subscribe("channel", () => undefined);
    expect(() => redisStore(client)).toThrow("subscribes");
  });
});

redis.describe("node-redis", () => {
  test("a client with asap() and an aborted signal still executes all calls in order", async () => {
    const client = clients.connecting(createClient({ url: redis.url, keyPrefix: `${newId()}:` }));
    const store = redisStore(client.withAbortSignal(AbortSignal.abort()).asap());
    const { id } = newSession();
    await expect(store.create(newSession({ id }))).resolves.toBe("created");
    await warmUp(store);
    const results = await Promise.all([
      store.update(id, { data: "new" }),
      store.read(id),
      store.revoke(id),
      store.read(id),
    ]);
    expect(results).toEqual(["updated", expect.objectContaining({ data: "new", version: 2 }), true, null]);
  });

  test("the store returns a pool's only connection to the application after each call", async () => {
    const pool = clients.connecting(createClientPool({ url: redis.url }, { maximum: 1 }));
    const store = redisStore(pool);
    const session = newSession();
    await store.create(session);
    await Promise.all([pool.ping(), store.read(session.id), pool.ping()]);
    await expect(store.read(session.id)).resolves.toMatchObject({ id: session.id });
    expect(pool.idleClients).toBe(1);
  });
});

redis.describe("keys", () => {
  test("stores with different prefixes, client prefixes or databases do not see each other's sessions", async () => {
    const prefix = `${newId()}:`;
    const session = newSession({ userId: newId() });
    const stores = [
      redisStore(clients.add(new Redis(redis.url)), { prefix }),
      redisStore(clients.add(new Redis(redis.url)), { prefix: `${prefix}x` }),
      redisStore(clients.add(new Redis(redis.url, { keyPrefix: "k:" })), { prefix }),
      redisStore(clients.add(new Redis(redis.url, { db: 5 })), { prefix }),
      redisStore(clients.connecting(createClient({ url: redis.url, keyPrefix: "n:" })), { prefix }),
      redisStore(clients.connecting(createClient({ url: redis.url, database: 6 })), { prefix }),
      redisStore(clients.connecting(createClientPool({ url: redis.url, keyPrefix: "p:" })), { prefix }),
    ];
    for (const [n, store] of stores.entries()) {
      await expect(store.create({ ...session, data: `store ${n}` })).resolves.toBe("created");
    }
    for (const [n, store] of stores.entries()) {
      await expect(store.read(session.id)).resolves.toMatchObject({ data: `store ${n}` });
      await expect(store.listUser(session.userId!)).resolves.toHaveLength(1);
      const scanned = [];
      for await (const { data } of store.scan()) scanned.push(data);
      expect(scanned).toEqual([`store ${n}`]);
      await expect(store.revokeUser(session.userId!)).resolves.toBe(1);
    }
  });

  test("an id or user id that is too long for the layout is refused before anything is written, and no session is found by it", async () => {
    const store = redisStore(clients.redis(redis.url));
    // Each character is encoded as nine bytes, and the header has eight digits for the length.
    const tooLong = "€".repeat(11_111_112);
    const session = newSession({ userId: newId() });
    await expect(store.create({ ...session, id: tooLong })).rejects.toThrow(TypeError);
    await expect(store.create({ ...session, userId: tooLong })).rejects.toThrow(TypeError);
    await expect(store.read(session.id)).resolves.toBeNull();
    await store.create(session);
    await expect(store.update(session.id, { userId: tooLong })).rejects.toThrow(TypeError);
    await expect(store.read(tooLong)).resolves.toBeNull();
    await expect(store.update(tooLong, {})).resolves.toBe("gone");
    await expect(store.update(tooLong, { data: "new" })).resolves.toBe("gone");
    await expect(store.revoke(tooLong)).resolves.toBe(false);
    await expect(store.listUser(tooLong)).resolves.toEqual([]);
    await expect(store.revokeUser(tooLong)).resolves.toBe(0);
    await expect(store.revokeUser(session.userId!, { except: tooLong })).resolves.toBe(1);
  });

  test("every key that the store writes expires", async () => {
    const client = clients.redis(redis.url);
    const prefix = `${newId()}:`;
    const store = redisStore(client, { prefix });
    const [userId, otherUserId] = [newId(), newId()];
    const ids = [newId(), newId(), newId()] as const;
    for (const id of ids) await store.create(newSession({ id, userId }));
    await store.update(ids[0], { userId: otherUserId, data: "new" });
    await store.update(ids[0], {});
    await store.revoke(ids[1]);
    await store.revoke(newId());
    const keys = await client.keys(`${prefix}*`);
    expect(keys).toHaveLength(6);
    for (const key of keys) await expect(client.pttl(key)).resolves.toBeGreaterThan(0);
  });

  test("a tombstone lasts until the end of the session's lifetime, and at least an hour", async () => {
    const client = clients.redis(redis.url);
    const store = redisStore(client);
    const [long, short] = [newSession({ lifetime: 86_400_000 }), newSession({ lifetime: 60_000 })];
    for (const session of [long, short]) {
      await store.create(session);
      await store.revoke(session.id);
    }
    const hours = async (id: string) => (await client.pttl(`tenure:s:${id}`)) / 3_600_000;
    expect(await hours(long.id)).toBeCloseTo(24, 1);
    expect(await hours(short.id)).toBeCloseTo(1, 1);
    await redisStore(client, { tombstoneMinimum: 7_200_000 }).revoke(short.id);
    expect(await hours(short.id)).toBeCloseTo(2, 1);
  });
});

redis.describe("with fake timers", () => {
  test("every call still resolves", async () => {
    const store = redisStore(clients.redis(redis.url));
    await store.now();
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const session = newSession({ userId: newId() });
    await expect(store.create(session)).resolves.toBe("created");
    await expect(store.update(session.id, {})).resolves.toBe("updated");
    await expect(store.read(session.id)).resolves.toMatchObject({ id: session.id });
    await expect(store.revokeUser(session.userId!)).resolves.toBe(1);
  });
});
