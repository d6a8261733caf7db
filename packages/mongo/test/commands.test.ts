import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { faultyProxy, server } from "@tenure/servers";
import type { CommandStartedEvent, Document, MongoClient } from "mongodb";
import { expect, test } from "vitest";
import { type MongoStoreOptions, mongoStore } from "../src/index.ts";
import { connect, connect6, freshCollection, HOSTILE, HOSTILE_TOO } from "./clients.ts";

const servers = { mongo: await server("mongo"), "mongo-transactions": await server("mongo-transactions") };

for (const [name, on] of Object.entries(servers)) {
  const clients = {
    "mongodb 7, hostile defaults": () => connect(on.url, { ...HOSTILE, monitorCommands: true }),
    "mongodb 6, other hostile defaults": () => connect6(on.url, { ...HOSTILE_TOO, monitorCommands: true }),
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
      });

      test("a call on one session is one command, and joined calls are one command together", async () => {
        const { store, born, sent } = await scene();
        const ids = await Promise.all(Array.from({ length: 10 }, () => born()));
        const names = async (work: () => Promise<unknown>): Promise<(string | undefined)[]> =>
          (await sent(work)).map((command) => Object.keys(command)[0]);
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
    });

    async function scene(options: MongoStoreOptions = {}) {
      const { dbName, collectionName } = await freshCollection(connect(on.url));
      const opened = open();
      const store = mongoStore(opened.db(dbName).collection(collectionName), options);
      await store.read("the first call looks at the indexes");
      const born = async (given: { userId?: string } = {}): Promise<string> => {
        const session = { ...fresh(), ...given };
        expect(await store.create(session)).toBe(true);
        return session.id;
      };
      const sent = (work: () => Promise<unknown>): Promise<Document[]> => record(opened, work);
      return { store, born, sent };
    }
  }
}

servers.mongo.describe("revokeUser", () => {
  test("goes once more where a session of the user is left, and counts what it ended in both rounds", async () => {
    await using proxy = await faultyProxy(servers.mongo.url);
    const collection = await freshCollection(connect(servers.mongo.url));
    const direct = mongoStore(collection);
    const { dbName, collectionName } = collection;
    const slow = mongoStore(connect(proxy.url).db(dbName).collection(collectionName));
    await slow.read("the first call looks at the indexes");
    const userId = randomUUID();
    await direct.create({ ...fresh(), userId });

    proxy.delayReplies(1000);
    const ending = slow.revokeUser(userId);
    // The first is dead, and the answer that says so is on its way.
    while ((await direct.listUser(userId)).length > 0) await sleep(20);
    // As one whose chunk moves is missed.
    await direct.create({ ...fresh(), userId });
    expect(await ending).toBe(2);
    expect(await direct.listUser(userId)).toEqual([]);
  });
});

async function record(client: MongoClient, work: () => Promise<unknown>): Promise<Document[]> {
  const sent: Document[] = [];
  const hear = ({ command }: CommandStartedEvent): void => void sent.push(command);
  client.on("commandStarted", hear);
  await work();
  client.off("commandStarted", hear);
  return sent;
}

function isWrite(command: Document): boolean {
  return "update" in command || "findAndModify" in command;
}

function fresh(): { id: string; userId: string | null; data: string; idle: number; lifetime: number } {
  return { id: randomUUID(), userId: null, data: "", idle: HOUR, lifetime: HOUR };
}

const HOUR = 60 * 60 * 1000;
