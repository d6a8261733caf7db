import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { server } from "@tenure/servers";
import type { Collection, CollectionOptions, Document, MongoClient, MongoClientOptions } from "mongodb";
import { expect, test } from "vitest";
import { type MongoStoreOptions, mongoStore } from "../src/index.ts";
import { connect, connect6, connect69, freshCollection, HOSTILE, HOSTILE_TOO, record } from "./clients.ts";

const servers = { mongo: await server("mongo"), "mongo-transactions": await server("mongo-transactions") };

for (const [name, on] of Object.entries(servers)) {
  const heard = { monitorCommands: true };
  const clients: Record<string, (more: MongoClientOptions) => MongoClient> = {
    "mongodb 7, hostile defaults": (more) => connect(on.url, { ...HOSTILE, ...heard, ...more }),
    "mongodb 6, other hostile defaults": (more) => connect6(on.url, { ...HOSTILE_TOO, ...heard, ...more }),
    "mongodb 6.9, hostile defaults": (more) => connect69(on.url, { ...HOSTILE, ...heard, ...more }),
  };
  for (const [client, open] of Object.entries(clients)) {
    on.describe(`What is sent to ${name} by ${client}`, () => {
      test("what must last waits for a majority and its journals, a touch for the primary alone", async () => {
        const { store, born, sent } = await scene();
        const userId = randomUUID();
        const [one, two] = [await born({ userId }), await born({ userId })];
        const lasting = [
          () => store.create(fresh()),
          () => store.update(one, { data: "new" }),
          () => store.update(one, { userId: null }),
          () => Promise.all([one, two].map((id) => store.update(id, { data: "joined" }))),
          () => store.revoke(one),
          () => store.revoke(randomUUID()),
          () => store.revokeUser(userId),
        ];
        for (const call of lasting) {
          for (const command of (await sent(call)).filter(isWrite)) {
            expect(command["writeConcern"]).toEqual({ w: "majority", j: true });
          }
        }
        const [three, four] = [await born(), await born()];
        const touches = await sent(async () => {
          await store.update(three, {});
          await Promise.all([three, four].map((id) => store.update(id, {})));
        });
        expect(touches.filter(isWrite)).toHaveLength(2);
        for (const command of touches) expect(command["writeConcern"]).toEqual({ w: 1 });
      });

      test("nor longer than the client's own wtimeoutMS, where it has one", async () => {
        const { store, born, sent } = await scene({}, { wtimeoutMS: 5000 });
        const id = await born();
        const [update] = await sent(() => store.update(id, { data: "new" }));
        expect(update?.["writeConcern"]).toEqual({ w: "majority", j: true, wtimeout: 5000 });
      });

      test("reads go to the primary, for what it has now", async () => {
        const { store, born, sent } = await scene();
        const userId = randomUUID();
        const id = await born({ userId });
        const reads = await sent(async () => {
          await store.read(id);
          await store.listUser(userId);
          await Array.fromAsync(store.scan());
        });
        expect(reads.length).toBeGreaterThan(2);
        for (const command of reads) {
          expect([undefined, "primary", "primaryPreferred"]).toContain(command["$readPreference"]?.mode);
          expect(command["readConcern"]).toEqual({ level: "local" });
        }
      });

      test("or for what a majority has confirmed, where that is asked for", async () => {
        const { store, born, sent } = await scene({ readConcern: "linearizable" });
        const id = await born();
        const [find] = await sent(async () => expect(await store.read(id)).toMatchObject({ id }));
        expect(find?.["readConcern"]).toEqual({ level: "linearizable" });
        // MongoDB promises it only to a query that can find one document.
        const ids = [id, await born()];
        const finds = await sent(() => Promise.all(ids.map((each) => store.read(each))));
        expect(finds.map((command) => command["filter"])).toMatchObject(ids.map((_id) => ({ _id })));
      });

      test("a call on one session is one command, and joined calls are one command together", async () => {
        const { store, born, names } = await scene();
        const ids = await Promise.all(Array.from({ length: 10 }, () => born()));
        expect(await names(() => store.create(fresh()))).toEqual(["update"]);
        expect(await names(() => store.read(ids[0]!))).toEqual(["find"]);
        expect(await names(() => store.update(ids[0]!, {}))).toEqual(["update"]);
        expect(await names(() => store.update(ids[0]!, { data: "new" }))).toEqual(["update"]);
        expect(await names(() => store.revoke(ids[0]!))).toEqual(["findAndModify"]);
        const rest = ids.slice(1);
        expect(await names(() => Promise.all(rest.map((id) => store.read(id))))).toEqual(["find"]);
        expect(await names(() => Promise.all(rest.map((id) => store.update(id, {}))))).toEqual(["update"]);
        expect(await names(() => store.listUser(randomUUID()))).toEqual(["aggregate"]);
        expect(await names(() => store.revokeUser(randomUUID()))).toEqual(["update", "aggregate"]);
        expect(await names(() => store.now())).toEqual(["hello"]);
      });

      test("what is not there, or not so, is looked for once for all that ask, and nothing is written", async () => {
        const { store, born, names } = await scene();
        const live = await born();
        const unknown = Array.from({ length: 100 }, () => randomUUID());
        expect(await names(() => store.read(unknown[0]!))).toEqual(["find", "aggregate"]);
        expect(await names(() => Promise.all(unknown.map((id) => store.read(id))))).toEqual([
          "find",
          "aggregate",
        ]);
        expect(await names(() => store.update(unknown[0]!, {}))).toEqual(["update", "aggregate"]);
        expect(await names(() => store.update(live, { data: "", ifVersion: 7 }))).toEqual([
          "update",
          "aggregate",
        ]);
        const refused = [live, ...unknown.slice(1)].map((id) => () => store.update(id, { data: "new" }));
        expect(await names(() => Promise.all(refused.map((call) => call())))).toEqual([
          "update",
          "aggregate",
        ]);
      });

      test("only what has just expired is written by who asks for it, once", async () => {
        const { store, born, names } = await scene();
        const ids = await Promise.all([1, 2].map(() => born({ idle: 1 })));
        await sleep(20);
        const reading = () => Promise.all(ids.map((id) => store.read(id)));
        expect(await names(reading)).toEqual(["find", "aggregate", "update", "aggregate"]);
        expect(await names(reading)).toEqual(["find", "aggregate"]);
      });
    });

    async function scene(options: MongoStoreOptions = {}, more: MongoClientOptions = {}) {
      const { dbName, collectionName } = await freshCollection(connect(on.url));
      const opened = open(more);
      const store = mongoStore(opened.db(dbName).collection(collectionName), options);
      await store.read("the first call looks at the indexes");
      const born = async (given: { userId?: string; idle?: number } = {}): Promise<string> => {
        const session = { ...fresh(), ...given };
        expect(await store.create(session)).toBe(true);
        return session.id;
      };
      const sent = (work: () => Promise<unknown>): Promise<Document[]> => record(opened, work);
      const names = async (work: () => Promise<unknown>): Promise<(string | undefined)[]> =>
        (await sent(work)).map((command) => Object.keys(command)[0]);
      return { store, born, sent, names };
    }
  }
}

