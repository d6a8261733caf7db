import { Cluster, Redis } from "ioredis";
import type { RedisAddress } from "../address.ts";

/**
 * Connects to a server, to the primary that Sentinels name, or to a Cluster. Timeouts are short, because a
 * person is waiting.
 *
 * @throws the driver's error
 */
export async function connectRedis(address: RedisAddress): Promise<Redis | Cluster> {
  const client = newClient(address);
  let reason: Error | undefined;
  client.on("error", (error: Error & { readonly lastNodeError?: Error }) => {
    reason = error.lastNodeError ?? error;
  });
  try {
    await client.connect();
    // Authentication fails only with the first command.
    await client.time();
    return client;
  } catch (error) {
    client.disconnect();
    // After its last attempt, ioredis rejects with "Connection is closed". Its event had the reason.
    throw reason ?? error;
  }
}

/** Returns the primaries of a Cluster, or the only server. */
export function primariesOf(client: Redis | Cluster): Redis[] {
  return client instanceof Cluster ? client.nodes("master") : [client];
}

/** Returns the number of keys on all primaries, whatever they are. `null`: none, or not known. */
export async function keyCount(client: Redis | Cluster): Promise<number | null> {
  const sizes = await Promise.all(primariesOf(client).map((node) => node.dbsize().catch(() => 0)));
  return sizes.reduce((sum, size) => sum + size, 0) || null;
}

function newClient(address: RedisAddress): Redis | Cluster {
  const { topology, hosts, tls, username, password, db, primary } = address;
  const server = {
    connectTimeout: 5000,
    commandTimeout: 30_000,
    maxRetriesPerRequest: 3,
    // The check needs INFO, which a restricted user may lack. A loading server replies with an error anyway.
    enableReadyCheck: false,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
  };
  if (topology === "cluster") {
    return new Cluster([...hosts], {
      lazyConnect: true,
      enableAutoPipelining: true,
      clusterRetryStrategy: retry,
      redisOptions: server,
      // Certificates name hosts, but ioredis would connect to their addresses.
      ...(tls ? { dnsLookup: byName } : {}),
    });
  }
  const options = { ...server, db, lazyConnect: true, enableAutoPipelining: true, retryStrategy: retry };
  if (topology === "standalone") return new Redis({ ...options, ...hosts[0] });
  const { sentinelUsername, sentinelPassword } = address;
  return new Redis({
    ...options,
    sentinels: [...hosts],
    name: primary ?? "",
    sentinelRetryStrategy: retry,
    // `connectTimeout` does not cover a Sentinel that accepts and never replies.
    sentinelCommandTimeout: 2000,
    ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
    ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
  });
}

/** Milliseconds until the next attempt to connect. */
function retry(times: number): number | null {
  return times > 3 ? null : 200 * times;
}

function byName(host: string, callback: (error: null, address: string) => void): void {
  callback(null, host);
}
