import { randomUUID } from "node:crypto";
import { ensureIndexes, mongoStore } from "@tenure/mongo";
import { server } from "@tenure/servers";
import { MongoClient } from "mongodb";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findingsOf, testCommands } from "./commands.ts";
import { tenure } from "./tenure.ts";

const mongo = await server("mongo");

mongo.describe("MongoDB", () => {
  const database = "tenure_cli_test";
  const name = `sessions_${randomUUID()}`;
  const args = ["--store", storeUrl(), "--collection", name];
  let client: MongoClient;
  beforeAll(async () => {
    client = await new MongoClient(mongo.url).connect();
    await ensureIndexes(client.db(database).collection(name));
  });
  afterAll(() => client?.close());
  testCommands(() => ({ args, store: mongoStore(client.db(database).collection(name)) }));

  test("doctor finds the indexes that migrate created", async () => {
    await expect(findingsOf(args)).resolves.toMatchObject({
      version: expect.stringMatching(/^ok: /),
      role: expect.stringMatching(/^(?:ok|warning): /),
      indexes: "ok: by user, and the TTL index",
    });
  });

  test("doctor reports a missing collection and a missing index, and migrate creates them", async () => {
    const other = ["--store", storeUrl(), "--collection", `other_${randomUUID()}`];
    const before = await tenure(["doctor", ...other]);
    expect(before).toMatchObject({ code: 1, out: expect.stringContaining("-> run tenure migrate") });
    await tenure(["migrate", ...other]);
    await expect(findingsOf(other)).resolves.toMatchObject({ indexes: expect.stringMatching(/^ok/) });
    await client.db(database).collection(other[3]!).dropIndex("tenure_user");
    await expect(findingsOf(other)).resolves.toMatchObject({
      indexes: expect.stringMatching(/^problem: no index by user/),
    });
  });

  function storeUrl(): string {
    const url = new URL(mongo.url);
    if (url.username !== "" && !url.searchParams.has("authSource"))
      url.searchParams.set("authSource", "admin");
    url.pathname = `/${database}`;
    return url.href;
  }
});
