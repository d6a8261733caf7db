import { disposeAll, type OwnServer } from "./own-server.ts";
import { callRedis, startRedisNode, startSentinelNode } from "./redis.ts";
import { until } from "./until.ts";
import { sourceOf } from "./source.ts";

export interface RedisSentinel extends AsyncDisposable {
  /** The name under which the sentinels know the primary. */
  readonly name: string;
  readonly sentinels: readonly OwnServer[];
  /** The primary and its two replicas, by their roles at the start. */
  readonly servers: readonly OwnServer[];
  /** Returns the server that the sentinels now name as the primary. */
  primary(): Promise<OwnServer>;
  /** Kills the primary (SIGKILL) and resolves to the replica that replaced it, in about 3 s. */
  failover(): Promise<OwnServer>;
}

/** Starts three Sentinels, and a primary with two replicas that they watch, on 127.0.0.1. */
export async function startRedisSentinel(): Promise<RedisSentinel> {
  const source = await sourceOf("redis-cluster");
  const args = ["--repl-diskless-sync-delay", "0"];
  const first = await startRedisNode(source, args);
  const replica = () => startRedisNode(source, [...args, "--replicaof", `127.0.0.1 ${first.port}`]);
  const servers = [first, ...(await Promise.all([replica(), replica()]))];
  const sentinels = await Promise.all(Array.from({ length: 3 }, () => startSentinelNode(source)));

  const callAll = (command: string, ...rest: string[]) =>
    Promise.all(sentinels.map(({ url }) => callRedis<string[]>(url, "SENTINEL", command, NAME, ...rest)));
  const setDownAfter = (ms: number) => callAll("SET", "down-after-milliseconds", String(ms));
  const primary = async (): Promise<OwnServer> => {
    const addresses = await callAll("GET-MASTER-ADDR-BY-NAME");
    const named = servers.find(({ port }) => addresses.every((address) => address[1] === String(port)));
    if (named === undefined) throw new Error("The sentinels do not agree on a primary.");
    return named;
  };

  await callAll("MONITOR", "127.0.0.1", String(first.port), "2");
  await callAll("SET", "failover-timeout", "5000");
  await setDownAfter(PATIENT_MS);
  await until("the sentinels know each other and both replicas", SETTLE_MS, async () => {
    const views = await callAll("MASTER");
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
      await setDownAfter(1000);
      await before.kill();
      const after = await until("another server is the primary", SETTLE_MS, async () => {
        const now = await primary();
        const [role] = await callRedis<string[]>(now.url, "ROLE");
        return now !== before && role === "master" && now;
      });
      await setDownAfter(PATIENT_MS);
      return after;
    },
    [Symbol.asyncDispose]: () => disposeAll([...sentinels, ...servers]),
  };
}

const NAME = "tenure";

/**
 * Long, so that a primary that is only slow on a busy machine is not replaced, which would lose the writes
 * that it has not replicated.
 */
const PATIENT_MS = 60_000;

const SETTLE_MS = 30_000;

/** Returns a field of a Sentinel's reply, in which names and values alternate. */
function fieldOf(reply: readonly string[], name: string): string | undefined {
  return reply[reply.indexOf(name) + 1];
}
