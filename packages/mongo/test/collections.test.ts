import { randomUUID } from "node:crypto";
import { server } from "@tenure/servers";
import { type Collection, MongoClient } from "mongodb";
import mongoose from "mongoose";
import { afterAll, expect, test } from "vitest";
import { ensureIndexes, mongoStore } from "../src/index.ts";
import { createSession } from "./sessions.ts";

const mongo = await server("mongo");
const transactional = await server("mongo-transactions");
const database = new MongoClient("mongodb://127.0.0.1:1").db("app");

test("mongoStore accepts a collection with the application's own document type", () => {
  interface Document {
    readonly _id: string;
    readonly color: "red" | "blue";
  }
  const typed: Collection<Document> = database.collection<Document>("sessions");
  expect(mongoStore(typed)).toHaveProperty("create");
  expect(mongoStore(database.collection("sessions"))).toHaveProperty("create");
});

mongo.describe("With Mongoose,", () => {
  afterAll(() => mongoose.disconnect());

  test("both of the README's ways to get a collection work", async () => {
    const name = `sessions_${randomUUID()}`;
    await mongoose.connect(mongo.url, { dbName: "tenure_test" });
    const collections = [
      mongoose.connection.db!.collection(name),
      mongoose.connection.getClient().db("tenure_test").collection(name),
    ];
    for (const collection of collections) {
      await ensureIndexes(collection);
      const store = mongoStore(collection);
      await createSession(store, { userId: "ada" });
      expect(await store.revokeUser("ada")).toBe(1);
    }
  });

  test("mongoStore refuses Mongoose's own Collection, which is not the driver's", () => {
    expect(() => mongoStore(mongoose.connection.collection("sessions"))).toThrow(TypeError);
  });
});

transactional.describe("In a transaction of Mongoose,", () => {
  test("with() accepts the client session that Mongoose started", async () => {
    const connection = await mongoose
      .createConnection(transactional.url, { dbName: "tenure_test" })
      .asPromise();
    const store = mongoStore(connection.db!.collection(`sessions_${randomUUID()}`));
    const id = await createSession(store, { userId: "ada" });
    await connection.transaction(async (transaction) => {
      expect(await store.with(transaction).revokeUser("ada")).toBe(1);
    });
    expect(await store.read(id)).toBeNull();
    await connection.close();
  });
});
