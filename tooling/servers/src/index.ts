export { startMongo } from "./mongo.ts";
export type { OwnServer } from "./own-server.ts";
export { type PostgresOptions, startPostgres } from "./postgres.ts";
export { describeRedis, type RedisOptions, startRedis } from "./redis.ts";
export { type Fault, type FaultyProxy, faultyProxy, type PlannedFault } from "./proxy.ts";
export { type RedisCluster, type RedisClusterOptions, startRedisCluster } from "./redis-cluster.ts";
export { type RedisSentinel, type RedisSentinelOptions, startRedisSentinel } from "./redis-sentinel.ts";
export { canStart, server, type Server } from "./server.ts";
export type { Backend, Startable } from "./way.ts";
