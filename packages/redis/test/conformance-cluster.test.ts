import { testStore } from "@tenure/conformance";
import { canStart, type RedisCluster, startRedisCluster } from "@tenure/servers";
import { Cluster } from "ioredis";
import { Cluster as Cluster5 } from "ioredis5";
import { createCluster } from "redis";
import { afterAll, beforeAll, describe, test, vi } from "vitest";
import { type RedisClient, redisStore } from "../src/index.ts";
import { README_USER, readmeRules } from "./acl.ts";
import { Clients, onLoopback } from "./clients.ts";
import { mixedUpOver } from "./mixed-up.ts";

const here = await canStart("redis-cluster");
const clients = new Clients();
let cluster: RedisCluster;

const variants: Record<string, (ports: number[]) => RedisClient> = {
  "Cluster, ioredis 6, the README's restricted user": (ports) =>
    clients.add(new Cluster(onLoopback(ports), { redisOptions: README_USER })),
  "Cluster, ioredis 5, keyPrefix and auto-pipelining": (ports) =>
    clients.add(new Cluster5(onLoopback(ports), { keyPrefix: "app:", enableAutoPipelining: true })),
  "Cluster, node-redis 6, the README's restricted user, keyPrefix": (ports) =>
    clients.connecting(
      createCluster({
        rootNodes: onLoopback(ports).map((socket) => ({ socket })),
        defaults: README_USER,
        keyPrefix: "tenure:node:",
      }),
    ),
};

here.describe("redisStore", () => {
  beforeAll(async () => {
    // A slow primary on a busy machine must not be replaced: writes that it has not replicated would be lost.
    cluster = await startRedisCluster({ args: ["--cluster-node-timeout", "15000"] });
    for (const { url } of cluster.nodes) {
      const admin = clients.redis(url);
      await admin.call("ACL", "SETUSER", README_USER.username, "reset", ...readmeRules());
    }
  });
  afterAll(async () => {
    clients[Symbol.dispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  for (const [name, open] of Object.entries(variants)) {
    testStore(
      { describe, test },
      {
        name,
        // A Cluster of node-redis has no offline queue.
        open: async () => redisStore(await clients.ready(open(cluster.nodes.map(({ port }) => port)))),
        unreachable: ({ port }) => redisStore(open([port]), { timeout: 500 }),
        mixedUp: mixedUpOver(async () => {
          const client = await clients.ready(open(cluster.nodes.map((node) => node.port)));
          await vi.waitFor(() => redisStore(client).now(), { timeout: 20_000 });
          return client;
        }),
      },
    );
  }
});
