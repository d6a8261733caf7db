import { StoreError } from "@tenure/core";
import { canStart, type RedisCluster, startRedisCluster } from "@tenure/servers";
import { Cluster, Redis } from "ioredis";
import { createCluster } from "redis";
import { createCluster as createCluster5 } from "redis5";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type RedisClient, redisStore } from "../src/index.ts";
import { slotOf } from "../src/client.ts";
import { Clients, onLoopback } from "./clients.ts";
import { freshId, newSession, stored } from "./sessions.ts";

const here = await canStart("redis-cluster");
const clients = new Clients();
let cluster: RedisCluster;

const LIBRARIES: Record<string, () => Promise<RedisClient>> = {
  ioredis: async () => connect(),
  "ioredis with auto-pipelining": async () =>
    clients.add(new Cluster(onLoopback(ports()), { enableAutoPipelining: true })),
  "node-redis 6": () => clients.connected(createCluster({ rootNodes: rootNodes() })),
  "node-redis 5": () => clients.connected(createCluster5({ rootNodes: rootNodes() })),
};

here.describe("a Cluster that changes", () => {
  beforeAll(async () => {
    // On a busy machine, a slow primary must not be replaced: writes that it has not replicated would be
    // lost.
    cluster = await startRedisCluster({ args: ["--cluster-node-timeout", "15000"] });
  });
  afterAll(async () => {
    clients[Symbol.dispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  test.each(Object.keys(LIBRARIES))(
    "sessions and their user's index are spread over all primaries, and no two need one slot: %s",
    async (name) => {
      const store = redisStore(await LIBRARIES[name]!());
      const userId = freshId();
      const sessions = Array.from({ length: 60 }, () => newSession({ userId }));
      for (const session of sessions) await store.create(session);
      const sizes = await Promise.all(
        cluster.nodes.slice(0, 3).map(({ url }) => clients.redis(url).dbsize()),
      );
      expect(Math.min(...sizes)).toBeGreaterThan(0);
      await expect(store.listUser(userId)).resolves.toHaveLength(60);
      await expect(store.revokeUser(userId)).resolves.toBe(60);
    },
  );

  test("the slot of a key is the one that the servers compute", async () => {
    const admin = connect();
    for (const key of [
      "",
      "a",
      "é€😀",
      "{a}b",
      "x{a}y{b}",
      "{}a",
      "a}{b",
      "{a",
      "{{a}}",
      `app:${freshId()}`,
    ]) {
      expect(slotOf(key)).toBe(await admin.cluster("KEYSLOT", key));
    }
  });

  test.each(Object.keys(LIBRARIES))(
    "revokeUser of 60 sessions waits for replicas twice on each primary, as they leave in two turns, and once for the fence: %s",
    async (name) => {
      const store = redisStore(await LIBRARIES[name]!(), {
        timeout: 30_000,
        waitForReplicas: { count: 1, timeout: 15_000 },
      });
      const userId = freshId();
      await Promise.all(Array.from({ length: 60 }, () => store.create(newSession({ userId }))));
      const primaries = cluster.nodes.slice(0, 3).map(({ url }) => clients.redis(url));
      for (const primary of primaries) await primary.config("RESETSTAT");
      await expect(store.revokeUser(userId)).resolves.toBe(60);
      for (const primary of primaries) {
        expect(await primary.info("commandstats")).toMatch(/^cmdstat_wait:calls=[123],/m);
      }
    },
  );

  test.each(Object.keys(LIBRARIES))(
    "a call that waits for replicas follows its key to another primary: %s",
    async (name) => {
      const prefix = `{${freshId()}}:`;
      const waitForReplicas = { count: 1, timeout: 15_000 };
      const client = await LIBRARIES[name]!();
      const store = redisStore(client, { prefix, timeout: 30_000, waitForReplicas });
      const sessions = Array.from({ length: 3 }, () => newSession());
      for (const session of sessions) await store.create(session);
      const admin = connect();
      await admin.ping();
      const slot = await admin.cluster("KEYSLOT", prefix);
      const [from, to] = await ownersOf(slot);
      await to.admin.cluster("SETSLOT", slot, "IMPORTING", from.id);
      await from.admin.cluster("SETSLOT", slot, "MIGRATING", to.id);
      const keys = await from.admin.cluster("GETKEYSINSLOT", slot, 100);
      await from.admin.call("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", ...keys);
      for (const { admin: node } of [to, from]) await node.cluster("SETSLOT", slot, "NODE", to.id);
      const answers = await Promise.all(sessions.map(({ id }) => store.revoke(id)));
      expect(answers).toEqual([true, true, true]);
    },
  );

  test("a call of ioredis whose slot moves while it waits for a WAIT goes to the other primary", async () => {
    const client = connect();
    // More than there are, so that every WAIT takes its whole timeout.
    const store = redisStore(client, { timeout: 30_000, waitForReplicas: { count: 2, timeout: 2000 } });
    const moving = newSession();
    await redisStore(client).create(moving);
    const slot = await client.cluster("KEYSLOT", `tenure:s:${moving.id}`);
    const [from, to] = await ownersOf(slot);
    const staying: string[] = [];
    while (staying.length < 2) {
      const id = freshId();
      const [owner] = await ownersOf(await client.cluster("KEYSLOT", `tenure:s:${id}`));
      if (owner.id === from.id) staying.push(id);
    }
    const first = store.revoke(staying[0]!).catch(String);
    await new Promise((resolve) => setImmediate(resolve));
    const others = [staying[1]!, moving.id].map((id) => store.revoke(id).catch(String));
    await to.admin.cluster("SETSLOT", slot, "IMPORTING", from.id);
    await from.admin.cluster("SETSLOT", slot, "MIGRATING", to.id);
    const keys = await from.admin.cluster("GETKEYSINSLOT", slot, 100);
    await from.admin.call("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", ...keys);
    for (const { admin: node } of [to, from]) await node.cluster("SETSLOT", slot, "NODE", to.id);
    await expect
      .poll(() => new Promise((resolve) => client.refreshSlotsCache(() => resolve(client.slots[slot]?.[0]))))
      .toBe(`127.0.0.1:${to.port}`);
    for (const failure of [first, ...others]) await expect(failure).resolves.toContain("1 of 2 replicas");
  });

  test.each(Object.keys(LIBRARIES))(
    "while a slot moves to another primary (ASK, then MOVED), every call succeeds: %s",
    async (name) => {
      // All keys are in one slot.
      const prefix = `{${freshId()}}:`;
      const client = await LIBRARIES[name]!();
      const store = redisStore(client, { prefix });
      const [there, gone, late] = [newSession(), newSession(), newSession()];
      const ids = [there.id, gone.id, late.id] as const;
      await store.create({ ...there, id: ids[0] });
      await store.create({ ...gone, id: ids[1] });
      const admin = connect();
      await admin.ping();
      const slot = await admin.cluster("KEYSLOT", `${prefix}s:${ids[0]}`);
      const [from, to] = await ownersOf(slot);

      await to.admin.cluster("SETSLOT", slot, "IMPORTING", from.id);
      await from.admin.cluster("SETSLOT", slot, "MIGRATING", to.id);
      await from.admin.call("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", `${prefix}s:${ids[0]}`);
      for (const id of [ids[0], ids[1]]) {
        await expect(store.read(id)).resolves.toMatchObject({ id });
        await expect(store.update(id, {})).resolves.toBe("updated");
        await expect(store.update(id, { data: "asked", ifVersion: 1 })).resolves.toBe("updated");
      }
      // Each server has one of these, and refuses a command with both.
      const divided = [ids[0], ids[1]];
      const saves = divided.map((id) => store.update(id, { data: "divided" }));
      await expect(Promise.all(saves)).resolves.toEqual(["updated", "updated"]);
      const read = await Promise.all(divided.map((id) => store.read(id)));
      expect(read.map((record) => record?.version)).toEqual([3, 3]);
      await expect(store.create({ ...late, id: ids[2] })).resolves.toBe("created");
      await expect(store.revoke(ids[1])).resolves.toBe(true);

      // These have to be retried, too.
      const both = Promise.all([store.read(ids[0]), store.read(ids[1])]);
      // Other tests may have left keys in the slot.
      const left = await from.admin.cluster("GETKEYSINSLOT", slot, 100);
      expect(left).toContain(`${prefix}s:${ids[1]}`);
      expect(left).not.toContain(`${prefix}s:${ids[2]}`);
      await from.admin.call("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", ...left);
      for (const { admin: node } of [to, from]) await node.cluster("SETSLOT", slot, "NODE", to.id);
      await expect(both).resolves.toMatchObject([{ id: ids[0] }, null]);
      await expect(store.read(ids[0])).resolves.toMatchObject({ data: "divided", version: 3 });
      await expect(store.read(ids[1])).resolves.toBeNull();
      await expect(store.create(newSession({ id: ids[1] }))).resolves.toBe("taken");
      await expect(store.update(ids[2], { data: "moved" })).resolves.toBe("updated");
      await expect(store.revoke(ids[2])).resolves.toBe(true);
    },
  );

  test(
    "when a primary dies, calls succeed or reject in time, and soon all succeed again",
    { timeout: 60_000 },
    async () => {
      // node-redis 5 does not find the new primary.
      const names = Object.keys(LIBRARIES).filter((name) => name !== "node-redis 5");
      const stores = await Promise.all(
        names.map(async (name) => redisStore(await LIBRARIES[name]!(), { timeout: 1000 })),
      );
      const safe = redisStore(connect(), { timeout: 30_000, waitForReplicas: { count: 1, timeout: 15_000 } });
      const userId = freshId();
      const sessions = Array.from({ length: 30 }, () => newSession({ userId }));
      for (const session of sessions) await safe.create(session);
      const ended = sessions.splice(0, 10);
      for (const { id } of ended) await safe.revoke(id);

      for (const { url } of cluster.nodes)
        await clients.redis(url).config("SET", "cluster-node-timeout", 1500);
      await cluster.nodes[0]!.kill();
      const late = new Promise((resolve) => setTimeout(resolve, 3000, "late"));
      const outcomes = await Promise.all(
        stores.flatMap((store) => sessions.map(({ id }) => Promise.race([stored(store, id), late]))),
      );
      for (const outcome of outcomes) expect([null, "late"]).not.toContain(outcome);
      await vi.waitFor(
        async () => {
          const failing = await Promise.all(
            names.map(async (name, n) => {
              const all = await Promise.all(sessions.map(({ id }) => stored(stores[n]!, id)));
              return all
                .filter((one) => one instanceof StoreError)
                .map(({ message }) => `${name}: ${message}`);
            }),
          );
          expect(failing.flat()).toEqual([]);
        },
        { timeout: 25_000, interval: 100 },
      );
      const after = redisStore(connect());
      await expect(after.listUser(userId)).resolves.toHaveLength(20);
      for (const { id } of ended) await expect(after.create(newSession({ id }))).resolves.toBe("taken");
      await expect(after.revokeUser(userId)).resolves.toBe(20);
      for (const { id } of sessions) await expect(after.read(id)).resolves.toBeNull();
    },
  );
});

function ports(): number[] {
  return cluster.nodes.map(({ port }) => port);
}

function rootNodes(): { socket: { host: string; port: number } }[] {
  return onLoopback(ports()).map((socket) => ({ socket }));
}

function connect(): Cluster {
  return clients.cluster(ports());
}

interface Owner {
  readonly id: string;
  readonly port: number;
  readonly admin: Redis;
}

/** Returns the owner of the slot, and another primary. */
async function ownersOf(slot: number): Promise<[Owner, Owner]> {
  const owners = await Promise.all(
    cluster.nodes.slice(0, 3).map(async ({ url, port }) => {
      const admin = clients.redis(url);
      return { port, admin, id: await admin.cluster("MYID") };
    }),
  );
  const ranges = await owners[0]!.admin.cluster("SLOTS");
  const owner = ranges.find(([first, last]) => first <= slot && slot <= last)?.[2]?.[2];
  const from = owners.find(({ id }) => id === owner)!;
  return [from, owners.find((one) => one !== from)!];
}
