import { randomUUID } from "node:crypto";
import type { NewSession } from "@tenure/core";
import { server } from "@tenure/servers";
import type { Collection, Document, MongoClient, MongoClientOptions } from "mongodb";
import { expect, test } from "vitest";
import { type MongoCollection, type MongoStoreOptions, mongoStore } from "../src/index.ts";
import {
  connect,
  connect6,
  connect69,
  newCollection,
  HOSTILE,
  OTHER_HOSTILE,
  recordCommands,
} from "./clients.ts";
import { createSession, HOUR, newSession } from "./sessions.ts";
import { withHandle } from "./wrapped-handle.ts";

const servers = { mongo: await server("mongo"), "mongo-transactions": await server("mongo-transactions") };

for (const [name, on] of Object.entries(servers)) {
  const monitored = { monitorCommands: true };
  const clients: Record<string, (more: MongoClientOptions) => MongoClient> = {
    "mongodb 7, hostile defaults": (more) => connect(on.url, { ...HOSTILE, ...monitored, ...more }),
    "mongodb 6, other hostile defaults": (more) =>
      connect6(on.url, { ...OTHER_HOSTILE, ...monitored, ...more }),
    "mongodb 6.9, hostile defaults": (more) => connect69(on.url, { ...HOSTILE, ...monitored, ...more }),
  };
  for (const [driver, open] of Object.entries(clients)) {
    on.describe(`Commands to ${name} from ${driver}`, () => {
      test("every change waits until a majority has journaled it, and a touch waits only for the primary", async () => {
        const { store, create, sent } = await setUp();
        const userId = randomUUID();
        const [one, two] = [await create({ userId }), await create({ userId })];
        const lasting = [
          () => store.create(newSession()),
          () => store.update(one, { data: "new" }),
          () => store.update(one, { idle: 60_000 }),
          () => store.update(one, { userId: null }),
          () => store.update(one, { userId, authenticatedAt: 0 }),
          () => Promise.all([one, two].map((id) => store.update(id, { data: "joined" }))),
          () => store.revoke(one),
          () => store.revoke(randomUUID()),
          () => store.revokeUser(userId),
        ];
        for (const call of lasting) {
          const concerns = (await sent(call)).filter(isWrite).map((command) => command["writeConcern"]);
          expect(concerns.length).toBeGreaterThan(0);
          for (const concern of concerns) expect(concern).toEqual({ w: "majority", j: true });
        }
        const [three, four] = [await create(), await create()];
        const touches = await sent(async () => {
          await store.update(three, {});
          await Promise.all([three, four].map((id) => store.update(id, {})));
        });
        expect(touches.filter(isWrite)).toHaveLength(2);
        for (const command of touches) expect(command["writeConcern"]).toEqual({ w: 1 });
      });

      test("a write waits no longer than the client's wtimeoutMS", async () => {
        const { store, create, sent } = await setUp({}, { wtimeoutMS: 5000 });
        const id = await create();
        const [update] = await sent(() => store.update(id, { data: "new" }));
        expect(update?.["writeConcern"]).toEqual({ w: "majority", j: true, wtimeout: 5000 });
      });

      test('reads go to the primary, with the read concern "local"', async () => {
        const { store, create, sent } = await setUp();
        const userId = randomUUID();
        const id = await create({ userId });
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

      test('with the option readConcern "linearizable", each id is read by its own linearizable command', async () => {
        const { store, create, sent } = await setUp({ readConcern: "linearizable" });
        const id = await create();
        const [find] = await sent(async () => expect(await store.read(id)).toMatchObject({ id }));
        expect(find?.["readConcern"]).toEqual({ level: "linearizable" });
        // MongoDB guarantees linearizable reads only for queries that can match one document.
        const ids = [id, await create()];
        const finds = await sent(() => Promise.all(ids.map((each) => store.read(each))));
        expect(finds.map((command) => command["filter"])).toMatchObject(ids.map((_id) => ({ _id })));
      });

      test("a page view sends one command, and joined calls share one command", async () => {
        const { store, create, names } = await setUp();
        const ids = await Promise.all(Array.from({ length: 10 }, () => create()));
        expect(await names(() => store.read(ids[0]!))).toEqual(["find"]);
        expect(await names(() => store.update(ids[0]!, {}))).toEqual(["update"]);
        expect(await names(() => store.update(ids[0]!, { data: "new", ifVersion: 1 }))).toEqual(["update"]);
        expect(await names(() => store.update(ids[0]!, { userId: null }))).toEqual(["update"]);
        const rest = ids.slice(1);
        expect(await names(() => Promise.all(rest.map((id) => store.read(id))))).toEqual(["find"]);
        expect(await names(() => Promise.all(rest.map((id) => store.update(id, {}))))).toEqual(["update"]);
        expect(await names(() => store.listUser(randomUUID()))).toEqual(["find"]);
        expect(await names(() => store.now())).toEqual(["aggregate"]);
      });

      test("an anonymous create sends one command, and a login sends three", async () => {
        const { store, create, names } = await setUp();
        const [id, userId, authenticatedAt] = [await create(), randomUUID(), await store.now()];
        const login = ["findAndModify", "find", "findAndModify"];
        expect(await names(() => store.create(newSession()))).toEqual(["update"]);
        expect(await names(() => store.create(newSession({ userId })))).toEqual([
          "update",
          ...login.slice(1),
        ]);
        expect(await names(() => store.update(id, { userId, authenticatedAt, lifetime: HOUR }))).toEqual(
          login,
        );
        // The user is the same, so nothing is bound and no fence is checked.
        expect(await names(() => store.update(id, { userId, authenticatedAt }))).toEqual(["findAndModify"]);
        expect(await names(() => store.update(id, { userId, data: "new" }))).toEqual(["findAndModify"]);
      });

      test("a revoke sends one command, and revokeUser of ten sessions sends three", async () => {
        const { store, create, names } = await setUp();
        const userId = randomUUID();
        const [id] = await Promise.all(Array.from({ length: 11 }, () => create({ userId })));
        expect(await names(() => store.revoke(id!))).toEqual(["findAndModify"]);
        const [fence, page, end] = ["findAndModify", "find", "update"];
        expect(await names(() => store.revokeUser(userId))).toEqual([fence, page, end]);
        expect(await names(() => store.revokeUser(userId))).toEqual([fence, page]);
        expect(await names(() => store.revoke(randomUUID()))).toEqual(["findAndModify", "find", "update"]);
      });

      test("reads of unknown ids share one command, and updates that change nothing share an update and a lookup", async () => {
        const { store, create, names } = await setUp();
        const live = await create();
        const unknown = Array.from({ length: 30 }, () => randomUUID());
        const updateAndLookup = ["update", "aggregate"];
        expect(await names(() => Promise.all(unknown.map((id) => store.read(id))))).toEqual(["find"]);
        expect(await names(() => store.update(unknown[0]!, {}))).toEqual(updateAndLookup);
        expect(await names(() => store.update(live, { data: "", ifVersion: 7 }))).toEqual(updateAndLookup);
        const refused = [live, ...unknown.slice(1)].map((id) => () => store.update(id, { data: "new" }));
        expect(await names(() => Promise.all(refused.map((call) => call())))).toEqual(updateAndLookup);
      });
    });

    async function setUp(options: MongoStoreOptions = {}, more: MongoClientOptions = {}) {
      const { dbName, collectionName } = await newCollection(connect(on.url));
      const client = open(more);
      const store = mongoStore(client.db(dbName).collection(collectionName), options);
      await store.read("the first call lists the indexes");
      const create = (given?: Partial<NewSession>) => createSession(store, given);
      const sent = (work: () => Promise<unknown>): Promise<Document[]> => recordCommands(client, work);
      const names = async (work: () => Promise<unknown>): Promise<(string | undefined)[]> =>
        (await sent(work)).map((command) => Object.keys(command)[0]);
      return { store, create, sent, names };
    }
  }
}

servers.mongo.describe("revokeUser", () => {
  test("retries if an update missed a session, and counts the sessions that both rounds ended", async () => {
    const collection = await newCollection(connect(servers.mongo.url));
    const userId = randomUUID();
    const missed: string[] = [];
    const store = mongoStore(missingOne(collection, missed));
    for (let i = 0; i < 3; i += 1) await store.create(newSession({ userId }));
    expect(await store.revokeUser(userId)).toBe(3);
    expect(missed).toHaveLength(1);
    expect(await store.listUser(userId)).toEqual([]);
  });
});

/**
 * Makes the store's first `updateMany` miss a document, as it can while a chunk of a sharded cluster moves.
 * Adds the document's id to `missed`.
 */
function missingOne(collection: Collection, missed: string[]): MongoCollection {
  return withHandle(collection, (handle) => {
    const updateMany = handle.updateMany.bind(handle);
    handle.updateMany = (filter, ...rest) => {
      if (missed.length > 0) return updateMany(filter, ...rest);
      const [first, ...others]: string[] = (filter as Document)["_id"].$in;
      missed.push(first!);
      return updateMany({ ...filter, _id: { $in: others as never[] } }, ...rest);
    };
    return handle;
  });
}

function isWrite(command: Document): boolean {
  return "update" in command || "findAndModify" in command;
}
