import { randomUUID } from "node:crypto";
import { server } from "@tenure/servers";
import type { Collection, CollectionOptions, Document, MongoClient, MongoClientOptions } from "mongodb";
import { expect, test } from "vitest";
import { type MongoCollection, type MongoStoreOptions, mongoStore } from "../src/index.ts";
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
          () => store.update(one, { idle: 60_000 }),
          () => store.update(one, { userId: null }),
          () => store.update(one, { userId, authenticatedAt: 0 }),
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
        // MongoDB guarantees linearizable reads only for queries that can match one document.
        const ids = [id, await born()];
        const finds = await sent(() => Promise.all(ids.map((each) => store.read(each))));
        expect(finds.map((command) => command["filter"])).toMatchObject(ids.map((_id) => ({ _id })));
      });

      test("a page view is one command, and joined calls are one command together", async () => {
        const { store, born, names } = await scene();
        const ids = await Promise.all(Array.from({ length: 10 }, () => born()));
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

      test("an anonymous create is one command, and a login three", async () => {
        const { store, born, names } = await scene();
        const [id, userId, authenticatedAt] = [await born(), randomUUID(), await store.now()];
        const login = ["findAndModify", "find", "findAndModify"];
        expect(await names(() => store.create(fresh()))).toEqual(["update"]);
        expect(await names(() => store.create({ ...fresh(), userId }))).toEqual([
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

      test("a revoke is one command, and the end of a user's ten sessions three", async () => {
        const { store, born, names } = await scene();
        const userId = randomUUID();
        const [id] = await Promise.all(Array.from({ length: 11 }, () => born({ userId })));
        expect(await names(() => store.revoke(id!))).toEqual(["findAndModify"]);
        const [fence, page, end] = ["findAndModify", "find", "update"];
        expect(await names(() => store.revokeUser(userId))).toEqual([fence, page, end]);
        expect(await names(() => store.revokeUser(userId))).toEqual([fence, page]);
        expect(await names(() => store.revoke(randomUUID()))).toEqual(["findAndModify", "find", "update"]);
      });

      test("what is not there is looked for once for all callers, and nothing is written", async () => {
        const { store, born, names } = await scene();
        const live = await born();
        const unknown = Array.from({ length: 30 }, () => randomUUID());
        const lookAgain = ["update", "aggregate"];
        expect(await names(() => Promise.all(unknown.map((id) => store.read(id))))).toEqual(["find"]);
        expect(await names(() => store.update(unknown[0]!, {}))).toEqual(lookAgain);
        expect(await names(() => store.update(live, { data: "", ifVersion: 7 }))).toEqual(lookAgain);
        const refused = [live, ...unknown.slice(1)].map((id) => () => store.update(id, { data: "new" }));
        expect(await names(() => Promise.all(refused.map((call) => call())))).toEqual(lookAgain);
      });
    });

    async function scene(options: MongoStoreOptions = {}, more: MongoClientOptions = {}) {
      const { dbName, collectionName } = await freshCollection(connect(on.url));
      const opened = open(more);
      const store = mongoStore(opened.db(dbName).collection(collectionName), options);
      await store.read("the first call looks at the indexes");
      const born = async (given: { userId?: string; idle?: number } = {}): Promise<string> => {
        const session = { ...fresh(), ...given };
        expect(await store.create(session)).toBe("created");
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
  test("tries again if an update missed a session, and counts what it ended in both rounds", async () => {
    const collection = await freshCollection(connect(servers.mongo.url));
    const userId = randomUUID();
    const store = mongoStore(missingOne(collection));
    for (let i = 0; i < 3; i += 1) await store.create({ ...fresh(), userId });
    expect(await store.revokeUser(userId)).toBe(3);
    expect(await store.listUser(userId)).toEqual([]);
  });
});

/**
 * Makes the store's first `updateMany` miss a document, as it can while a chunk of a sharded cluster moves.
 */
function missingOne(collection: Collection): MongoCollection {
  const { dbName, collectionName, namespace, db } = collection;
  const open = (name: string, options?: CollectionOptions) => {
    const opened = db.collection(name, options);
    const updateMany = opened.updateMany.bind(opened);
    let isFirst = true;
    opened.updateMany = (filter, ...rest) => {
      const ids: string[] = (filter as Document)["_id"].$in;
      const missing = isFirst ? { ...filter, _id: { $in: ids.slice(1) as never[] } } : filter;
      isFirst = false;
      return updateMany(missing, ...rest);
    };
    return opened;
  };
  return {
    dbName,
    collectionName,
    namespace,
    db: { client: db.client, collection: open },
  } as MongoCollection;
}

function isWrite(command: Document): boolean {
  return "update" in command || "findAndModify" in command;
}

function fresh(): { id: string; userId: string | null; data: string; idle: number; lifetime: number } {
  return { id: randomUUID(), userId: null, data: "", idle: HOUR, lifetime: HOUR };
}

const HOUR = 60 * 60 * 1000;
