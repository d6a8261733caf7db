import type { Contest } from "./competitor.ts";

/**
 * By the name of their backend, and of the client where there are two. Each is loaded when it is asked for, so that no process has the
 * libraries of other backends.
 */
export const contests: Readonly<Record<string, () => Promise<Contest>>> = {
  memory: async () => (await import("./memory.ts")).memory,
  redis: async () => (await import("./redis.ts")).redis,
  "node-redis": async () => (await import("./redis.ts")).nodeRedis,
  postgres: async () => (await import("./postgres.ts")).postgres,
  mongo: async () => (await import("./mongo.ts")).mongo,
  sqlite: async () => (await import("./sqlite.ts")).sqlite,
};
