import type { Contest } from "./competitor.ts";
import { memory } from "./memory.ts";
import { mongo } from "./mongo.ts";
import { postgres } from "./postgres.ts";
import { redis } from "./redis.ts";

/** By the name of their backend. */
export const contests: Readonly<Record<string, Contest>> = { memory, redis, postgres, mongo };
