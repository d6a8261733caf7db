import {
  canStart,
  type OwnServer,
  type RedisCluster,
  type RedisSentinel,
  startRedisCluster,
  startRedisSentinel,
} from "@tenure/servers";
import { Redis } from "ioredis";
import type { describe } from "vitest";

/** Several servers that a program names by addresses of another network, such as a Cluster. */
export interface Network {
  /** vitest's `describe`, or one that skips with a message if the servers cannot be started. */
  readonly describe: typeof describe;
  /**
   * Returns the local port for each address in the program, such as `10.0.0.1:6379`. Starts the servers, once
   * for all programs.
   */
  ports(): Promise<Readonly<Record<string, number>>>;
}

const { describe: describeWithNetwork } = await canStart("redis-cluster");

/** Returns the network that a program needs. `undefined`: it needs only the usual servers. */
export function networkOf(text: string): Network | undefined {
  if (/\b(?:new Cluster|createCluster)\(/u.test(text)) {
    return {
      describe: describeWithNetwork,
      async ports() {
        cluster ??= startRedisCluster();
        return portsOf(text, (await cluster).nodes);
      },
    };
  }
  const [, name] = /\bsentinel(?:s|RootNodes)\b[\s\S]*\bname: "(\w+)"/u.exec(text) ?? [];
  if (name === undefined) return undefined;
  return {
    describe: describeWithNetwork,
    async ports() {
      sentinel ??= startRedisSentinel();
      const own = await sentinel;
      if (!monitored.has(name)) {
        const primary = await own.primary();
        await Promise.all(own.sentinels.map(({ port }) => monitor(port, name, primary)));
        monitored.add(name);
      }
      return portsOf(text, own.sentinels);
    },
  };
}

let cluster: Promise<RedisCluster> | undefined;
let sentinel: Promise<RedisSentinel> | undefined;
/** The names by which the Sentinels know the primary. */
const monitored = new Set<string>();

export async function endNetworks(): Promise<void> {
  for (const started of [await cluster, await sentinel]) await started?.[Symbol.asyncDispose]();
}

function portsOf(text: string, servers: readonly OwnServer[]): Record<string, number> {
  const named = [...text.matchAll(/host: "(10\.[\d.]+)", port: (\d+)/gu)].map(
    ([, host, port]) => `${host}:${port}`,
  );
  const ports = named.flatMap((address, i) =>
    servers.slice(i, i + 1).map(({ port }) => [address, port] as const),
  );
  return Object.fromEntries(ports);
}

/** Makes a Sentinel also know the primary by the name that the program uses. */
async function monitor(port: number, name: string, primary: OwnServer): Promise<void> {
  const client = new Redis(port, "127.0.0.1");
  try {
    await client.call("SENTINEL", "MONITOR", name, "127.0.0.1", primary.port, 2);
  } finally {
    client.disconnect();
  }
}
