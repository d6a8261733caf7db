import type { OwnServer } from "./own-server.ts";
import { askRedis, startRedisNode, startSentinelNode } from "./redis.ts";
import { until } from "./until.ts";
import { wayTo } from "./way.ts";

export interface RedisSentinelOptions {
  /** Arguments for the `redis-server` of the primary and its replicas, after the usual ones. */
  readonly args?: readonly string[];
}

export interface RedisSentinel extends AsyncDisposable {
  /** The name by which clients ask for the primary. */
  readonly name: string;
  readonly sentinels: readonly OwnServer[];
  /** The primary and its two replicas, as they began. */
  readonly servers: readonly OwnServer[];
  readonly how: string;
  /** Whom the sentinels call the primary now. */
  primary(): Promise<OwnServer>;
  /** Kills the primary (SIGKILL) and resolves with the replica that took its place, in some 3 s. */
  failover(): Promise<OwnServer>;
}

/** Starts three Sentinels that watch a primary and two replicas of one's own, on 127.0.0.1. */
export async function startRedisSentinel({ args = [] }: RedisSentinelOptions = {}): Promise<RedisSentinel> {
  const way = await wayTo("redis-cluster");
  const all = ["--repl-diskless-sync-delay", "0", ...args];
  // A failure ends what was started before it.
  await using started = new AsyncDisposableStack();
  const first = started.use(await startRedisNode(way, all));
  const watch = [
    `sentinel monitor ${NAME} 127.0.0.1 ${first.port} 2`,
    `sentinel down-after-milliseconds ${NAME} ${PATIENT_MS}`,
    `sentinel failover-timeout ${NAME} 5000`,
  ];
  const replica = () => startRedisNode(way, [...all, "--replicaof", `127.0.0.1 ${first.port}`]);
  const sentinel = () => startSentinelNode(way, watch);
  const many = (starts: (() => Promise<OwnServer>)[]) =>
    Promise.all(starts.map(async (start) => started.use(await start())));
  const servers = [first, ...(await many([replica, replica]))];
  const sentinels = await many([sentinel, sentinel, sentinel]);

  const askAll = (command: string, ...rest: string[]) =>
    Promise.all(sentinels.map(({ url }) => askRedis<string[]>(url, "SENTINEL", command, NAME, ...rest)));
  const giveUpAfter = (ms: number) => askAll("SET", "down-after-milliseconds", String(ms));
  const primary = async (): Promise<OwnServer> => {
    const addresses = await askAll("GET-MASTER-ADDR-BY-NAME");
    const named = servers.find(({ port }) => addresses.every((address) => address[1] === String(port)));
    if (named === undefined) throw new Error("The sentinels do not agree on a primary.");
    return named;
  };

  await until("the sentinels know each other and both replicas", SETTLE_MS, async () => {
    const views = await askAll("MASTER");
    return views.every(
      (view) => fieldOf(view, "num-slaves") === "2" && fieldOf(view, "num-other-sentinels") === "2",
    );
  });

  const kept = started.move();
  return {
    name: NAME,
    sentinels,
    servers,
    how: `3 Sentinels over 3 servers (${first.how})`,
    primary,
    async failover() {
      const before = await primary();
      await giveUpAfter(1000);
      await before.kill();
      const after = await until("another server is the primary", SETTLE_MS, async () => {
        const now = await primary();
        if (now === before) return undefined;
        const [role] = await askRedis<string[]>(now.url, "ROLE");
        return role === "master" ? now : undefined;
      });
      await giveUpAfter(PATIENT_MS);
      return after;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
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
