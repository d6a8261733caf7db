import type { OwnServer } from "./own-server.ts";
import { startRedisNode, startSentinelNode, WITHOUT_PERSISTENCE } from "./redis-node.ts";
import { until } from "./until.ts";
import { wayTo } from "./way-to.ts";

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
  const all = [...WITHOUT_PERSISTENCE, "--repl-diskless-sync-delay", "0", ...args];
  await using started = new AsyncDisposableStack();
  const first = started.use(await startRedisNode(way, all));
  const follow = ["--replicaof", `127.0.0.1 ${first.port}`];
  const replicas = await Promise.all(
    [0, 1].map(async () => started.use(await startRedisNode(way, [...all, ...follow]))),
  );
  const servers = [first, ...replicas];
  const watch = [
    `sentinel monitor ${NAME} 127.0.0.1 ${first.port} 2`,
    `sentinel down-after-milliseconds ${NAME} ${PATIENT_MS}`,
    `sentinel failover-timeout ${NAME} 5000`,
  ];
  const sentinels = await Promise.all(
    [0, 1, 2].map(async () => started.use(await startSentinelNode(way, watch))),
  );
  const { Redis: Client } = await import("ioredis");

  async function ask<T>(server: OwnServer, command: string, ...rest: string[]): Promise<T> {
    const client = new Client(server.port, "127.0.0.1", { lazyConnect: true, retryStrategy: () => null });
    client.on("error", () => undefined);
    try {
      await client.connect();
      return (await client.call(command, ...rest)) as T;
    } finally {
      client.disconnect();
    }
  }
  const primary = async (): Promise<OwnServer> => {
    const ports = await Promise.all(
      sentinels.map(
        async (one) => (await ask<string[]>(one, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME))[1],
      ),
    );
    const named = servers.find(({ port }) => ports.every((other) => other === String(port)));
    if (named === undefined) throw new Error("The sentinels do not agree on a primary.");
    return named;
  };

  async function giveUpAfter(ms: number): Promise<void> {
    const setting = [NAME, "down-after-milliseconds", String(ms)];
    await Promise.all(sentinels.map((one) => ask(one, "SENTINEL", "SET", ...setting)));
  }

  await until("the sentinels know each other and both replicas", SETTLE_MS, async () => {
    const views = await Promise.all(sentinels.map((one) => ask<string[]>(one, "SENTINEL", "MASTER", NAME)));
    return views.every(
      (view) => fieldOf(view, "num-slaves") === "2" && fieldOf(view, "num-other-sentinels") === "2",
    );
  });

  // Until here, a failure ends what was started.
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
        const [role] = await ask<string[]>(now, "ROLE");
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

/** Sentinel answers with names and values in turn. */
function fieldOf(answer: readonly string[], name: string): string | undefined {
  return answer[answer.indexOf(name) + 1];
}
