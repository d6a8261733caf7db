import type { Contest } from "./competitor.ts";
import { memory } from "./memory.ts";
import { mongo } from "./mongo.ts";
import { postgres } from "./postgres.ts";
import { nodeRedis, redis } from "./redis.ts";
import { sqlite } from "./sqlite.ts";

/** By the name of their backend, and of the client where there are two. */
export const contests: Readonly<Record<string, Contest>> = {
  memory,
  redis,
  "node-redis": nodeRedis,
  postgres,
  mongo,
  sqlite,
};
