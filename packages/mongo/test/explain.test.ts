import { randomUUID } from "node:crypto";
import { server } from "@tenure/servers";
import type { Document, FindOptions } from "mongodb";
import { expect, test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, freshCollection, record } from "./clients.ts";
import { indexesIn, optionsOf } from "./plans.ts";

const mongo = await server("mongo");

mongo.describe("No call reads every session", () => {
  test("every filter that the store sends is answered from an index", async () => {
    const client = connect(mongo.url, { monitorCommands: true });
    const collection = await freshCollection(client);
    const store = mongoStore(collection);
    const [one, ...others] = Array.from({ length: 300 }, (_, i) => ({
      id: randomUUID(),
      userId: `user-${i % 30}`,
      data: "",
      idle: HOUR,
      lifetime: HOUR,
    }));
    await Promise.all([one!, ...others].map((session) => store.create(session)));

    const sent = await record(client, async () => {
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
      const asked = pipeline ? collection.aggregate(pipeline) : collection.find(filter, options);
      const plan = await asked.explain("queryPlanner");
      const everyDocument = /COLLSCAN|"Seq Scan"/.test(JSON.stringify(plan));
      const found = { from, filter, indexes: [...indexesIn(plan)], everyDocument };
      // The update that ends a page of sessions finds them by their ids.
      const index = "userId" in filter && !filter["_id"]?.$in ? "tenure_user" : "_id_";
      expect(found).toEqual({ from, filter, indexes: [index], everyDocument: false });
    }
  });

  test("the same question without its index does read every session, which shows that the plan tells", async () => {
    const collection = await freshCollection(connect(mongo.url));
    await mongoStore(collection).create({ id: "a", userId: "u", data: "", idle: HOUR, lifetime: HOUR });
    await collection.dropIndex("tenure_user");
    const plan = await collection.find({ userId: "u" }).explain("queryPlanner");
    expect([...indexesIn(plan)]).not.toContain("tenure_user");
  });
});

/** Explains a write as a `find`: not every server explains updates, and the filter decides what is read. */
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

const HOUR = 60 * 60 * 1000;
