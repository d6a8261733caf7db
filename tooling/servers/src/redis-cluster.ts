import { disposeAll, type OwnServer } from "./own-server.ts";
import { freePort } from "./port.ts";
import { callRedis, type RedisOptions, startRedisNode } from "./redis.ts";
import { until } from "./until.ts";
import { sourceOf } from "./source.ts";

export interface RedisCluster extends AsyncDisposable {
  /**
   * Three primaries, then the replica of each in the same order, by their roles at the start. A failover
   * changes the roles.
   */
  readonly nodes: readonly OwnServer[];
}

/**
 * Starts a Redis Cluster for one test file: three primaries with a replica each, on 127.0.0.1. A test that kills
 * a primary first sets `cluster-node-timeout` to 1500 (milliseconds), so that it is replaced in about 2 s. The
 * usual timeout is long, because a primary that is only slow on a busy machine must not be replaced: writes that
 * it has not replicated would be lost.
 */
export async function startRedisCluster({ args = [] }: RedisOptions = {}): Promise<RedisCluster> {
  const source = await sourceOf("redis-cluster");
  const members = await Promise.all(
    Array.from({ length: 2 * SLOTS.length }, async () => {
      const bus = String(await freePort());
      const own = ["--cluster-enabled", "yes", "--cluster-node-timeout", "15000"];
      const announced = ["--cluster-port", bus, "--cluster-announce-ip", "127.0.0.1"];
      return { node: await startRedisNode(source, [...own, ...announced, ...args]), bus };
    }),
  );
  const nodes = members.map(({ node }) => node);
  const [primaries, replicas] = [nodes.slice(0, SLOTS.length), nodes.slice(SLOTS.length)];
  const all = async (field: string) =>
    (await Promise.all(nodes.map((node) => cluster(node, "INFO")))).every((info) => info.includes(field));

  await Promise.all(SLOTS.map(([from, to], i) => cluster(primaries[i]!, "ADDSLOTSRANGE", from, to)));
  for (const { node, bus } of members.slice(1))
    await cluster(nodes[0]!, "MEET", "127.0.0.1", String(node.port), bus);
  await until("all nodes of the cluster know each other", SETTLE_MS, () =>
    all(`cluster_known_nodes:${nodes.length}\r`),
  );
  const ids = await Promise.all(primaries.map((primary) => cluster(primary, "MYID")));
  await Promise.all(replicas.map((replica, i) => cluster(replica, "REPLICATE", ids[i]!)));
  await until("the cluster is ready and every replica is connected", SETTLE_MS, async () => {
    const links = await Promise.all(replicas.map(({ url }) => callRedis<string>(url, "INFO", "replication")));
    return (await all("cluster_state:ok")) && links.every((link) => link.includes("master_link_status:up"));
  });

  return { nodes, [Symbol.asyncDispose]: () => disposeAll(nodes) };
}

const SLOTS = [
  ["0", "5460"],
  ["5461", "10922"],
  ["10923", "16383"],
] as const;

const SETTLE_MS = 30_000;

function cluster(node: OwnServer, ...rest: string[]): Promise<string> {
  return callRedis<string>(node.url, "CLUSTER", ...rest);
}
