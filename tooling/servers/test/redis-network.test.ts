import { Cluster, Redis } from "ioredis";
import { expect, test } from "vitest";
import { canStart, startRedisCluster, startRedisSentinel } from "../src/index.ts";

const here = await canStart("redis-cluster");

here.describe("a Redis Cluster of one's own", () => {
  test("spreads keys over three primaries and replaces one that is killed", async () => {
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
    await cluster.nodes[0]?.kill();
    await expect.poll(() => Promise.all(keys.map((key) => client.get(key)))).toEqual(keys);
    client.disconnect();
  });
});

here.describe("Redis Sentinels of one's own", () => {
  test("put a replica in the place of a primary that is killed, and take it back as a replica", async () => {
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
