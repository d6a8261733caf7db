import { disposeAll, type OwnServer } from "./own-server.ts";
import { askRedis, startRedisNode, startSentinelNode } from "./redis.ts";
import { until } from "./until.ts";
import { wayTo } from "./way.ts";

export interface RedisSentinel extends AsyncDisposable {
  /** The name by which clients ask for the primary. */
  readonly name: string;
  readonly sentinels: readonly OwnServer[];
  /** The primary and its two replicas, as they began. */
  readonly servers: readonly OwnServer[];
  /** Whom the sentinels call the primary now. */
  primary(): Promise<OwnServer>;
  /** Kills the primary (SIGKILL) and resolves with the replica that took its place, in some 3 s. */
  failover(): Promise<OwnServer>;
}

/** Starts three Sentinels that watch a primary and two replicas of one's own, on 127.0.0.1. */
export async function startRedisSentinel(): Promise<RedisSentinel> {
  const way = await wayTo("redis-cluster");
  const args = ["--repl-diskless-sync-delay", "0"];
  const first = await startRedisNode(way, args);
  const replica = () => startRedisNode(way, [...args, "--replicaof", `127.0.0.1 ${first.port}`]);
  const servers = [first, ...(await Promise.all([replica(), replica()]))];
  const sentinels = await Promise.all(Array.from({ length: 3 }, () => startSentinelNode(way)));

  const askAll = (command: string, ...rest: string[]) =>
    Promise.all(sentinels.map(({ url }) => askRedis<string[]>(url, "SENTINEL", command, NAME, ...rest)));
  const giveUpAfter = (ms: number) => askAll("SET", "down-after-milliseconds", String(ms));
  const primary = async (): Promise<OwnServer> => {
    const addresses = await askAll("GET-MASTER-ADDR-BY-NAME");
    const named = servers.find(({ port }) => addresses.every((address) => address[1] === String(port)));
    if (named === undefined) throw new Error("The sentinels do not agree on a primary.");
    return named;
  };

  await askAll("MONITOR", "127.0.0.1", String(first.port), "2");
  await askAll("SET", "failover-timeout", "5000");
  await giveUpAfter(PATIENT_MS);
  await until("the sentinels know each other and both replicas", SETTLE_MS, async () => {
    const views = await askAll("MASTER");
    return views.every(
      (view) => fieldOf(view, "num-slaves") === "2" && fieldOf(view, "num-other-sentinels") === "2",
    );
  });

  return {
    name: NAME,
    sentinels,
    servers,
    primary,
    async failover() {
      const before = await primary();
      await giveUpAfter(1000);
      await before.kill();
      const after = await until("another server is the primary", SETTLE_MS, async () => {
        const now = await primary();
        const [role] = await askRedis<string[]>(now.url, "ROLE");
        return now !== before && role === "master" && now;
      });
      await giveUpAfter(PATIENT_MS);
      return after;
    },
    [Symbol.asyncDispose]: () => disposeAll([...sentinels, ...servers]),
  };
}

const NAME = "tenure";

/** A server that a busy machine holds up must not lose its place, and with it what it alone has. */
const PATIENT_MS = 60_000;

const SETTLE_MS = 30_000;

/** A Sentinel replies with names and values in turn. */
function fieldOf(reply: readonly string[], name: string): string | undefined {
  return reply[reply.indexOf(name) + 1];
}
