import { testStore } from "@tenure/conformance";
import { server } from "@tenure/servers";
import { inTurn } from "@tenure/store-wrappers/in-turn";
import { Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { createClient, createClientPool, RESP_TYPES } from "redis";
import { createClient as createClient5 } from "redis5";
import { afterAll, beforeAll, describe, test } from "vitest";
import { type RedisClient, redisStore } from "../src/index.ts";
import { README_USER, readmeRules } from "./acl.ts";
import { Clients, databaseOf } from "./clients.ts";
import { mixedUp } from "./mixed-up.ts";
import { newId } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

/** A unique name, because other tests use the server too. */
const restricted = { ...README_USER, username: `tenure-${newId()}` };
const keyPrefix = "app{1}*?[x]:";

type Open = (url: string) => RedisClient;

/** Each pair uses a different database, except the restricted users, who may not select one. */
const pairs: Record<string, readonly [Open, Open]> = {
  "ioredis 6 and node-redis 6 in turn, RESP 3, the README's restricted user": [
    (url) => clients.add(new Redis(url, restricted)),
    (url) => clients.connecting(createClient({ url, ...restricted })),
  ],
  "ioredis 6, RESP3 shapes, auto-pipelining, and ioredis 5, numbers as strings, in turn, keyPrefix": [
    (url) =>
      clients.add(
        new Redis(databaseOf(url, 2), { replyMapping: "resp3", keyPrefix, enableAutoPipelining: true }),
      ),
    (url) => clients.add(new Redis5(url, { stringNumbers: true, keyPrefix, db: 2 })),
  ],
  "a pool of node-redis 6, replies as buffers, and node-redis 5 in turn, RESP 2": [
    (url) =>
      clients.connecting(
        createClientPool({
          url: databaseOf(url, 8),
          RESP: 2,
          commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
        }),
      ),
    (url) => clients.connecting(createClient5({ url, database: 8 })),
  ],
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

  for (const [name, pair] of Object.entries(pairs)) {
    testStore(
      { describe, test },
      {
        name,
        open: () => inTurn(pair.map((open) => redisStore(open(redis.url)))),
        unreachable: ({ host, port }) =>
          inTurn(pair.map((open) => redisStore(open(`redis://${host}:${port}`), { timeout: 500 }))),
        mixedUp: (mixUp) => inTurn(pair.map((open) => redisStore(mixedUp(open(redis.url), mixUp)))),
      },
    );
  }
});
