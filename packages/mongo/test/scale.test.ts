import { randomUUID } from "node:crypto";
import { server } from "@tenure/servers";
import type { Collection, Document, MongoClient } from "mongodb";
import { expect, test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, freshCollection, record } from "./clients.ts";
import { indexesIn, optionsOf } from "./plans.ts";

const mongo = await server("mongo");

mongo.describe("At 100,000 sessions", () => {
  test("scan has each once, by short commands in the order of their ids, with no cursor kept open", async () => {
    const client = connect(mongo.url, { monitorCommands: true });
    const { collection, ids } = await filled(client);
    const store = mongoStore(collection);

    const seen: string[] = [];
    const sent = await record(client, async () => {
      for await (const { id } of store.scan()) seen.push(id);
    });

    expect(seen.length).toBe(SESSIONS);
    expect(new Set(seen)).toEqual(new Set(ids));
    const scans = sent.filter((command) => !("listIndexes" in command));
    expect(scans.map((command) => Object.keys(command)[0])).toEqual(scans.map(() => "aggregate"));
    expect(scans).toHaveLength(SESSIONS / 100 + 1);
  });

  test("a user's ten are found by the user's index, listed and ended, and nobody else's", async () => {
    const client = connect(mongo.url, { monitorCommands: true });
    const { collection, ids } = await filled(client);
    const store = mongoStore(collection);
    const theirs = (await store.listUser("user 7")).map(({ id }) => id);
    expect(theirs.toSorted(byText)).toEqual(ids.filter((_, i) => i % USERS === 7).toSorted(byText));
    expect(theirs).toHaveLength(10);
    const sent = await record(client, async () => expect(await store.revokeUser("user 7")).toBe(10));
    // With a few hundred sessions, FerretDB 2.7 may choose another index.
    for (const command of sent.filter((one) => "find" in one)) {
      const asked = collection.find(command["filter"], optionsOf(command));
      expect([...indexesIn(await asked.explain("queryPlanner"))]).toEqual(["tenure_user"]);
    }
    const left = await collection.countDocuments({ userId: { $exists: true } });
    expect(left).toBe(SESSIONS - 10);
  });
});

mongo.describe("A user with 10,000 sessions", () => {
  test("is logged out everywhere by short commands, and none of them reads or ends more than 500", async () => {
    const client = connect(mongo.url, { monitorCommands: true });
    const collection = await freshCollection(client);
    const store = mongoStore(collection);
    const ids = await fill(collection, 10_000, () => "u");
    const sent = await record(client, async () => {
      expect(await store.revokeUser("u", { except: ids[0]! })).toBe(9999);
    });
    for (const command of sent.filter((one) => "find" in one)) expect(command["limit"]).toBe(500);
    const ended = sent.filter((one) => "updates" in one).map(({ updates }) => updates[0].q["_id"].$in.length);
    expect(ended.toSorted((a, b) => a - b)).toEqual([499, ...Array.from({ length: 19 }, () => 500)]);
    expect((await store.listUser("u")).map(({ id }) => id)).toEqual([ids[0]]);
  });
});

const SESSIONS = 100_000;
const USERS = SESSIONS / 10;

let filling: Promise<{ readonly name: string; readonly ids: readonly string[] }> | undefined;

/**
 * Returns the filled collection, through this client. It is filled once, which takes longer than the tests.
 */
async function filled(
  client: MongoClient,
): Promise<{ readonly collection: Collection; readonly ids: readonly string[] }> {
  filling ??= freshCollection(client).then(async (collection) => ({
    name: collection.collectionName,
    ids: await fill(collection, SESSIONS),
  }));
  const { name, ids } = await filling;
  return { collection: client.db("tenure_test").collection(name), ids };
}

/**
 * Inserts copies of one session that the store created, each with its own id and user: creating them one by
 * one would be slow.
 */
async function fill(
  collection: Collection,
  count: number,
  userOf = (i: number) => `user ${i % USERS}`,
): Promise<string[]> {
  const id = randomUUID();
  await mongoStore(collection).create({ id, userId: "u", data: "private", idle: HOUR, lifetime: HOUR });
  const made = await collection.findOneAndDelete({ _id: id as never });
  const ids = Array.from({ length: count }, () => randomUUID());
  for (let from = 0; from < count; from += 10_000) {
    const batch: Document[] = [];
    for (const [i, _id] of ids.slice(from, from + 10_000).entries()) {
      batch.push({ ...made, _id, userId: userOf(from + i) });
    }
    await collection.insertMany(batch, { ordered: false });
  }
  return ids;
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}

const HOUR = 60 * 60 * 1000;
