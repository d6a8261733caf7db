import { StoreError } from "@tenure/core";
import {
  canStart,
  faultyProxy,
  type OwnServer,
  type RedisSentinel,
  startRedisSentinel,
} from "@tenure/servers";
import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RedisClient, redisStore } from "../src/index.ts";
import { Clients, LIBRARIES } from "./clients.ts";
import { newId, newSession } from "./sessions.ts";

const here = await canStart("redis-cluster");
const clients = new Clients();
let sentinel: RedisSentinel;
let primaryUrl: string;
let lagging: OwnServer;
let primary: Redis;
let replicas: Redis[];

here.describe("with waitForReplicas", () => {
  beforeAll(async () => {
    sentinel = await startRedisSentinel();
    const [first, ...others] = sentinel.servers;
    primaryUrl = first!.url;
    lagging = others[0]!;
    primary = clients.redis(primaryUrl);
    replicas = others.map(({ url }) => clients.redis(url));
  });
  afterAll(async () => {
    clients[Symbol.dispose]();
    await sentinel?.[Symbol.asyncDispose]();
  });

  describe.each(LIBRARIES)("and $name,", ({ open, resends }) => {
    test("create, revoke and revokeUser resolve only after the replicas have the change", async () => {
      const store = patient(open(clients, primaryUrl));
      const onReplica = redisStore(replicas[0]!);
      for (let n = 0; n < 20; n += 1) {
        const [session, userSession] = [newSession(), newSession({ userId: newId() })];
        await store.create(session);
        await store.create(userSession);
        await expect(onReplica.read(session.id)).resolves.not.toBeNull();
        await expect(onReplica.listUser(userSession.userId!)).resolves.toHaveLength(1);
        await expect(store.revoke(session.id)).resolves.toBe(true);
        await expect(onReplica.read(session.id)).resolves.toBeNull();
        await expect(store.revokeUser(userSession.userId!)).resolves.toBe(1);
        await expect(onReplica.read(userSession.id)).resolves.toBeNull();
      }
    });

    test("a call that too few replicas confirm rejects with their number, and the primary has its change", async () => {
      const store = redisStore(open(clients, primaryUrl), { waitForReplicas: { count: 3, timeout: 1000 } });
      const session = newSession();
      const failure = expect.objectContaining({
        name: "StoreError",
        message: expect.stringContaining("2 of 3 replicas") as string,
      }) as StoreError;
      await expect(store.create(session)).rejects.toEqual(failure);
      await expect(store.read(session.id)).resolves.not.toBeNull();
      await expect(store.revoke(session.id)).rejects.toEqual(failure);
      await expect(store.read(session.id)).resolves.toBeNull();
      const userSession = newSession({ userId: newId() });
      await redisStore(primary).create(userSession);
      await expect(store.revokeUser(userSession.userId!)).rejects.toEqual(failure);
      await expect(store.read(userSession.id)).resolves.toBeNull();
    });

    test("a call waits for a lagging replica, and does not count it if it confirms too late", async () => {
      const store = redisStore(open(clients, primaryUrl), { waitForReplicas: { count: 2, timeout: 1000 } });
      const session = newSession();
      await patient(primary).create(session);
      await lagging.pause();
      await expect(store.revoke(session.id)).rejects.toThrow("1 of 2 replicas");
      setTimeout(() => void lagging.resume(), 100);
      // No session is left to end, but the tombstone must reach the replica.
      await expect(patient(primary).revoke(session.id)).resolves.toBe(false);
      await expect(redisStore(replicas[0]!).read(session.id)).resolves.toBeNull();
    });

    test("revokeUser waits once for a page of sessions, and does not delay a read", async () => {
      const client = open(clients, primaryUrl);
      const store = redisStore(client, { waitForReplicas: { count: 2, timeout: 1000 } });
      const session = newSession({ userId: newId() });
      const plain = redisStore(primary);
      for (let n = 0; n < 10; n += 1) await plain.create({ ...session, id: newId() });
      await plain.create({ ...session, userId: null });
      await store.now();
      await lagging.pause();
      await primary.config("RESETSTAT");
      const ending = store.revokeUser(session.userId!).catch(String);
      await expect(store.read(session.id)).resolves.toMatchObject({ id: session.id });
      await expect(ending).resolves.toContain("1 of 2 replicas");
      await expect(store.read(session.id)).resolves.toMatchObject({ id: session.id });
      await expect(waits()).resolves.toBe(1);
      await lagging.resume();
      await expect(plain.listUser(session.userId!)).resolves.toEqual([]);
    });

    test("calls made while another waits for replicas share one wait", async () => {
      const store = redisStore(open(clients, primaryUrl), { waitForReplicas: { count: 2, timeout: 1000 } });
      await store.now();
      await lagging.pause();
      await primary.config("RESETSTAT");
      const creating: Promise<unknown>[] = [];
      for (let n = 0; n < 20; n += 1) {
        creating.push(store.create(newSession()).catch(String));
        await new Promise((resolve) => setImmediate(resolve));
      }
      for (const failure of creating) await expect(failure).resolves.toContain("1 of 2 replicas");
      await lagging.resume();
      // One WAIT if all calls were made before the first was sent.
      expect([1, 2]).toContain(await waits());
    });

    test("a lost reply does not count as a confirmation", async () => {
      await using proxy = await faultyProxy(primaryUrl);
      const store = redisStore(open(clients, proxy.url), { waitForReplicas: { count: 2, timeout: 1000 } });
      const session = newSession();
      await patient(primary).create(session);
      await store.now();
      await lagging.pause();
      const plan = proxy.plan({ on: "reply", which: isEval });
      await expect(store.revoke(session.id)).rejects.toThrow(resends ? "1 of 2 replicas" : StoreError);
      expect(plan.struck).toBe(true);
      await lagging.resume();
    });

    test("a call that fails does not fail the calls that are sent with it", async () => {
      const store = patient(open(clients, primaryUrl));
      const [session, refused] = [newSession(), newSession()];
      await store.create(session);
      await primary.config("SET", "maxmemory", "1");
      const results = await Promise.allSettled([store.create(refused), store.revoke(session.id)]);
      await primary.config("SET", "maxmemory", "0");
      expect(results).toEqual([
        { status: "rejected", reason: expect.any(StoreError) as StoreError },
        { status: "fulfilled", value: true },
      ]);
    });

    // Since Redis 7.2, WAIT waits for the writes of its own connection, and a new connection has none.
    test("a call rejects if its connection is replaced between the write and WAIT", async () => {
      await using proxy = await faultyProxy(primaryUrl);
      const store = redisStore(open(clients, proxy.url), { waitForReplicas: { count: 2, timeout: 1000 } });
      await store.now();
      const session = newSession();
      await lagging.pause();
      const plan = proxy.plan({ on: "reply", pass: true });
      await expect(store.create(session)).rejects.toThrow(StoreError);
      expect(plan.struck).toBe(true);
      await expect(store.read(session.id)).resolves.toMatchObject({ id: session.id });
      await lagging.resume();
    });
  });

  /** Returns the number of WAIT commands that the primary has executed. */
  async function waits(): Promise<number> {
    return Number(/^cmdstat_wait:calls=(\d+)/m.exec(await primary.info("commandstats"))?.[1]);
  }
});

/** Returns a store with a long timeout, for busy machines. Replicas confirm in milliseconds. */
function patient(client: RedisClient): ReturnType<typeof redisStore> {
  return redisStore(client, { waitForReplicas: { count: 2, timeout: 15_000 }, timeout: 30_000 });
}

function isEval(command: Buffer): boolean {
  return /\r\neval\r\n/i.test(command.toString("latin1"));
}
