import type { SessionStore } from "@tenure/core";
import { redisStore } from "@tenure/redis";
import { Redis } from "ioredis";

/** The reader's own store, which the README of the conformance suite imports. */
const clients: Redis[] = [];

export function connect(address: { readonly host: string; readonly port: number }): Redis {
  const client = new Redis({
    ...address,
    connectTimeout: 1000,
    commandTimeout: 1000,
    maxRetriesPerRequest: 1,
  });
  client.on("error", () => undefined);
  clients.push(client);
  return client;
}

export function disconnectAll(): void {
  for (const client of clients) client.disconnect();
}

export function yourStore(client: Redis): SessionStore {
  return redisStore(client);
}
