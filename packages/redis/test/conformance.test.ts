import { testStore } from "@tenure/conformance";
import { server } from "@tenure/servers";
import { Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { createClient, createClientPool, RESP_TYPES } from "redis";
import { createClient as createClient5 } from "redis5";
import { afterAll, beforeAll, describe, test } from "vitest";
import { type RedisClient, redisStore } from "../src/index.ts";
import { README_USER, readmeRules } from "./acl.ts";
import { Clients, databaseOf } from "./clients.ts";
import { mixedUpOver } from "./mixed-up.ts";
import { newId } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

/** A unique name, because other tests use the server too. */
const restricted = { ...README_USER, username: `tenure-${newId()}` };
const keyPrefix = "app{1}*?[x]:";
/** Each uses a different database, except the restricted users, who may not select one. */
const variants: Record<string, (url: string) => RedisClient> = {
  "ioredis 6, the README's restricted user": (url) => clients.add(new Redis(url, restricted)),
  "ioredis 6, RESP3 shapes, keyPrefix, auto-pipelining": (url) =>
    clients.add(
      new Redis(databaseOf(url, 2), { replyMapping: "resp3", keyPrefix, enableAutoPipelining: true }),
    ),
  "ioredis 5, numbers as strings, keyPrefix, database 3": (url) =>
    clients.add(new Redis5(url, { stringNumbers: true, keyPrefix, db: 3 })),
  "node-redis 6, RESP 3, the README's restricted user": (url) =>
    clients.connecting(createClient({ url, ...restricted })),
  "node-redis 6, a pool, RESP 2, keyPrefix, replies as buffers": (url) =>
    clients.connecting(
      createClientPool({
        url: databaseOf(url, 8),
        RESP: 2,
        keyPrefix,
        commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
      }),
    ),
  "node-redis 5, RESP 2, database 9": (url) => clients.connecting(createClient5({ url, database: 9 })),
};

redis.describe("redisStore", () => {
  let admin: Redis;
  beforeAll(async () => {
    admin = clients.redis(redis.url);
    await admin.call("ACL", "SETUSER", restricted.username, "reset", ...readmeRules());
  });
  afterAll(async () => {
    await admin.call("ACL", "DELUSER", restricted.username);
  });

  for (const [name, open] of Object.entries(variants)) {
    testStore(
      { describe, test },
      {
        name,
        open: () => redisStore(open(redis.url)),
        unreachable: ({ host, port }) => redisStore(open(`redis://${host}:${port}`), { timeout: 500 }),
        mixedUp: mixedUpOver(() => open(redis.url)),
      },
    );
  }
});
