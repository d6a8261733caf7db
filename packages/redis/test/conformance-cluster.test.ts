import { testStore } from "@tenure/conformance";
import type { SessionStore } from "@tenure/core";
import { canStart, type RedisCluster, startRedisCluster } from "@tenure/servers";
import { inTurn } from "@tenure/store-wrappers/in-turn";
import { Cluster } from "ioredis";
import { Cluster as Cluster5 } from "ioredis5";
import { createCluster } from "redis";
import { afterAll, beforeAll, describe, test, vi } from "vitest";
import { type RedisClient, redisStore } from "../src/index.ts";
import { README_USER, readmeRules } from "./acl.ts";
import { Clients, onLoopback } from "./clients.ts";
import { mixedUp } from "./mixed-up.ts";

const here = await canStart("redis-cluster");
const clients = new Clients();
let cluster: RedisCluster;

/** Below the README's prefix, because its restricted user may use no other keys. */
const keyPrefix = "tenure:app:";

/** Each opens a client on the nodes with these ports. */
const libraries: readonly ((ports: number[]) => RedisClient)[] = [
  (ports) => clients.add(new Cluster(onLoopback(ports), { keyPrefix, redisOptions: README_USER })),
  (ports) => clients.add(new Cluster5(onLoopback(ports), { keyPrefix, enableAutoPipelining: true })),
  (ports) =>
    clients.connecting(
      createCluster({
        rootNodes: onLoopback(ports).map((socket) => ({ socket })),
        defaults: README_USER,
        keyPrefix,
      }),
    ),
];

here.describe("redisStore", () => {
  beforeAll(async () => {
    cluster = await startRedisCluster();
    for (const { url } of cluster.nodes) {
      const admin = clients.redis(url);
      await admin.call("ACL", "SETUSER", README_USER.username, "reset", ...readmeRules());
    }
  });
  afterAll(async () => {
    clients[Symbol.dispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  testStore(
    { describe, test },
    {
      name: "a Cluster, ioredis 6, ioredis 5 with auto-pipelining and node-redis 6 in turn",
      open: () => storesInTurn((client) => redisStore(client)),
      unreachable: ({ port }) => inTurn(libraries.map((open) => redisStore(open([port]), { timeout: 500 }))),
      mixedUp: (mixUp) =>
        storesInTurn(async (client) => {
          await vi.waitFor(() => redisStore(client).now(), { timeout: 20_000 });
          return redisStore(mixedUp(client, mixUp));
        }),
    },
  );
});

/** Opens a store on each library's client. */
async function storesInTurn(
  open: (client: RedisClient) => SessionStore | Promise<SessionStore>,
): Promise<SessionStore> {
  const ports = cluster.nodes.map(({ port }) => port);
  // A Cluster of node-redis has no offline queue.
  const stores = libraries.map(async (library) => open(await clients.ready(library(ports))));
  return inTurn(await Promise.all(stores));
}
