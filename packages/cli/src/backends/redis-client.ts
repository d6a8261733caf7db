import { Cluster, Redis } from "ioredis";
import type { RedisAddress } from "../address.ts";
import { UsageError } from "../usage-error.ts";

/**
 * Connects to a server, to the primary that Sentinels name, or to a Cluster. Timeouts are short, because a
 * person is waiting.
 *
 * @throws the driver's error
 * @throws UsageError if the server is a node of a Cluster, and the address is not a Cluster's
 */
export async function connectRedis(address: RedisAddress): Promise<Redis | Cluster> {
  const client = newClient(address);
  let reason: Error | undefined;
  const note = (error: Error & { readonly lastNodeError?: Error }): void => {
    reason = error.lastNodeError ?? error;
  };
  client.on("error", note);
  client.on("+node", (node: Redis) => void node.on("error", note));
  try {
    await client.connect();
    await assertUsable(client, address);
    return client;
  } catch (error) {
    client.disconnect();
    // After its last attempt, ioredis rejects with "Connection is closed". Its event had the reason.
    throw error instanceof UsageError ? error : (reason ?? error);
  }
}

async function assertUsable(client: Redis | Cluster, { topology, db }: RedisAddress): Promise<void> {
  // Authentication fails only with the first command. Some nodes of a Cluster may be down.
  const greetings = await Promise.allSettled(primariesOf(client).map((node) => node.time()));
  const [first] = greetings;
  if (first?.status === "rejected" && greetings.every(({ status }) => status === "rejected"))
    throw first.reason;
  if (topology === "cluster") return;
  // If the server refuses the database, ioredis stays in database 0.
  if (db !== 0) await (client as Redis).select(db);
  // One node has some of the sessions, and a command that scans would report only those.
  // HELLO reports the mode even to a user without rights (Redis 7, Valkey 7.2).
  const hello = (await client.call("HELLO")) as unknown[];
  if (hello[hello.indexOf("mode") + 1] === "cluster") {
    throw new UsageError("This server is a node of a Cluster: write redis+cluster:// instead");
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
      // It would reject, without a reason, if some slots are not served.
      enableReadyCheck: false,
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
