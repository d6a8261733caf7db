import { Cluster, Redis } from "ioredis";
import type { RedisAddress } from "../address.ts";

/**
 * Connects to a server, to the primary that Sentinels name, or to a Cluster.
 *
 * @throws the driver's error, soon: a person is waiting
 */
export async function connectRedis(address: RedisAddress): Promise<Redis | Cluster> {
  const client = newClient(address);
  let reason: Error | undefined;
  client.on("error", (error: Error & { readonly lastNodeError?: Error }) => {
    reason = error.lastNodeError ?? error;
  });
  try {
    await client.connect();
    // Authentication fails only at the first command.
    await client.time();
    return client;
  } catch (error) {
    client.disconnect();
    // After its last attempt ioredis says "Connection is closed", and its event said why.
    throw reason ?? error;
  }
}

/** The servers that decide. */
export function primariesOf(client: Redis | Cluster): Redis[] {
  return client instanceof Cluster ? client.nodes("master") : [client];
}

function newClient(address: RedisAddress): Redis | Cluster {
  const { topology, hosts, tls, username, password, db, primary } = address;
  const server = {
    connectTimeout: 5000,
    commandTimeout: 30_000,
    maxRetriesPerRequest: 3,
    // It needs INFO, which a restricted user may lack. A server that is still loading replies with an error.
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
      // A certificate names hosts, and ioredis would connect to the addresses that they resolve to.
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
