import { redisStore } from "@tenure/redis";
import type { RedisAddress } from "../address.ts";
import type { Backend, StoreOptions } from "../backend.ts";
import { checkRedis } from "./redis-checks.ts";
import { connectRedis, primariesOf } from "./redis-client.ts";

export async function redisBackend(
  address: RedisAddress,
  { prefix = "tenure:", tombstoneMinimum }: StoreOptions,
): Promise<Backend> {
  const client = await connectRedis(address);
  const options = tombstoneMinimum === undefined ? { prefix } : { prefix, tombstoneMinimum };
  return {
    label: `${address.label}, prefix ${prefix}`,
    store: redisStore(client, options),
    check: () => checkRedis(client, prefix),
    migrate: async () => "Redis needs no schema: nothing to do.",
    sweep: async () => ({
      swept: null,
      text: "Redis removes expired sessions itself: nothing to do.",
    }),
    async estimate() {
      // Includes tombstones, indexes and other applications' keys.
      const sizes = await Promise.all(primariesOf(client).map((node) => node.dbsize().catch(() => 0)));
      return sizes.reduce((sum, size) => sum + size, 0) || null;
    },
    async [Symbol.asyncDispose]() {
      client.disconnect();
    },
  };
}
