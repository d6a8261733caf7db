import { redisStore } from "@tenure/redis";
import { describeRedis, startRedis } from "@tenure/servers";
import { RedisStore } from "connect-redis";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { type Competitor, type Contest, REVOCATION } from "./competitor.ts";
import type { Data } from "./session-data.ts";
import { tenure } from "./tenure.ts";

export const redis: Contest = {
  async server() {
    const server = await startRedis();
    return {
      url: server.url,
      about: `${await describeRedis(server.url)}, ${server.how}, without persistence`,
      pid: await server.pid(),
      stop: () => server.stop(),
    };
  },
  competitors: {
    async Tenure(url) {
      const client = new Redis(url);
      return tenure(redisStore(client), async () => client.disconnect());
    },
    "connect-redis": connectRedis,
  },
  targets: [
    { cell: "page view, C=1", peer: "connect-redis", times: 1.5 },
    { cell: "page view, C=64", peer: "connect-redis", times: 1.6 },
    { cell: "page view, C=256", peer: "connect-redis", times: 1.8 },
    { cell: "mix, C=64", peer: "connect-redis", times: 1.6 },
    { cell: REVOCATION, peer: "connect-redis", times: 1000 },
  ],
};

/** As its README sets it up: node-redis, which sends the commands of one tick together by itself. */
async function connectRedis(url: string): Promise<Competitor> {
  const client = await createClient({ url }).connect();
  const store = new RedisStore({ client });
  return {
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
