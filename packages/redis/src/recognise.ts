import type { StoreClient } from "./client.ts";
import { ioredisClient, type IoredisClient, isIoredis } from "./ioredis.ts";

/** The clients that `redisStore` accepts. A client stays the application's own: the store neither configures nor closes it. */
export type RedisClient = IoredisClient;

/**
 * Recognises a client by what it can do.
 *
 * @throws TypeError for what is not a known client, and for one that reads from replicas
 */
export function storeClient(client: unknown): StoreClient {
  if (isIoredis(client)) return ioredisClient(client);
  throw new TypeError(
    `redisStore needs a Redis or Cluster of ioredis 5 or 6 as its first argument. It got ${nameOf(client)}`,
  );
}

function nameOf(client: unknown): string {
  if (client === null || typeof client !== "object") return client === null ? "null" : typeof client;
  if ("evalSha" in client) return "a client of node-redis";
  if ("invokeScript" in client) return "a client of Valkey GLIDE";
  return "an object without ioredis' evalsha() and options";
}
