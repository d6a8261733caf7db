import { redisStore } from "@tenure/redis";
import { describeRedis, startRedis } from "@tenure/servers";
import { RedisStore } from "connect-redis";
import { Redis } from "ioredis";
import { createClient } from "redis";
import type { Arena, Competitor } from "./competitor.ts";
import { REVOCATION } from "./run.ts";
import type { Data } from "./session-data.ts";
import { tenure } from "./tenure.ts";

export async function redisArena(): Promise<Arena> {
  const server = await startRedis();
  const client = new Redis(server.url);
  const competitors = [
    tenure(redisStore(client), async () => client.disconnect()),
    await connectRedis(server.url),
  ] as const;
  return {
    server: `${await describeRedis(server.url)}, ${server.how}, without persistence`,
    serverPid: await server.pid(),
    competitors,
    targets: [
      { cell: "page view, C=1", peer: "connect-redis", times: 1.5 },
      { cell: "page view, C=64", peer: "connect-redis", times: 1.6 },
      { cell: "page view, C=256", peer: "connect-redis", times: 1.8 },
      { cell: "mix, C=64", peer: "connect-redis", times: 1.6 },
      { cell: REVOCATION, peer: "connect-redis", times: 1000 },
    ],
    async close() {
      await Promise.all(competitors.map((one) => one.close()));
      await server.stop();
    },
  };
}

/** As its README sets it up: node-redis, which sends the commands of one tick together by itself. */
async function connectRedis(url: string): Promise<Competitor> {
  const client = await createClient({ url }).connect();
  const store = new RedisStore({ client });
  return {
    name: "connect-redis",
    store,
    revocation: "store.all(), then destroy",
    async revokeUser(userId) {
      const all = (await store.all()) as (Data & { id: string })[];
      const theirs = all.filter((one) => one.userId === userId);
      await Promise.all(theirs.map(({ id }) => store.destroy(id)));
      return theirs.length;
    },
    close: async () => client.close(),
  };
}
