import { testStore } from "@tenure/conformance";
import { server } from "@tenure/servers";
import { test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, connect6, HOSTILE, HOSTILE_TOO, prepare } from "./clients.ts";
import { mixedUpCollection } from "./mixed-up.ts";

const mongo = await server("mongo");

const drivers = {
  "mongodb 7, hostile defaults": (url: string, options = {}) => connect(url, { ...HOSTILE, ...options }),
  "mongodb 6, other hostile defaults": (url: string, options = {}) =>
    connect6(url, { ...HOSTILE_TOO, ...options }),
};

let prepared: Promise<void> | undefined;

function prepareSessions(): Promise<void> {
  const client = connect(mongo.url);
  return prepare(client, client.db("tenure_test").collection("sessions"));
}

for (const [name, open] of Object.entries(drivers)) {
  testStore(
    { describe: mongo.describe, test },
    {
      name,
      open: async () => {
        await (prepared ??= prepareSessions());
        return mongoStore(open(mongo.url).db("tenure_test").collection("sessions"));
      },
      unreachable: ({ host, port }) => {
        const client = open(`mongodb://${host}:${port}`, {
          serverSelectionTimeoutMS: 500,
          connectTimeoutMS: 500,
          socketTimeoutMS: 500,
        });
        return mongoStore(client.db("tenure_test").collection("sessions"));
      },
      mixedUp: (mixUp) =>
        mongoStore(mixedUpCollection(open(mongo.url).db("tenure_test").collection("sessions"), mixUp)),
    },
  );
}
