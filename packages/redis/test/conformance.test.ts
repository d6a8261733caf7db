import { testStore } from "@tenure/conformance";
import { server } from "@tenure/servers";
import { Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { afterAll, beforeAll, describe, test } from "vitest";
import { type RedisClient, redisStore } from "../src/index.ts";
import { README_USER, readmeRules } from "./acl.ts";
import { Clients } from "./clients.ts";
import { freshId } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

/** The server may be anybody's. */
const restricted = { ...README_USER, username: `tenure-${freshId()}` };
const PREFIX = "app{1}*?[x]:";
const variants: Record<string, (url: string) => RedisClient> = {
  "ioredis 6": (url) => clients.add(new Redis(url)),
  "ioredis 5": (url) => clients.add(new Redis5(url)),
  "ioredis 6, keyPrefix": (url) => clients.add(new Redis(url, { keyPrefix: PREFIX })),
  "ioredis 5, keyPrefix": (url) => clients.add(new Redis5(url, { keyPrefix: PREFIX })),
  "ioredis 6, auto-pipelining": (url) => clients.add(new Redis(url, { enableAutoPipelining: true })),
  "ioredis 5, auto-pipelining": (url) => clients.add(new Redis5(url, { enableAutoPipelining: true })),
  "database 3": (url) => clients.add(new Redis(url, { db: 3 })),
  "RESP2, numbers as strings": (url) => clients.add(new Redis(url, { protocol: 2, stringNumbers: true })),
  "RESP3 shapes": (url) => clients.add(new Redis(url, { replyMapping: "resp3" })),
  "the README's restricted user": (url) => clients.add(new Redis(url, restricted)),
};

redis.describe("the contract", () => {
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
      },
    );
  }
});
