import type { Redis } from "ioredis";
import type { OwnServer } from "./own-server.ts";
import { freePort } from "./port.ts";
import { startRedisNode, WITHOUT_PERSISTENCE } from "./redis-node.ts";
import { until } from "./until.ts";
import { wayTo } from "./way-to.ts";

export interface RedisClusterOptions {
  /** Arguments for every node's `redis-server`, after the usual ones. */
  readonly args?: readonly string[];
}

export interface RedisCluster extends AsyncDisposable {
  /** Three primaries, then the replica of each in the same order, as they began: a failover changes who is who. */
  readonly nodes: readonly OwnServer[];
  readonly how: string;
}

/** Starts a Redis Cluster of one's own: three primaries, a replica each, announced on 127.0.0.1. A dead primary is replaced in some 2 s. */
export async function startRedisCluster({ args = [] }: RedisClusterOptions = {}): Promise<RedisCluster> {
  const way = await wayTo("redis-cluster");
  await using started = new AsyncDisposableStack();
  const members = await Promise.all(
    Array.from({ length: 2 * SLOTS.length }, async () => {
      const bus = await freePort();
      const own = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500"];
      const announced = ["--cluster-port", String(bus), "--cluster-announce-ip", "127.0.0.1"];
      const node = await startRedisNode(way, [...WITHOUT_PERSISTENCE, ...own, ...announced, ...args]);
      return { node: started.use(node), bus };
    }),
  );
  const nodes = members.map(({ node }) => node);
  const { Redis: Client } = await import("ioredis");
  const clients = nodes.map(({ port }) => new Client(port, "127.0.0.1"));
  // What a command rejects with says it all.
  for (const client of clients) client.on("error", () => undefined);
  try {
    const [first] = clients;
    await Promise.all(
      members
        .slice(1)
        .map(async ({ node, bus }) => first?.call("CLUSTER", "MEET", "127.0.0.1", node.port, bus)),
    );
    await settle(clients);
  } finally {
    for (const client of clients) client.disconnect();
  }
  // Until here, a failure ends what was started.
  const kept = started.move();
  return {
    nodes,
    how: `a Cluster of 3 and 3 (${nodes[0]?.how})`,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

const SLOTS = [
  [0, 5460],
  [5461, 10_922],
  [10_923, 16_383],
] as const;

const SETTLE_MS = 30_000;

async function settle(clients: readonly Redis[]): Promise<void> {
  const primaries = clients.slice(0, SLOTS.length);
  const replicas = clients.slice(SLOTS.length);
  await Promise.all(
    SLOTS.map(async ([from, to], i) => primaries[i]?.call("CLUSTER", "ADDSLOTSRANGE", from, to)),
  );
  await until("all nodes of the cluster know each other", SETTLE_MS, async () => {
    const known = await Promise.all(clients.map((client) => info(client, "cluster_known_nodes")));
    return known.every((count) => count === String(clients.length));
  });
  const ids = await Promise.all(primaries.map((primary) => primary.call("CLUSTER", "MYID")));
  await Promise.all(replicas.map((replica, i) => replica.call("CLUSTER", "REPLICATE", String(ids[i]))));
  await until("the cluster stands", SETTLE_MS, async () => {
    const states = await Promise.all(clients.map((client) => info(client, "cluster_state")));
    const links = await Promise.all(replicas.map((replica) => replica.info("replication")));
    return (
      states.every((state) => state === "ok") && links.every((link) => link.includes("master_link_status:up"))
    );
  });
}

async function info(client: Redis, field: string): Promise<string | undefined> {
  const text = (await client.call("CLUSTER", "INFO")) as string;
  return new RegExp(`^${field}:(\\S+)`, "m").exec(text)?.[1];
}
