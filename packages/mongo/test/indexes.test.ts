import { randomUUID } from "node:crypto";
import { server } from "@tenure/servers";
import type { Collection, CreateIndexesOptions, Document, MongoClient } from "mongodb";
import { expect, test } from "vitest";
import { ensureIndexes, mongoStore } from "../src/index.ts";
import { connect, HOSTILE, skipLoudly } from "./clients.ts";
import { listen, turn } from "./warnings.ts";

const servers = { mongo: await server("mongo"), "mongo-transactions": await server("mongo-transactions") };

for (const [name, on] of Object.entries(servers)) {
  on.describe(`ensureIndexes on ${name}`, { concurrent: true }, () => {
    test("makes the user's index and the cleaning one, also with a client whose defaults are hostile", async () => {
      const collection = bare(connect(on.url, HOSTILE));
      await ensureIndexes(collection);
      expect(await indexesOf(collection)).toEqual(OURS);
    });

    test("changes nothing when it runs again", async () => {
      const collection = bare(connect(on.url));
      await ensureIndexes(collection);
      await ensureIndexes(collection);
      expect(await indexesOf(collection)).toEqual(OURS);
    });

    test("makes them once when ten instances start at once", async () => {
      const collection = bare(connect(on.url));
      const { dbName, collectionName } = collection;
      const instances = Array.from({ length: 10 }, () =>
        connect(on.url).db(dbName).collection(collectionName),
      );
      await Promise.all(instances.map(ensureIndexes));
      expect(await indexesOf(collection)).toEqual(OURS);
    });

    test("makes the one that is missing", async () => {
      const collection = bare(connect(on.url));
      await collection.createIndex({ endsAt: 1 }, { name: "tenure_cleaning", expireAfterSeconds: 0 });
      await ensureIndexes(collection);
      expect(await indexesOf(collection)).toEqual(OURS);
    });

    test("takes an equal index by another name for its own", async () => {
      const collection = bare(connect(on.url));
      const flags = { unique: false, sparse: false };
      await collection.createIndex({ endsAt: 1 }, { name: "by_end", expireAfterSeconds: 0, ...flags });
      await ensureIndexes(collection);
      expect((await indexesOf(collection)).map((index) => index["name"])).toEqual(["by_end", "tenure_user"]);
    });

    const CONFLICTS: [string, Document, CreateIndexesOptions][] = [
      ["has its name on another key", { data: 1 }, { name: "tenure_user" }],
      ["has its key and another time", { endsAt: 1 }, { name: "by_end", expireAfterSeconds: 3600 }],
      ["has its key and no time", { endsAt: 1 }, { name: "plain_end" }],
      ["would allow a user one session", { userId: 1, _id: 1 }, { name: "one_each", unique: true }],
    ];
    test.for(CONFLICTS)("names an index that %s, and changes nothing", async ([, key, options]) => {
      const collection = bare(connect(on.url));
      await collection.createIndex(key, options);
      const before = await indexesOf(collection);
      await expect(ensureIndexes(collection)).rejects.toThrow(`the index ${options.name} of `);
      expect(await indexesOf(collection)).toEqual(before);
    });

    test("a missing index is told once, with the command that makes it, and never holds anybody up", async (context) => {
      const { db, collectionName } = bare(connect(on.url));
      // FerretDB 2.7 does not support $$NOW if the collection does not exist.
      const collection = await db.createCollection(collectionName);
      const warnings = listen(collection.namespace, context);
      const store = mongoStore(collection);
      await Promise.all([store.read(randomUUID()), store.read(randomUUID()), store.listUser("x")]);
      const session = { id: randomUUID(), userId: "x", data: "", idle: 60_000, lifetime: 60_000 };
      expect(await store.create(session)).toBe("created");
      expect(await store.revokeUser("x")).toBe(1);
      await turn();
      expect(warnings).toHaveLength(2);
      expect(warnings[0]).toContain(
        `createIndex({"userId":1,"_id":1}, {"name":"tenure_user","partialFilterExpression":{"userId":{"$exists":true}}})`,
      );
      expect(warnings[1]).toContain(
        'createIndex({"endsAt":1}, {"name":"tenure_cleaning","expireAfterSeconds":0})',
      );
    });

    test("says nothing when all is well", async (context) => {
      const collection = bare(connect(on.url));
      await ensureIndexes(collection);
      const warnings = listen(collection.namespace, context);
      await mongoStore(collection).read(randomUUID());
      await turn();
      expect(warnings).toEqual([]);
    });

    test("refuses a collection with a collation of its own, in which two ids could be one", async (context) => {
      const { db, collectionName } = bare(connect(on.url));
      await db.createCollection(collectionName, { collation: { locale: "en", strength: 2 } });
      const collection = db.collection(collectionName);
      const [idIndex] = await collection.listIndexes().toArray();
      if (!idIndex?.["collation"]) skipLoudly(context, `${on.how} has no collations`);
      await expect(ensureIndexes(collection)).rejects.toThrow("collation of its own");
      await expect(mongoStore(collection).read("any")).rejects.toThrow("collation of its own");
    });
  });
}

function bare(client: MongoClient): Collection {
  return client.db("tenure_test").collection(`sessions_${randomUUID()}`);
}

async function indexesOf(collection: Collection): Promise<Document[]> {
  const { dbName, collectionName } = collection;
  const plain = collection.db.collection(collectionName, { promoteValues: true, readPreference: "primary" });
  expect(plain.dbName).toBe(dbName);
  const found: Document[] = await plain.listIndexes().toArray();
  return found
    .filter(({ name }) => name !== "_id_")
    .map((index) => Object.fromEntries(Object.entries(index).filter(([option]) => option !== "v")))
    .toSorted((a, b) => (a["name"] < b["name"] ? -1 : 1));
}

const OURS = [
  { key: { endsAt: 1 }, name: "tenure_cleaning", expireAfterSeconds: 0 },
  { key: { userId: 1, _id: 1 }, name: "tenure_user", partialFilterExpression: { userId: { $exists: true } } },
];
