import { testStore } from "@tenure/conformance";
import { server } from "@tenure/servers";
import type { Collection } from "mongodb";
import { test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, connect6, freshCollection, HOSTILE, HOSTILE_TOO } from "./clients.ts";
import { mixedUpCollection } from "./mixed-up.ts";

const mongo = await server("mongo");

const drivers = {
  "mongodb 7, hostile defaults": (url: string, options = {}) => connect(url, { ...HOSTILE, ...options }),
  "mongodb 6, other hostile defaults": (url: string, options = {}) =>
    connect6(url, { ...HOSTILE_TOO, ...options }),
};

for (const [name, open] of Object.entries(drivers)) {
  // Its own: a scan takes longer with what others have left.
  let prepared: Promise<Collection> | undefined;
  const sessions = async (): Promise<Collection> => {
    const { dbName, collectionName } = await (prepared ??= freshCollection(connect(mongo.url)));
    return open(mongo.url).db(dbName).collection(collectionName);
  };

  testStore(
    { describe: mongo.describe, test },
    {
      name,
      open: async () => mongoStore(await sessions()),
      unreachable: ({ host, port }) => {
        const client = open(`mongodb://${host}:${port}`, {
          serverSelectionTimeoutMS: 500,
          connectTimeoutMS: 500,
          socketTimeoutMS: 500,
        });
        return mongoStore(client.db("tenure_test").collection("sessions"));
      },
      mixedUp: async (mixUp) => mongoStore(mixedUpCollection(await sessions(), mixUp)),
    },
  );
}
