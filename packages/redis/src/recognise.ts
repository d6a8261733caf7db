import type { StoreClient } from "./client.ts";
import { ioredisClient, type IoredisClient, isIoredis } from "./ioredis.ts";
import { isNodeRedis, type NodeRedisClient, nodeRedisClient } from "./node-redis.ts";

/** The clients that `redisStore` accepts. The store neither configures nor closes them. */
export type RedisClient = IoredisClient | NodeRedisClient;

/**
 * Recognises a client by its members.
 *
 * @throws TypeError for an unknown client, and for one that cannot keep the promises
 */
export function storeClient(client: unknown): StoreClient {
  if (isIoredis(client) && !isMock(client)) return ioredisClient(client);
  if (isNodeRedis(client)) return nodeRedisClient(client);
  throw new TypeError(
    `The first argument of redisStore must be a client of ioredis 5 or 6, or node-redis 5 or later, not ${nameOf(client)}`,
  );
}

/** ioredis-mock 8 has the methods of ioredis, but keeps its keys in the process. */
function isMock(client: object): boolean {
  return "keyData" in client && "shaScripts" in client;
}

function nameOf(client: unknown): string {
  if (client === null || typeof client !== "object") return client === null ? "null" : typeof client;
  if (isMock(client)) return "a client of ioredis-mock, which cannot run Redis 7 scripts";
  if (client instanceof Promise) return "a promise: await it";
  if ("exec" in client) return "a pipeline or a transaction: pass the client itself";
  if ("invokeScript" in client) return "a client of Valkey GLIDE";
  if (!("sendCommand" in client)) return "an object that is not a client";
  if ("isOpen" in client) return "a client of node-redis 4";
  return "a node-redis client of version 3 or in legacy mode: pass the client itself, not the result of legacy()";
}
