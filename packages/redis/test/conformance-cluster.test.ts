import { testStore } from "@tenure/conformance";
import { canStart, type RedisCluster, startRedisCluster } from "@tenure/servers";
import { Cluster } from "ioredis";
import { Cluster as Cluster5 } from "ioredis5";
import { afterAll, beforeAll, describe, test } from "vitest";
import { type RedisClient, redisStore } from "../src/index.ts";
import { README_USER, readmeRules } from "./acl.ts";
import { Clients, onLoopback } from "./clients.ts";

const here = await canStart("redis-cluster");
const clients = new Clients();
let cluster: RedisCluster;

const variants: Record<string, (ports: number[]) => RedisClient> = {
  "Cluster, ioredis 6": (ports) => clients.cluster(ports),
  "Cluster, ioredis 5": (ports) => clients.add(new Cluster5(onLoopback(ports))),
  "Cluster, keyPrefix and auto-pipelining": (ports) =>
    clients.add(new Cluster(onLoopback(ports), { keyPrefix: "app:", enableAutoPipelining: true })),
  "Cluster, ioredis 5, auto-pipelining": (ports) =>
    clients.add(new Cluster5(onLoopback(ports), { enableAutoPipelining: true })),
  "Cluster, the README's restricted user": (ports) =>
    clients.add(new Cluster(onLoopback(ports), { redisOptions: README_USER })),
};

here.describe("the contract", () => {
  beforeAll(async () => {
    // A primary that a busy machine holds up must not be replaced, and lose what it alone has.
    cluster = await startRedisCluster({ args: ["--cluster-node-timeout", "15000"] });
    for (const { url } of cluster.nodes) {
      const admin = clients.redis(url);
      await admin.call("ACL", "SETUSER", README_USER.username, "reset", ...readmeRules());
      await admin.call("ACL", "SETUSER", WAITING_USER.username, "reset", ...readmeRules(), "+wait");
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
        open: () => redisStore(open(cluster.nodes.map(({ port }) => port))),
        unreachable: ({ port }) => redisStore(open([port]), { timeout: 500 }),
      },
    );
  }

  testStore(
    { describe, test },
    {
      name: "Cluster, ioredis 5, the README's restricted user waiting for a replica",
      open: () => {
        const nodes = onLoopback(cluster.nodes.map(({ port }) => port));
        const client = clients.add(new Cluster5(nodes, { redisOptions: WAITING_USER }));
        return redisStore(client, { timeout: 30_000, waitForReplicas: { count: 1, timeout: 15_000 } });
      },
      unreachable: ({ port }) => redisStore(clients.cluster([port]), { timeout: 500 }),
    },
  );
});

const WAITING_USER = { username: "waiting", password: README_USER.password } as const;
