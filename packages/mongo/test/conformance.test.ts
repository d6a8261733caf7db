import { testStore } from "@tenure/conformance";
import type { SessionStore } from "@tenure/core";
import { server } from "@tenure/servers";
import { inTurn } from "@tenure/store-wrappers/in-turn";
import type { Collection, MongoClientOptions } from "mongodb";
import { test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, connect6, newCollection, HOSTILE, OTHER_HOSTILE } from "./clients.ts";
import { mixedUpCollection } from "./mixed-up.ts";

const mongo = await server("mongo");

const newest = (url: string, options?: MongoClientOptions) => connect(url, { ...HOSTILE, ...options });
const older = (url: string, options?: MongoClientOptions) => connect6(url, { ...OTHER_HOSTILE, ...options });

// A new collection, because sessions of other tests would slow down scans.
let prepared: Promise<Collection> | undefined;

testStore(
  { describe: mongo.describe, test },
  {
    name: "mongodb 7 and 6 in turn, hostile defaults",
    open: () => onBoth((open) => sessions(open).then((collection) => mongoStore(collection))),
    unreachable: ({ host, port }) =>
      onBoth(async (open) => {
        const client = open(`mongodb://${host}:${port}`, {
          serverSelectionTimeoutMS: 500,
          connectTimeoutMS: 500,
          socketTimeoutMS: 500,
        });
        return mongoStore(client.db("tenure_test").collection("sessions"));
      }),
    mixedUp: (mixUp) => onBoth(async (open) => mongoStore(mixedUpCollection(await sessions(open), mixUp))),
  },
);

async function sessions(open: typeof newest): Promise<Collection> {
  const { dbName, collectionName } = await (prepared ??= newCollection(connect(mongo.url)));
  return open(mongo.url).db(dbName).collection(collectionName);
}

/** Opens a store on each of the two drivers. */
async function onBoth(open: (on: typeof newest) => Promise<SessionStore>): Promise<SessionStore> {
  return inTurn([await open(newest), await open(older)]);
}
