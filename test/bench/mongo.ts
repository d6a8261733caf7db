import { ensureIndexes, mongoStore } from "@tenure/mongo";
import { startMongo } from "@tenure/servers";
import MongoStore from "connect-mongo";
import type { SessionData } from "express-session";
import { MongoClient } from "mongodb";
import { type Competitor, type Contest, IDLE, REVOCATION } from "./competitor.ts";
import type { Data } from "./session-data.ts";
import { tenure } from "./tenure.ts";

export const mongo: Contest = {
  async server() {
    const server = await startMongo();
    const client = await new MongoClient(server.url).connect();
    const build = await client.db("admin").command({ buildInfo: 1 });
    await client.close();
    return {
      url: server.url,
      about: `MongoDB ${build["version"]}${build["ferretdb"] === undefined ? "" : " (FerretDB)"}, ${server.how}`,
      pid: await server.pid(),
      stop: async () => server[Symbol.asyncDispose](),
    };
  },
  competitors: {
    async Tenure(url) {
      const client = await new MongoClient(url).connect();
      const collection = client.db("bench").collection("tenure");
      await ensureIndexes(collection);
      return tenure(mongoStore(collection), () => client.close());
    },
    "connect-mongo": (url) => connectMongo(url, 0),
    "connect-mongo, touchAfter": (url) => connectMongo(url, 60),
  },
  targets: [
    { cell: "page view, C=1", peer: "connect-mongo", times: 1.5 },
    { cell: "page view, C=64", peer: "connect-mongo", times: 6 },
    { cell: "mix, C=64", peer: "connect-mongo", times: 5 },
    { cell: REVOCATION, peer: "connect-mongo", times: 400 },
  ],
};

/**
 * Sets up connect-mongo as its README recommends, on its own client with the driver's defaults.
 *
 * @param touchAfter seconds between touches that are written. The default, 0, writes all touches
 */
async function connectMongo(url: string, touchAfter: number): Promise<Competitor> {
  const client = await new MongoClient(url).connect();
  const collection = client.db("bench").collection<{ _id: string; session: string }>(`connect_${touchAfter}`);
  let share = 1;

  /** connect-mongo decides by `lastModified` whether a touch is due. Here it is random, as for Tenure. */
  class Store extends MongoStore {
    override get(token: string, callback: (error: unknown, data?: SessionData | null) => void): void {
      super.get(token, (error: unknown, data?: SessionData | null) => {
        if (data && "lastModified" in data) {
          data.lastModified = Math.random() < share ? new Date(Date.now() - IDLE) : new Date();
        }
        callback(error, data);
      });
    }
  }

  return {
    store: new Store({ client, dbName: "bench", collectionName: collection.collectionName, touchAfter }),
    ...(touchAfter === 0 ? {} : { setDueShare: (due: number) => void (share = due) }),
    revocation: "read every document of its collection, then delete",
    async revokeUser(userId) {
      const theirs: string[] = [];
      for await (const { _id, session } of collection.find()) {
        if ((JSON.parse(session) as Data).userId === userId) theirs.push(_id);
      }
      await Promise.all(theirs.map((id) => collection.deleteOne({ _id: id })));
      return theirs.length;
    },
    close: () => client.close(),
  };
}
