import { randomUUID } from "node:crypto";
import { server } from "@tenure/servers";
import { type Collection, MongoClient } from "mongodb";
import mongoose from "mongoose";
import { afterAll, expect, test } from "vitest";
import { ensureIndexes, mongoStore } from "../src/index.ts";

const mongo = await server("mongo");
const transactional = await server("mongo-transactions");
const nobody = new MongoClient("mongodb://127.0.0.1:1").db("app");

test("a collection of the application's own type of documents is accepted", () => {
  interface Document {
    readonly _id: string;
    readonly color: "red" | "blue";
  }
  const typed: Collection<Document> = nobody.collection<Document>("sessions");
  expect(mongoStore(typed)).toHaveProperty("create");
  expect(mongoStore(nobody.collection("sessions"))).toHaveProperty("create");
});

mongo.describe("mongoose", () => {
  afterAll(() => mongoose.disconnect());

  test("the README's two ways to a collection both work", async () => {
    const name = `sessions_${randomUUID()}`;
    await mongoose.connect(mongo.url, { dbName: "tenure_test" });
    const collections = [
      mongoose.connection.db!.collection(name),
      mongoose.connection.getClient().db("tenure_test").collection(name),
    ];
    for (const collection of collections) {
      await ensureIndexes(collection);
      const store = mongoStore(collection);
      const session = { id: randomUUID(), userId: "ada", data: "", idle: 60_000, lifetime: 60_000 };
      expect(await store.create(session)).toBe("created");
      expect(await store.revokeUser("ada")).toBe(1);
    }
  });

  test("its own class of collections is refused, because it is not the driver's", () => {
    expect(() => mongoStore(mongoose.connection.collection("sessions"))).toThrow(TypeError);
  });
});

transactional.describe("mongoose's transactions", () => {
  test("a session that mongoose started is one for `with`", async () => {
    const connection = await mongoose
      .createConnection(transactional.url, { dbName: "tenure_test" })
      .asPromise();
    const store = mongoStore(connection.db!.collection(`sessions_${randomUUID()}`));
    const session = { id: randomUUID(), userId: "ada", data: "", idle: 60_000, lifetime: 60_000 };
    await store.create(session);
    await connection.transaction(async (transaction) => {
      expect(await store.with(transaction).revokeUser("ada")).toBe(1);
    });
    expect(await store.read(session.id)).toBeNull();
    await connection.close();
  });
});
