import { redisStore } from "@tenure/redis";
import { Redis } from "ioredis";
import type { OpenedStore } from "./open-store.ts";

export async function openRedis(address: string, shown: string): Promise<OpenedStore> {
  const client = new Redis(address, { lazyConnect: true, connectTimeout: 3000, commandTimeout: 3000 });
  // Nothing to do here: each call that fails rejects.
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.ping();
  } catch (error) {
    client.disconnect();
    throw error;
  }
  return {
    store: redisStore(client, { prefix: "tenure-demo:" }),
    place: `Redis at ${shown}`,
    close: async () => client.disconnect(),
  };
}
