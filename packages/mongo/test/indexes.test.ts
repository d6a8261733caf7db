import { randomUUID } from "node:crypto";
import { server } from "@tenure/servers";
import type { Collection, CreateIndexesOptions, Document, MongoClient } from "mongodb";
import { expect, test } from "vitest";
import { ensureIndexes, mongoStore } from "../src/index.ts";
import { connect, HOSTILE, skipLoudly } from "./clients.ts";
import { createSession } from "./sessions.ts";
import { collectWarnings, nextTurn } from "./warnings.ts";

const servers = { mongo: await server("mongo"), "mongo-transactions": await server("mongo-transactions") };

for (const [name, on] of Object.entries(servers)) {
  on.describe(`Indexes on ${name}`, { concurrent: true }, () => {
    test("ensureIndexes creates the user index and the TTL index, even with a client whose defaults are hostile", async () => {
      const collection = collectionWithoutIndexes(connect(on.url, HOSTILE));
      await ensureIndexes(collection);
      expect(await indexesOf(collection)).toEqual(STORE_INDEXES);
    });

    test("ensureIndexes changes nothing when it runs again", async () => {
      const collection = collectionWithoutIndexes(connect(on.url));
      await ensureIndexes(collection);
      await ensureIndexes(collection);
      expect(await indexesOf(collection)).toEqual(STORE_INDEXES);
    });

    test("ensureIndexes creates them once when ten instances start at the same time", async () => {
      const collection = collectionWithoutIndexes(connect(on.url));
      const { dbName, collectionName } = collection;
      const instances = Array.from({ length: 10 }, () =>
        connect(on.url).db(dbName).collection(collectionName),
      );
      await Promise.all(instances.map(ensureIndexes));
      expect(await indexesOf(collection)).toEqual(STORE_INDEXES);
    });

    test("ensureIndexes creates the one that is missing", async () => {
      const collection = collectionWithoutIndexes(connect(on.url));
      await collection.createIndex({ endsAt: 1 }, { name: "tenure_cleaning", expireAfterSeconds: 0 });
      await ensureIndexes(collection);
      expect(await indexesOf(collection)).toEqual(STORE_INDEXES);
    });

    test("ensureIndexes accepts an equal index with another name", async () => {
      const collection = collectionWithoutIndexes(connect(on.url));
      const flags = { unique: false, sparse: false };
      await collection.createIndex({ endsAt: 1 }, { name: "by_end", expireAfterSeconds: 0, ...flags });
      await ensureIndexes(collection);
      expect((await indexesOf(collection)).map((index) => index["name"])).toEqual(["by_end", "tenure_user"]);
    });

    const CONFLICTS: [string, Document, CreateIndexesOptions][] = [
      ["has the name of a store's index but another key", { data: 1 }, { name: "tenure_user" }],
      [
        "has the key of a store's index but another expiry",
        { endsAt: 1 },
        { name: "by_end", expireAfterSeconds: 3600 },
      ],
      ["has the key of a store's index but no expiry", { endsAt: 1 }, { name: "plain_end" }],
      ["allows a user only one session", { userId: 1, _id: 1 }, { name: "one_each", unique: true }],
    ];
    test.for(CONFLICTS)(
      "ensureIndexes rejects, names the index and changes nothing if an index %s",
      async ([, key, options]) => {
        const collection = collectionWithoutIndexes(connect(on.url));
        await collection.createIndex(key, options);
        const before = await indexesOf(collection);
        await expect(ensureIndexes(collection)).rejects.toThrow(`the index ${options.name} of `);
        expect(await indexesOf(collection)).toEqual(before);
      },
    );

    test("each missing index causes one warning with the command that creates it, and every call still works", async (context) => {
      const { db, collectionName } = collectionWithoutIndexes(connect(on.url));
      // FerretDB 2.7 does not support $$NOW if the collection does not exist.
      const collection = await db.createCollection(collectionName);
      const warnings = collectWarnings(collection.namespace, context);
      const store = mongoStore(collection);
      await Promise.all([store.read(randomUUID()), store.read(randomUUID()), store.listUser("x")]);
      await createSession(store, { userId: "x" });
      expect(await store.revokeUser("x")).toBe(1);
      await nextTurn();
      expect(warnings).toHaveLength(2);
      expect(warnings[0]).toContain(
        `createIndex({"userId":1,"_id":1}, {"name":"tenure_user","partialFilterExpression":{"userId":{"$exists":true}}})`,
      );
      expect(warnings[1]).toContain(
        'createIndex({"endsAt":1}, {"name":"tenure_cleaning","expireAfterSeconds":0})',
      );
    });

    test("another store on the collection does not repeat the warnings", async (context) => {
      const { db, collectionName } = collectionWithoutIndexes(connect(on.url));
      const collection = await db.createCollection(collectionName);
      const warnings = collectWarnings(collection.namespace, context);
      // As a server does that reloads changed modules.
      for (let reloads = 0; reloads < 3; reloads += 1) {
        await mongoStore(collection).read(randomUUID());
        await nextTurn();
      }
      expect(warnings).toHaveLength(2);
    });

    test("no warning is emitted if both indexes exist", async (context) => {
      const collection = collectionWithoutIndexes(connect(on.url));
      await ensureIndexes(collection);
      const warnings = collectWarnings(collection.namespace, context);
      await mongoStore(collection).read(randomUUID());
      await nextTurn();
      expect(warnings).toEqual([]);
    });

    test("a collection with its own collation is refused, because two ids could be equal in it", async (context) => {
      const { db, collectionName } = collectionWithoutIndexes(connect(on.url));
      await db.createCollection(collectionName, { collation: { locale: "en", strength: 2 } });
      const collection = db.collection(collectionName);
      const [idIndex] = await collection.listIndexes().toArray();
      if (!idIndex?.["collation"]) skipLoudly(context, `${on.how} has no collations`);
      await expect(ensureIndexes(collection)).rejects.toThrow("collation of its own");
      await expect(mongoStore(collection).read("any")).rejects.toThrow("collation of its own");
    });
  });
}

function collectionWithoutIndexes(client: MongoClient): Collection {
  return client.db("tenure_test").collection(`sessions_${randomUUID()}`);
}

async function indexesOf(collection: Collection): Promise<Document[]> {
  const { db, collectionName } = collection;
  const plain = db.collection(collectionName, { promoteValues: true, readPreference: "primary" });
  const found: Document[] = await plain.listIndexes().toArray();
  return found
    .filter(({ name }) => name !== "_id_")
    .map((index) => Object.fromEntries(Object.entries(index).filter(([option]) => option !== "v")))
    .toSorted((a, b) => (a["name"] < b["name"] ? -1 : 1));
}

const STORE_INDEXES = [
  { key: { endsAt: 1 }, name: "tenure_cleaning", expireAfterSeconds: 0 },
  { key: { userId: 1, _id: 1 }, name: "tenure_user", partialFilterExpression: { userId: { $exists: true } } },
];
