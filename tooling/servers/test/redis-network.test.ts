import { Cluster, Redis } from "ioredis";
import { expect, test } from "vitest";
import { canStart, startRedisCluster, startRedisSentinel } from "../src/index.ts";

const several = await canStart("redis-cluster");

several.describe("a dedicated Redis Cluster", () => {
  test("distributes keys over three primaries, and still returns every key after one primary is killed", async () => {
    await using cluster = await startRedisCluster();
    const client = new Cluster(
      cluster.nodes.map(({ port }) => ({ port, host: "127.0.0.1" })),
      { clusterRetryStrategy: () => 100, retryDelayOnFailover: 200, retryDelayOnClusterDown: 200 },
    );
    client.on("error", () => undefined);
    const keys = Array.from({ length: 60 }, (_, i) => `key ${i}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    const sizes = await Promise.all(client.nodes("master").map((node) => node.dbsize()));
    expect(sizes).toHaveLength(3);
    expect(Math.min(...sizes)).toBeGreaterThan(0);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(keys.length);

    await Promise.all(client.nodes("master").map((node) => node.wait(1, 15_000)));
    const nodes = client.nodes("all");
    await Promise.all(nodes.map((node) => node.config("SET", "cluster-node-timeout", "1500")));
    await cluster.nodes[0]?.kill();
    await expect.poll(() => Promise.all(keys.map((key) => client.get(key)))).toEqual(keys);
    client.disconnect();
  });
});

several.describe("dedicated Redis Sentinels", () => {
  test("promote a replica when the primary is killed, and keep it as the primary when the old one is started again", async () => {
    await using watched = await startRedisSentinel();
    const client = new Redis({
      name: watched.name,
      sentinels: watched.sentinels.map(({ port }) => ({ port, host: "127.0.0.1" })),
    });
    client.on("error", () => undefined);
    await client.set("kept", "yes");
    await client.wait(2, 15_000);
    const [first] = watched.servers;
    const second = await watched.failover();
    expect(second).not.toBe(first);
    await expect(client.get("kept")).resolves.toBe("yes");
    await first?.start();
    await expect(watched.primary()).resolves.toBe(second);
    client.disconnect();
  });
});
