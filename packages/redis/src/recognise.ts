import type { StoreClient } from "./client.ts";
import { ioredisClient, type IoredisClient, isIoredis } from "./ioredis.ts";
import { isNodeRedis, type NodeRedisClient, nodeRedisClient } from "./node-redis.ts";

/** The clients that `redisStore` accepts. A client stays the application's own: the store neither configures nor closes it. */
export type RedisClient = IoredisClient | NodeRedisClient;

/**
 * Recognises a client by what it can do.
 *
 * @throws TypeError for what is not a known client, and for a client that cannot keep the promises
 */
export function storeClient(client: unknown): StoreClient {
  if (isIoredis(client) && !isMock(client)) return ioredisClient(client);
  if (isNodeRedis(client)) return nodeRedisClient(client);
  throw new TypeError(
    `redisStore needs a client of ioredis 5 or 6, or of node-redis 5 or later, as its first argument. It got ${nameOf(client)}`,
  );
}

/** ioredis-mock 8 has the methods of ioredis, and keeps its keys in the process. */
function isMock(client: object): boolean {
  return "keyData" in client && "shaScripts" in client;
}

function nameOf(client: unknown): string {
  if (client === null || typeof client !== "object") return client === null ? "null" : typeof client;
  if (isMock(client)) return "a client of ioredis-mock, which runs no scripts of Redis 7";
  if ("invokeScript" in client) return "a client of Valkey GLIDE";
  if (!("sendCommand" in client)) return "an object that is not a client";
  if ("isOpen" in client) return "a client of node-redis 4";
  return "a client of node-redis in legacy mode, or of version 3: give it the client itself, not what its legacy() returns";
}
