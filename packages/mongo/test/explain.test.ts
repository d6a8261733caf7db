import { randomUUID } from "node:crypto";
import { server } from "@tenure/servers";
import type { Document, FindOptions } from "mongodb";
import { expect, test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, newCollection, recordCommands } from "./clients.ts";
import { indexesIn, optionsOf } from "./plans.ts";
import { createSession, newSession } from "./sessions.ts";

const mongo = await server("mongo");

mongo.describe("Query plans", () => {
  test("every query of the store uses an index", async () => {
    const client = connect(mongo.url, { monitorCommands: true });
    const collection = await newCollection(client);
    const store = mongoStore(collection);
    const [one, ...others] = Array.from({ length: 300 }, (_, i) => newSession({ userId: `user-${i % 30}` }));
    await Promise.all([one!, ...others].map((session) => store.create(session)));

    const sent = await recordCommands(client, async () => {
      await store.create({ ...one!, id: randomUUID() });
      await store.create(one!);
      await store.read(one!.id);
      await store.read(randomUUID());
      await Promise.all(others.slice(0, 5).map(({ id }) => store.read(id)));
      await store.update(one!.id, {});
      await store.update(one!.id, { data: "new" });
      await store.update(one!.id, { data: "new", ifVersion: 1 });
      const joined = [...others.slice(0, 5).map(({ id }) => id), randomUUID()];
      await Promise.all(joined.map((id) => store.update(id, { data: "new" })));
      await store.update(others[8]!.id, { userId: "user-9", authenticatedAt: await store.now() });
      await store.revoke(one!.id);
      await store.revoke(randomUUID());
      await store.listUser("user-1");
      await store.revokeUser("user-2");
      await store.revokeUser("user-3", { except: others[2]!.id });
      await Array.fromAsync(store.scan());
      await store.now();
    });

    const queries = sent.flatMap(queriesOf).filter(({ filter }) => !("vacant" in filter));
    expect(queries.length).toBeGreaterThan(20);
    for (const { from, filter, pipeline, options } of queries) {
      const query = pipeline ? collection.aggregate(pipeline) : collection.find(filter, options);
      const plan = await query.explain("queryPlanner");
      const readsAll = /COLLSCAN|"Seq Scan"/.test(JSON.stringify(plan));
      const found = { from, filter, indexes: [...indexesIn(plan)], readsAll };
      // The update that ends a page of sessions finds them by their ids.
      const index = "userId" in filter && !filter["_id"]?.$in ? "tenure_user" : "_id_";
      expect(found).toEqual({ from, filter, indexes: [index], readsAll: false });
    }
  });

  test("the plan of a query does not name the user index once that index is dropped", async () => {
    const collection = await newCollection(connect(mongo.url));
    await createSession(mongoStore(collection), { userId: "u" });
    await collection.dropIndex("tenure_user");
    const plan = await collection.find({ userId: "u" }).explain("queryPlanner");
    expect([...indexesIn(plan)]).not.toContain("tenure_user");
  });
});

/**
 * Returns the queries of a command. A write is explained as a `find`: not every server explains updates, and
 * the filter decides what is read.
 */
function queriesOf(
  command: Document,
): { from: string; filter: Document; options?: FindOptions; pipeline?: Document[] }[] {
  if (command["find"]) return [{ from: "find", filter: command["filter"], options: optionsOf(command) }];
  // The clock reads no collection.
  if (command["aggregate"] === 1) return [];
  if (command["aggregate"]) {
    const pipeline: Document[] = command["pipeline"];
    return [{ from: "aggregate", filter: pipeline[0]!["$match"], pipeline }];
  }
  if (command["findAndModify"]) return [{ from: "findAndModify", filter: command["query"] }];
  if (command["update"]) {
    return command["updates"].map(({ q }: Document) => ({ from: "update", filter: q }));
  }
  expect(Object.keys(command)[0]).toMatch(/^(listIndexes|getMore)$/);
  return [];
}
