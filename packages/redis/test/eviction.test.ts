import { canStart, type OwnServer, startRedis } from "@tenure/servers";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients } from "./clients.ts";
import { freshId } from "./sessions.ts";

const here = await canStart("redis");
const clients = new Clients();
let own: OwnServer;

here.describe("a server that may evict sessions", () => {
  beforeAll(async () => {
    own = await startRedis({ args: ["--maxmemory-policy", "allkeys-lru"] });
    const admin = clients.redis(own.url);
    await admin.call("ACL", "SETUSER", "no-info", "on", ">x", "~*", "+@all", "-info");
    await admin.call("ACL", "SETUSER", "neither", "on", ">x", "~*", "+@all", "-info", "-config");
  });
  afterAll(async () => {
    clients[Symbol.dispose]();
    await own?.[Symbol.asyncDispose]();
  });

  test("is warned about at first use, once", async () => {
    const heard = await warnings(async () => {
      const store = redisStore(clients.redis(own.url));
      await store.read(freshId());
      await store.read(freshId());
    });
    expect(heard).toEqual([
      expect.objectContaining({
        name: "TenureWarning",
        code: "TENURE_REDIS_EVICTION",
        message: expect.stringContaining("allkeys-lru") as string,
      }),
    ]);
  });

  test("is warned about where CONFIG is allowed and INFO is not", async () => {
    const client = clients.add(
      new Redis(own.url, { username: "no-info", password: "x", enableReadyCheck: false }),
    );
    expect(await warnings(() => redisStore(client).now())).toHaveLength(1);
  });

  test("goes unmentioned where neither is allowed", async () => {
    const client = clients.add(
      new Redis(own.url, { username: "neither", password: "x", enableReadyCheck: false }),
    );
    expect(await warnings(() => redisStore(client).now())).toEqual([]);
  });

  test("goes unmentioned once it evicts nothing", async () => {
    const client = clients.redis(own.url);
    await client.config("SET", "maxmemory-policy", "noeviction");
    expect(await warnings(() => redisStore(client).now())).toEqual([]);
  });
});

/** What is warned of within half a second of a first use. */
async function warnings(use: () => Promise<unknown>): Promise<Error[]> {
  const heard: Error[] = [];
  const listener = (warning: Error): void => void heard.push(warning);
  process.on("warning", listener);
  await use();
  await new Promise((resolve) => setTimeout(resolve, 500));
  process.off("warning", listener);
  return heard.filter(({ name }) => name === "TenureWarning");
}
