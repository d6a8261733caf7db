import { randomUUID } from "node:crypto";
import { ensureIndexes, mongoStore } from "@tenure/mongo";
import { server } from "@tenure/servers";
import { MongoClient } from "mongodb";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findingsOf, testCommands } from "./commands.ts";
import { mongoUrl } from "./mongo-url.ts";
import { tenure } from "./tenure.ts";

const mongo = await server("mongo");

mongo.describe("MongoDB", () => {
  const database = "tenure_cli_test";
  const name = `sessions_${randomUUID()}`;
  const url = mongoUrl(mongo.url, database);
  const args = ["--store", url, "--collection", name];
  let client: MongoClient;
  beforeAll(async () => {
    client = await new MongoClient(mongo.url).connect();
    await ensureIndexes(client.db(database).collection(name));
  });
  afterAll(() => client?.close());
  testCommands(() => ({ args, store: mongoStore(client.db(database).collection(name)) }));

  test("doctor reports no problem with the indexes that ensureIndexes created", async () => {
    await expect(findingsOf(args)).resolves.toMatchObject({
      version: expect.stringMatching(/^ok: /),
      role: expect.stringMatching(/^(?:ok|warning): /),
      indexes: "ok: by user, and the TTL index",
    });
  });

  test("doctor reports a missing collection, which migrate creates, and a missing index", async () => {
    const other = ["--store", url, "--collection", `other_${randomUUID()}`];
    const before = await tenure(["doctor", ...other]);
    expect(before).toMatchObject({ code: 1, out: expect.stringContaining("-> run tenure migrate") });
    await tenure(["migrate", ...other]);
    await expect(findingsOf(other)).resolves.toMatchObject({ indexes: expect.stringMatching(/^ok/) });
    await client.db(database).collection(other[3]!).dropIndex("tenure_user");
    await expect(findingsOf(other)).resolves.toMatchObject({
      indexes: expect.stringMatching(/^problem: no index by user/),
    });
  });
});

const replicaSet = await server("mongo-transactions");

replicaSet.describe("A replica set", () => {
  test("is read from its primary, even if the URL prefers secondaries", async () => {
    const url = new URL(mongoUrl(replicaSet.url, "tenure_cli_test"));
    url.searchParams.delete("directConnection");
    url.searchParams.set("readPreference", "secondary");
    const args = ["--store", url.href, "--collection", `sessions_${randomUUID()}`];
    await expect(tenure(["migrate", ...args])).resolves.toMatchObject({ code: 0 });
    await expect(findingsOf(args)).resolves.toMatchObject({ indexes: "ok: by user, and the TTL index" });
  });
});
