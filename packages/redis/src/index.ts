export type { RedisClient } from "./recognise.ts";
export type { IoredisClient, IoredisNode, IoredisPipeline } from "./ioredis.ts";
export type { RedisStoreOptions, ReplicaWait } from "./options.ts";
export { redisStore } from "./store.ts";
