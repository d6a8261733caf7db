import { StoreError } from "@tenure/core";
import { canStart, type RedisCluster, startRedisCluster } from "@tenure/servers";
import { Cluster, Redis } from "ioredis";
import { createCluster } from "redis";
import { createCluster as createCluster5 } from "redis5";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type RedisClient, redisStore } from "../src/index.ts";
import { slotOf } from "../src/client.ts";
import { Clients, onLoopback } from "./clients.ts";
import { newId, newSession, readOrError } from "./sessions.ts";

const here = await canStart("redis-cluster");
const clients = new Clients();
let cluster: RedisCluster;

const LIBRARIES: Record<string, () => Promise<RedisClient>> = {
  ioredis: async () => connect(),
  "ioredis with auto-pipelining": async () =>
    clients.add(new Cluster(onLoopback(ports()), { enableAutoPipelining: true })),
  "node-redis 6": () => clients.ready(clients.connecting(createCluster({ rootNodes: rootNodes() }))),
  "node-redis 5": () => clients.ready(clients.connecting(createCluster5({ rootNodes: rootNodes() }))),
};

here.describe("on a Cluster", () => {
  beforeAll(async () => {
    cluster = await startRedisCluster();
  });
  afterAll(async () => {
    clients[Symbol.dispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  test.each(Object.keys(LIBRARIES))(
    "the sessions of a user are spread over all primaries, and need not share a slot: %s",
    async (name) => {
      const store = redisStore(await LIBRARIES[name]!());
      const userId = newId();
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

  test("slotOf computes the same slot for a key as the servers do", async () => {
    const admin = connect();
    for (const key of ["", "a", "é€😀", "{a}b", "x{a}y{b}", "{}a", "a}{b", "{a", "{{a}}", `app:${newId()}`]) {
      expect(slotOf(key)).toBe(await admin.cluster("KEYSLOT", key));
    }
  });

  test.each(Object.keys(LIBRARIES))(
    "revokeUser of 60 sessions waits for replicas at most three times on each primary, once for the fence and once for each of two turns of the event loop: %s",
    async (name) => {
      const store = redisStore(await LIBRARIES[name]!(), {
        timeout: 30_000,
        waitForReplicas: { count: 1, timeout: 15_000 },
      });
      const userId = newId();
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
    "a call that waits for replicas finds its key after the slot has moved to another primary: %s",
    async (name) => {
      const prefix = `{${newId()}}:`;
      const waitForReplicas = { count: 1, timeout: 15_000 };
      const client = await LIBRARIES[name]!();
      const store = redisStore(client, { prefix, timeout: 30_000, waitForReplicas });
      const sessions = Array.from({ length: 3 }, () => newSession());
      for (const session of sessions) await store.create(session);
      const move = await startMove(slotOf(prefix));
      await move.migrate(await move.keys());
      await move.finish();
      const results = await Promise.all(sessions.map(({ id }) => store.revoke(id)));
      expect(results).toEqual([true, true, true]);
    },
  );

  test("with ioredis, a call whose slot moves while it is queued behind a WAIT goes to the slot's new primary", async () => {
    const client = connect();
    // More replicas than there are, so that every WAIT takes its full timeout.
    const store = redisStore(client, { timeout: 30_000, waitForReplicas: { count: 2, timeout: 2000 } });
    const moving = newSession();
    await redisStore(client).create(moving);
    const slot = slotOf(`tenure:s:${moving.id}`);
    const [from] = await ownersOf(slot);
    const staying: string[] = [];
    while (staying.length < 2) {
      const id = newId();
      const [owner] = await ownersOf(slotOf(`tenure:s:${id}`));
      if (owner.id === from.id) staying.push(id);
    }
    const first = store.revoke(staying[0]!).catch(String);
    await new Promise((resolve) => setImmediate(resolve));
    const others = [staying[1]!, moving.id].map((id) => store.revoke(id).catch(String));
    const move = await startMove(slot);
    await move.migrate(await move.keys());
    await move.finish();
    await expect
      .poll(() => new Promise((resolve) => client.refreshSlotsCache(() => resolve(client.slots[slot]?.[0]))))
      .toBe(`127.0.0.1:${move.to.port}`);
    for (const failure of [first, ...others]) await expect(failure).resolves.toContain("1 of 2 replicas");
  });

  test.each(Object.keys(LIBRARIES))(
    "while a slot moves to another primary (ASK, then MOVED), every call succeeds: %s",
    async (name) => {
      // All keys are in one slot.
      const prefix = `{${newId()}}:`;
      const client = await LIBRARIES[name]!();
      const store = redisStore(client, { prefix });
      const [moved, unmoved, late] = [newSession(), newSession(), newSession()];
      await store.create(moved);
      await store.create(unmoved);
      const move = await startMove(slotOf(prefix));

      await move.migrate([`${prefix}s:${moved.id}`]);
      for (const { id } of [moved, unmoved]) {
        await expect(store.read(id)).resolves.toMatchObject({ id });
        await expect(store.update(id, {})).resolves.toBe("updated");
        await expect(store.update(id, { data: "asked", ifVersion: 1 })).resolves.toBe("updated");
      }
      // Each of the two primaries has one of these sessions, and refuses a command about both.
      const divided = [moved.id, unmoved.id];
      const saves = divided.map((id) => store.update(id, { data: "divided" }));
      await expect(Promise.all(saves)).resolves.toEqual(["updated", "updated"]);
      const read = await Promise.all(divided.map((id) => store.read(id)));
      expect(read.map((record) => record?.version)).toEqual([3, 3]);
      await expect(store.create(late)).resolves.toBe("created");
      await expect(store.revoke(unmoved.id)).resolves.toBe(true);

      // These reads must be retried, too.
      const both = Promise.all(divided.map((id) => store.read(id)));
      // Other tests may have left keys in the slot.
      const left = await move.keys();
      expect(left).toContain(`${prefix}s:${unmoved.id}`);
      expect(left).not.toContain(`${prefix}s:${late.id}`);
      await move.migrate(left);
      await move.finish();
      await expect(both).resolves.toMatchObject([{ id: moved.id }, null]);
      await expect(store.read(moved.id)).resolves.toMatchObject({ data: "divided", version: 3 });
      await expect(store.read(unmoved.id)).resolves.toBeNull();
      await expect(store.create(newSession({ id: unmoved.id }))).resolves.toBe("taken");
      await expect(store.update(late.id, { data: "moved" })).resolves.toBe("updated");
      await expect(store.revoke(late.id)).resolves.toBe(true);
    },
  );

  test("with ioredis' auto-pipelining, calls that the client has queued while it learns of a moved slot succeed", async () => {
    const client = clients.add(new Cluster(onLoopback(ports()), { enableAutoPipelining: true }));
    const store = redisStore(client);
    const moving = newSession();
    await store.create(moving);
    const slot = slotOf(`tenure:s:${moving.id}`);
    const [from] = await ownersOf(slot);
    // In another slot of the same primary, so that the client sends the reads of both together.
    let staying = newSession();
    while ((await ownersOf(slotOf(`tenure:s:${staying.id}`)))[0].id !== from.id) staying = newSession();
    await store.create(staying);
    const move = await startMove(slot);
    await move.migrate(await move.keys());
    await move.finish();
    const reads: Promise<unknown>[] = [];
    while (client.slots[slot]?.[0] !== `127.0.0.1:${move.to.port}`) {
      reads.push(readOrError(store, moving.id), readOrError(store, staying.id));
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const outcome of await Promise.all(reads)) expect(outcome).toHaveProperty("id");
  });

  test("after a primary is killed, every call resolves or rejects in time, and once a replica is promoted all succeed", async () => {
    // A client of node-redis 5 does not find the new primary.
    const names = Object.keys(LIBRARIES).filter((name) => name !== "node-redis 5");
    const stores = await Promise.all(
      names.map(async (name) => redisStore(await LIBRARIES[name]!(), { timeout: 1000 })),
    );
    const safe = redisStore(connect(), { timeout: 30_000, waitForReplicas: { count: 1, timeout: 15_000 } });
    const userId = newId();
    const sessions = Array.from({ length: 30 }, () => newSession({ userId }));
    for (const session of sessions) await safe.create(session);
    const ended = sessions.splice(0, 10);
    for (const { id } of ended) await safe.revoke(id);

    for (const { url } of cluster.nodes) await clients.redis(url).config("SET", "cluster-node-timeout", 1500);
    await cluster.nodes[0]!.kill();
    const late = new Promise((resolve) => setTimeout(resolve, 3000, "late"));
    const outcomes = await Promise.all(
      stores.flatMap((store) => sessions.map(({ id }) => Promise.race([readOrError(store, id), late]))),
    );
    for (const outcome of outcomes) expect([null, "late"]).not.toContain(outcome);
    await vi.waitFor(
      async () => {
        const failing = await Promise.all(
          names.map(async (name, n) => {
            const all = await Promise.all(sessions.map(({ id }) => readOrError(stores[n]!, id)));
            return all
              .filter((outcome) => outcome instanceof StoreError)
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
  });
});

function ports(): number[] {
  return cluster.nodes.map(({ port }) => port);
}

/** A slot that is moving to another primary. */
interface Move {
  readonly to: Primary;
  /** Returns the keys of the slot that have not moved, at most 100. */
  readonly keys: () => Promise<string[]>;
  readonly migrate: (keys: readonly string[]) => Promise<void>;
  readonly finish: () => Promise<void>;
}

async function startMove(slot: number): Promise<Move> {
  const [from, to] = await ownersOf(slot);
  await to.admin.cluster("SETSLOT", slot, "IMPORTING", from.id);
  await from.admin.cluster("SETSLOT", slot, "MIGRATING", to.id);
  return {
    to,
    keys: () => from.admin.cluster("GETKEYSINSLOT", slot, 100),
    async migrate(keys) {
      await from.admin.call("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", ...keys);
    },
    async finish() {
      for (const { admin } of [to, from]) await admin.cluster("SETSLOT", slot, "NODE", to.id);
    },
  };
}

function rootNodes(): { socket: { host: string; port: number } }[] {
  return onLoopback(ports()).map((socket) => ({ socket }));
}

function connect(): Cluster {
  return clients.cluster(ports());
}

interface Primary {
  readonly id: string;
  readonly port: number;
  readonly admin: Redis;
}

/** Returns the owner of the slot, and another primary. */
async function ownersOf(slot: number): Promise<[owner: Primary, other: Primary]> {
  const primaries = await Promise.all(
    cluster.nodes.slice(0, 3).map(async ({ url, port }) => {
      const admin = clients.redis(url);
      return { port, admin, id: await admin.cluster("MYID") };
    }),
  );
  const ranges = await primaries[0]!.admin.cluster("SLOTS");
  const owner = ranges.find(([first, last]) => first <= slot && slot <= last)?.[2]?.[2];
  const from = primaries.find(({ id }) => id === owner)!;
  return [from, primaries.find((primary) => primary !== from)!];
}
