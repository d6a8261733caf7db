export type { RedisClient } from "./recognise.ts";
export type { IoredisClient, IoredisNode, IoredisPipeline } from "./ioredis.ts";
export type {
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisConnection,
  NodeRedisMulti,
  NodeRedisPool,
  NodeRedisSentinel,
  NodeRedisSentinelMulti,
} from "./node-redis.ts";
export type { RedisStoreOptions, ReplicaWait } from "./options.ts";
export { redisStore } from "./store.ts";
