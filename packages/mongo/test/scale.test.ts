import { randomUUID } from "node:crypto";
import { server } from "@tenure/servers";
import type { Collection, Document, MongoClient } from "mongodb";
import { expect, test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, newCollection, recordCommands } from "./clients.ts";
import { indexesIn, optionsOf } from "./plans.ts";
import { createSession } from "./sessions.ts";

const mongo = await server("mongo");

mongo.describe("With 20,000 sessions,", () => {
  test("scan yields each session once, with short commands and without keeping a cursor open", async () => {
    const client = connect(mongo.url, { monitorCommands: true });
    const { collection, ids } = await filled(client);
    const store = mongoStore(collection);

    const seen: string[] = [];
    const sent = await recordCommands(client, async () => {
      for await (const { id } of store.scan()) seen.push(id);
    });

    expect(seen.length).toBe(SESSIONS);
    expect(new Set(seen)).toEqual(new Set(ids));
    const scans = sent.filter((command) => !("listIndexes" in command));
    expect(scans.map((command) => Object.keys(command)[0])).toEqual(scans.map(() => "aggregate"));
    expect(scans).toHaveLength(SESSIONS / 100 + 1);
  });

  test("the user index finds the ten sessions of a user, and only these are listed and ended", async () => {
    const client = connect(mongo.url, { monitorCommands: true });
    const { collection, ids } = await filled(client);
    const store = mongoStore(collection);
    const listed = (await store.listUser("user 7")).map(({ id }) => id);
    expect(listed.toSorted(byText)).toEqual(ids.filter((_, i) => i % USERS === 7).toSorted(byText));
    expect(listed).toHaveLength(10);
    const sent = await recordCommands(client, async () => expect(await store.revokeUser("user 7")).toBe(10));
    // With a few hundred sessions, FerretDB 2.7 may choose another index.
    const finds = sent.filter((command) => "find" in command);
    expect(finds.length).toBeGreaterThan(0);
    for (const command of finds) {
      const query = collection.find(command["filter"], optionsOf(command));
      expect([...indexesIn(await query.explain("queryPlanner"))]).toEqual(["tenure_user"]);
    }
    const left = await collection.countDocuments({ userId: { $exists: true } });
    expect(left).toBe(SESSIONS - 10);
  });
});

mongo.describe("A user with 10,000 sessions", () => {
  test("is logged out everywhere by commands that each read or end at most 500 sessions", async () => {
    const client = connect(mongo.url, { monitorCommands: true });
    const collection = await newCollection(client);
    const store = mongoStore(collection);
    const ids = await fill(collection, 10_000, () => "u");
    const sent = await recordCommands(client, async () => {
      expect(await store.revokeUser("u", { except: ids[0]! })).toBe(9999);
    });
    const limits = sent.filter((command) => "find" in command).map((command) => command["limit"]);
    expect(new Set(limits)).toEqual(new Set([500]));
    const ended = sent
      .filter((each) => "updates" in each)
      .map(({ updates }) => updates[0].q["_id"].$in.length);
    expect(ended.toSorted((a, b) => a - b)).toEqual([499, ...Array.from({ length: 19 }, () => 500)]);
    expect((await store.listUser("u")).map(({ id }) => id)).toEqual([ids[0]]);
  });
});

const SESSIONS = 20_000;
const USERS = SESSIONS / 10;

let filling: Promise<{ readonly name: string; readonly ids: readonly string[] }> | undefined;

/** Returns the collection of 20,000 sessions. It is filled once, which takes longer than the tests. */
async function filled(
  client: MongoClient,
): Promise<{ readonly collection: Collection; readonly ids: readonly string[] }> {
  filling ??= newCollection(client).then(async (collection) => ({
    name: collection.collectionName,
    ids: await fill(collection, SESSIONS),
  }));
  const { name, ids } = await filling;
  return { collection: client.db("tenure_test").collection(name), ids };
}

/**
 * Inserts copies of one session that the store created, with other ids and users. Creating them one by one
 * would be slow.
 */
async function fill(
  collection: Collection,
  count: number,
  userOf = (i: number) => `user ${i % USERS}`,
): Promise<string[]> {
  const id = await createSession(mongoStore(collection), { userId: "u" });
  const template = await collection.findOneAndDelete({ _id: id as never });
  const ids = Array.from({ length: count }, () => randomUUID());
  for (let from = 0; from < count; from += 10_000) {
    const batch: Document[] = [];
    for (const [i, _id] of ids.slice(from, from + 10_000).entries()) {
      batch.push({ ...template, _id, userId: userOf(from + i) });
    }
    await collection.insertMany(batch, { ordered: false });
  }
  return ids;
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}
