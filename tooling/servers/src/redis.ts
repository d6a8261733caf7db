import { container } from "./container.ts";
import { imageCommand } from "./docker.ts";
import type { OwnServer } from "./own-server.ts";
import { freePort } from "./port.ts";
import { startRedisMachine, startRedisNode, WITHOUT_PERSISTENCE } from "./redis-node.ts";
import { wayTo } from "./way-to.ts";

export interface RedisOptions {
  /** Arguments for `redis-server`, after the usual ones: `["--appendonly", "yes"]`. */
  readonly args?: readonly string[];
}

/** Starts a Redis (or Valkey) of one's own: standalone, without persistence, empty. */
export async function startRedis({ args = [] }: RedisOptions = {}): Promise<OwnServer> {
  const way = await wayTo("redis");
  const all = [...WITHOUT_PERSISTENCE, ...args];
  if (way.by === "binary") return startRedisNode(way, all);
  const port = await freePort();
  const [server = "redis-server"] = await imageCommand(way.image);
  const network = { from: port, to: 6379 };
  return startRedisMachine(container({ image: way.image, command: [server, ...all], network }), port, way);
}

/** What a Redis says it is: `Redis 8.2.1`, `Valkey 9.1.0`. */
export async function describeRedis(url: string): Promise<string> {
  const { Redis } = await import("ioredis");
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 5000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const info = await client.info("server");
    const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1];
    return valkey === undefined ? `Redis ${/^redis_version:(\S+)/m.exec(info)?.[1]}` : `Valkey ${valkey}`;
  } finally {
    client.disconnect();
  }
}