servers.mongo.describe("revokeUser", () => {
  test("goes once more where a session of the user is left, and counts what it ended in both rounds", async () => {
    const collection = await freshCollection(connect(servers.mongo.url));
    const { dbName, collectionName } = collection;
    const direct = mongoStore(connect(servers.mongo.url).db(dbName).collection(collectionName));
    const userId = randomUUID();
    // Comes right after the first round, as one that it missed because its chunk moved.
    const missed = once(async () => void (await direct.create({ ...fresh(), userId })));
    const store = mongoStore(afterEachUpdate(collection, missed));
    await direct.create({ ...fresh(), userId });
    expect(await store.revokeUser(userId)).toBe(2);
    expect(await direct.listUser(userId)).toEqual([]);
  });
});

function isWrite(command: Document): boolean {
  return "update" in command || "findAndModify" in command;
}

function fresh(): { id: string; userId: string | null; data: string; idle: number; lifetime: number } {
  return { id: randomUUID(), userId: null, data: "", idle: HOUR, lifetime: HOUR };
}

/** The handle that the store makes for itself does something after each update of many, before it goes on. */
function afterEachUpdate(collection: Collection, then: () => Promise<void>): Collection {
  const { db } = collection;
  const open = db.collection.bind(db);
  db.collection = (name: string, options?: CollectionOptions) => {
    const opened = open(name, options);
    const updateMany = opened.updateMany.bind(opened);
    opened.updateMany = async (...given) => {
      const answer = await updateMany(...given);
      await then();
      return answer;
    };
    return opened as never;
  };
  return collection;
}

function once(action: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= action());
}

const HOUR = 60 * 60 * 1000;
