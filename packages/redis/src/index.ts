export type { RedisClient } from "./client.ts";
export type { RedisStoreOptions, ReplicaWait } from "./options.ts";
export { redisStore } from "./store.ts";
