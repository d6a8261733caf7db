import { redisStore } from "@tenure/redis";
import { describeRedis, startRedis } from "@tenure/servers";
import { RedisStore } from "connect-redis";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { type Competitor, type Contest, REVOCATION } from "./competitor.ts";
import type { Data } from "./session-data.ts";
import { tenure } from "./tenure.ts";

/** Tenure on ioredis and on node-redis. connect-redis supports only node-redis. */
export const redis: Contest = contest(async (url) => {
  const client = new Redis(url);
  return tenure(redisStore(client), async () => client.disconnect());
}, 1.7);
export const nodeRedis: Contest = contest(async (url) => {
  const client = await createClient({ url }).connect();
  return tenure(redisStore(client), async () => client.close());
}, 1.5);

/** @param pageViews the target for page views at C=64: how many times those of connect-redis */
function contest(openTenure: (url: string) => Promise<Competitor>, pageViews: number): Contest {
  return {
    async server() {
      const server = await startRedis();
      return {
        url: server.url,
        about: `${await describeRedis(server.url)}, ${server.how}, without persistence`,
        pid: await server.pid(),
        stop: async () => server[Symbol.asyncDispose](),
      };
    },
    competitors: { Tenure: openTenure, "connect-redis": connectRedis },
    targets: [
      { cell: "page view, C=1", peer: "connect-redis", times: 1.2 },
      { cell: "page view, C=64", peer: "connect-redis", times: pageViews },
      { cell: "page view, C=256", peer: "connect-redis", times: 1.5 },
      { cell: "page view, every touch written, C=64", peer: "connect-redis", times: 1.3 },
      { cell: "mix, C=64", peer: "connect-redis", times: 1.3 },
      { cell: REVOCATION, peer: "connect-redis", times: 1000 },
    ],
  };
}

/** Set up as its README recommends, on node-redis, which sends the commands of one tick together. */
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
