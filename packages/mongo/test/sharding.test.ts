import { randomUUID } from "node:crypto";
import { server } from "@tenure/servers";
import { beforeEach, expect, test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, newCollection, isMongos, skipLoudly } from "./clients.ts";
import { createSession } from "./sessions.ts";

const mongo = await server("mongo");

mongo.describe("On a sharded cluster", () => {
  beforeEach(async (context) => {
    if (!(await isMongos(connect(mongo.url)))) skipLoudly(context, `${mongo.how} is not sharded`);
  });

  test("a user's sessions on several shards are listed, counted and ended together", async () => {
    const collection = await newCollection(connect(mongo.url));
    const store = mongoStore(collection);
    const userId = randomUUID();
    for (let i = 0; i < SESSIONS; i += 1) await createSession(store, { userId });
    const counts = await collection
      .aggregate([{ $collStats: { count: {} } }, { $project: { shard: 1, count: 1 } }])
      .toArray();
    expect(counts.filter(({ count }) => count > 0).length).toBeGreaterThan(1);
    expect(await store.listUser(userId)).toHaveLength(SESSIONS);
    expect(await store.revokeUser(userId)).toBe(SESSIONS);
    expect(await store.listUser(userId)).toEqual([]);
  });

  test("a query by a session's id reads one shard", async () => {
    const collection = await newCollection(connect(mongo.url));
    const plan = await collection.find({ _id: randomUUID() as never }).explain("queryPlanner");
    expect(plan["queryPlanner"].winningPlan.stage).toBe("SINGLE_SHARD");
  });
});

const SESSIONS = 50;
