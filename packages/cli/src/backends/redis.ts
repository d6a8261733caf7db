import { redisStore } from "@tenure/redis";
import type { RedisAddress } from "../address.ts";
import type { Backend, StoreOptions } from "../backend.ts";
import { checkRedis } from "./redis-checks.ts";
import { connectRedis, keyCount } from "./redis-client.ts";

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
    // Includes tombstones, indexes and other applications' keys.
    estimate: () => keyCount(client),
    async [Symbol.asyncDispose]() {
      client.disconnect();
    },
  };
}
