import type { Contest } from "./competitor.ts";

/**
 * The contests by the name of their backend, or of the client if a backend has two. Each is imported only
 * when it is needed, so that no process loads the libraries of other backends.
 */
export const contests: Readonly<Record<string, () => Promise<Contest>>> = {
  memory: async () => (await import("./memory.ts")).memory,
  redis: async () => (await import("./redis.ts")).redis,
  "node-redis": async () => (await import("./redis.ts")).nodeRedis,
  postgres: async () => (await import("./postgres.ts")).postgres,
  mongo: async () => (await import("./mongo.ts")).mongo,
  sqlite: async () => (await import("./sqlite.ts")).sqlite,
};
