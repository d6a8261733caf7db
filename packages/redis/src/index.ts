export type { RedisClient } from "./recognise.ts";
export type { IoredisClient, IoredisNode, IoredisPipeline } from "./ioredis.ts";
export type {
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisConnection,
  NodeRedisLease,
  NodeRedisLeaseMulti,
  NodeRedisMulti,
  NodeRedisPool,
  NodeRedisSentinel,
} from "./node-redis.ts";
export type { RedisStoreOptions, ReplicaWait } from "./options.ts";
export { redisStore } from "./store.ts";
