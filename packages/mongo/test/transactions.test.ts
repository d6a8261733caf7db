import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type SessionStore, StoreError } from "@tenure/core";
import { server } from "@tenure/servers";
import type { ClientSession, Collection, MongoClient, MongoClientOptions } from "mongodb";
import { expect, test } from "vitest";
import { type MongoStore, mongoStore } from "../src/index.ts";
import {
  connect,
  connect6,
  connect69,
  connect70,
  newCollection,
  HOSTILE,
  OTHER_HOSTILE,
  recordCommands,
} from "./clients.ts";
import { createSession, newSession } from "./sessions.ts";

const mongo = await server("mongo-transactions");

const drivers: Record<string, (more?: MongoClientOptions) => MongoClient> = {
  "mongodb 7": (more) => connect(mongo.url, more),
  "mongodb 7.0": (more) => connect70(mongo.url, more),
  "mongodb 6, hostile defaults": (more) => connect6(mongo.url, { ...OTHER_HOSTILE, raw: false, ...more }),
  "mongodb 6.9, hostile defaults": (more) => connect69(mongo.url, { ...HOSTILE, w: 1, ...more }),
  "mongodb 7, hostile defaults": (more) => connect(mongo.url, { ...HOSTILE, w: 1, ...more }),
};

for (const [name, open] of Object.entries(drivers)) {
  mongo.describe(`In the application's transaction, with ${name},`, { concurrent: true }, () => {
    test("a change of password and revokeUser are committed together", async () => {
      const { client, people, store } = await setUp();
      const { userId, ids } = await createUser(store, 3);
      const ended = await client.withSession((session) =>
        session.withTransaction(async () => {
          await people.updateOne({ _id: userId }, { $set: { password: "new" } }, { session, upsert: true });
          return store.with(session).revokeUser(userId, { except: ids[0]! });
        }, MAJORITY),
      );
      expect(ended).toBe(2);
      expect((await store.listUser(userId)).map(({ id }) => id)).toEqual([ids[0]]);
      expect(await people.findOne({ _id: userId })).not.toBeNull();
    });

    test("a change of password and revokeUser are rolled back together, and are never visible outside", async () => {
      const { client, people, store } = await setUp();
      const { userId, ids } = await createUser(store, 2);
      await expect(
        client.withSession((session) =>
          session.withTransaction(async () => {
            await people.insertOne({ _id: userId }, { session });
            const inside = store.with(session);
            expect(await inside.revokeUser(userId)).toBe(2);
            expect(await inside.listUser(userId)).toEqual([]);
            expect(await store.listUser(userId)).toHaveLength(2);
            throw new Error("the password is too short");
          }, MAJORITY),
        ),
      ).rejects.toThrow("the password is too short");
      expect(await Promise.all(ids.map((id) => store.read(id)))).not.toContain(null);
      expect(await people.findOne({ _id: userId })).toBeNull();
    });

    test("every call of the contract takes part", async () => {
      const { client, store } = await setUp();
      const { userId, ids } = await createUser(store, 2);
      const created = newSession({ userId });
      const call = async (inside: SessionStore) => {
        expect(await inside.create(created)).toBe("created");
        expect(await inside.update(created.id, { data: "new" })).toBe("updated");
        expect(await inside.update(created.id, {})).toBe("updated");
        expect(await inside.update(created.id, { data: "newer", ifVersion: 1 })).toBe("conflict");
        expect(await inside.read(created.id)).toMatchObject({ data: "new", version: 2 });
        expect(await inside.revoke(ids[0]!)).toBe(true);
        expect(await inside.revoke(randomUUID())).toBe(false);
        expect(await inside.read(ids[0]!)).toBeNull();
        expect(await inside.update(ids[0]!, {})).toBe("gone");
        expect(await inside.listUser(userId)).toHaveLength(2);
        expect(await inside.now()).toBeGreaterThan(0);
      };
      await withTransaction(client, async (session) => call(store.with(session)));
      expect((await store.listUser(userId)).map(({ id }) => id)).toEqual([ids[1], created.id]);
    });

    test('create of a taken id returns "taken", and the transaction continues', async () => {
      const { client, store } = await setUp();
      const { userId, ids } = await createUser(store, 2);
      await store.revoke(ids[1]!);
      const results = await withTransaction(client, async (session) => {
        const inside = store.with(session);
        const taken = await inside.create(newSession({ userId, id: ids[0]! }));
        const revoked = await inside.create(newSession({ userId, id: ids[1]! }));
        return [taken, revoked, await inside.update(ids[0]!, { data: "new" })];
      });
      expect(results).toEqual(["taken", "taken", "updated"]);
      expect(await store.read(ids[0]!)).toMatchObject({ data: "new" });
    });

    test("a login that began before the fence is refused", async () => {
      const { client, store } = await setUp();
      const { userId, ids } = await createUser(store, 1);
      const anonymous = newSession();
      await store.create(anonymous);
      const authenticatedAt = await store.now();
      await store.revokeUser(userId);
      const results = await withTransaction(client, async (session) => {
        const inside = store.with(session);
        return [
          await inside.create(newSession({ userId, authenticatedAt })),
          await inside.update(anonymous.id, { userId, authenticatedAt }),
          await inside.create(newSession({ userId })),
        ];
      });
      expect(results).toEqual(["fenced", "fenced", "created"]);
      expect(await Promise.all([...ids, anonymous.id].map((id) => store.read(id)))).toEqual([null, null]);
      expect(await store.listUser(userId)).toHaveLength(1);
    });

    test("a login that does not see the fence of a concurrent revokeUser is not committed", async () => {
      const { client, store } = await setUp();
      const { userId } = await createUser(store, 1);
      const authenticatedAt = await store.now();
      let runs = 0;
      const result = await withTransaction(client, async (session) => {
        runs += 1;
        const inside = store.with(session);
        // The transaction sees the data as of its first command.
        await inside.listUser(userId);
        if (runs === 1) await store.revokeUser(userId);
        return inside.create(newSession({ userId, authenticatedAt }));
      });
      expect({ result, runs }).toEqual({ result: "fenced", runs: 2 });
      expect(await store.listUser(userId)).toEqual([]);
    });

    test("a login is refused or ended by a revokeUser that runs concurrently outside of the transaction", async () => {
      const { client, store } = await setUp();
      const { userId } = await createUser(store, 1);
      const authenticatedAt = await store.now();
      let revoking: Promise<number> | undefined;
      const committed = await withTransaction(client, async (session) => {
        const inside = store.with(session);
        const result = await inside.create(newSession({ userId, authenticatedAt }));
        revoking ??= store.revokeUser(userId);
        revoking.catch(() => undefined);
        await sleep(100);
        return result;
      });
      const ended = await revoking;
      expect(committed === "created" ? ended : 1 + Number(ended)).toBe(2);
      expect(await store.listUser(userId)).toEqual([]);
    });

    test("withTransaction reruns the work after a write conflict, and after the id was taken outside of the transaction", async () => {
      const { client, store } = await setUp();
      const { userId, ids } = await createUser(store, 1);
      const taken = randomUUID();
      let runs = 0;
      const results = await withTransaction(client, async (session) => {
        runs += 1;
        const inside = store.with(session);
        await inside.read(ids[0]!);
        if (runs === 1) await store.update(ids[0]!, { data: "outside" });
        const updated = await inside.update(ids[0]!, { data: "inside" });
        if (runs === 2) await store.create(newSession({ userId, id: taken }));
        return [updated, await inside.create(newSession({ userId, id: taken }))];
      });
      expect(results).toEqual(["updated", "taken"]);
      expect(runs).toBeGreaterThanOrEqual(2);
      expect(await store.read(ids[0]!)).toMatchObject({ data: "inside", version: 3 });
    });

    test("a call that rejects ends the transaction, and none of its changes are stored", async () => {
      const { client, store } = await setUp();
      const { userId, ids } = await createUser(store, 1);
      let runs = 0;
      const outcome = withTransaction(client, async (session) => {
        runs += 1;
        expect(await store.with(session).revokeUser(userId)).toBe(1);
        return store.with(session).create(newSession({ userId, data: "x".repeat(17 * 1024 * 1024) }));
      });
      await expect(outcome).rejects.toThrow(TypeError);
      expect(runs).toBe(1);
      expect(await store.read(ids[0]!)).not.toBeNull();
    });

    test("with() refuses a value that is not a client session, an ended session, and a snapshot session", async () => {
      const { client, store } = await setUp();
      const ended = client.startSession();
      await ended.endSession();
      const snapshot = client.startSession({ snapshot: true });
      expect(() => store.with(ended)).toThrow(TypeError);
      expect(() => store.with(snapshot)).toThrow(TypeError);
      // Cast, like a caller without types.
      expect(() => store.with(undefined as unknown as ClientSession)).toThrow(TypeError);
      await snapshot.endSession();
    });

    test("a call with a client session of another client rejects with a StoreError", async () => {
      const { store } = await setUp();
      await open().withSession(async (session) => {
        await expect(store.with(session).read(randomUUID())).rejects.toThrow(StoreError);
      });
    });

    test("a call with a client session that has no transaction takes effect", async () => {
      const { client, store } = await setUp();
      const { userId } = await createUser(store, 2);
      expect(await client.withSession((session) => store.with(session).revokeUser(userId))).toBe(2);
      expect(await store.listUser(userId)).toEqual([]);
    });
  });

  async function setUp(): Promise<{ client: MongoClient; people: People; store: MongoStore }> {
    const client = open();
    const { dbName, collectionName } = await newCollection(connect(mongo.url));
    const options = { readPreference: "primary", writeConcern: { w: 1 } } as const;
    const people: People = client.db(dbName).collection(`people_${randomUUID()}`, options);
    await people.insertOne({ _id: "the first, which creates the collection" });
    return { client, people, store: mongoStore(client.db(dbName).collection(collectionName)) };
  }
}

mongo.describe("In a client session,", () => {
  test("a transaction reads from the primary, whatever the client's read preference is", async () => {
    const client = connect(mongo.url, { readPreference: "secondaryPreferred" });
    const store = mongoStore(await newCollection(client));
    const { userId, ids } = await createUser(store, 1);
    const options = { readConcern: { level: "local" } } as const;
    const read = await client.withSession((session) =>
      session.withTransaction(() => store.with(session).read(ids[0]!), options),
    );
    expect(read).toMatchObject({ userId });
  });

  for (const [name, open] of Object.entries(drivers)) {
    test(`no command of a transaction has a write concern, and only the first has a read concern: ${name}`, async () => {
      const client = open({ monitorCommands: true });
      const { dbName, collectionName } = await newCollection(connect(mongo.url));
      const store = mongoStore(client.db(dbName).collection(collectionName));
      const { userId, ids } = await createUser(store, 3);
      const sent = await recordCommands(client, () =>
        withTransaction(client, async (session) => {
          const inside = store.with(session);
          await inside.read(ids[0]!);
          await inside.create(newSession({ userId }));
          await inside.update(ids[0]!, {});
          await inside.update(ids[1]!, { data: "new" });
          await inside.revoke(ids[2]!);
          await inside.listUser(userId);
          await inside.revokeUser(userId);
        }),
      );
      const inside = sent.filter((command) => "autocommit" in command && !("commitTransaction" in command));
      expect(inside.length).toBeGreaterThan(7);
      for (const [i, command] of inside.entries()) {
        expect(command).not.toHaveProperty("writeConcern");
        // The driver makes it "primaryPreferred" on a direct connection.
        expect([undefined, "primary", "primaryPreferred"]).toContain(command["$readPreference"]?.mode);
        expect(command["readConcern"]?.level).toBe(i === 0 ? "local" : undefined);
      }
    });

    test(`causal consistency does not affect calls outside of the client session: ${name}`, async () => {
      const client = open({ monitorCommands: true });
      const { dbName, collectionName } = await newCollection(connect(mongo.url));
      for (const readConcern of ["local", "linearizable"] as const) {
        const store = mongoStore(client.db(dbName).collection(collectionName), { readConcern });
        const { userId } = await createUser(store, 1);
        await client.withSession({ causalConsistency: true }, async (session) => {
          await store.with(session).revokeUser(userId);
          const [own] = await recordCommands(client, () => store.with(session).listUser(userId));
          expect(own?.["readConcern"]).toEqual({ level: "local", afterClusterTime: expect.anything() });
        });
        const [shared] = await recordCommands(client, () => store.listUser(userId));
        expect(shared?.["readConcern"]).toEqual({ level: readConcern });
      }
    });
  }
});

type People = Collection<{ _id: string }>;

const MAJORITY = {
  readPreference: "primary",
  // A transaction cannot use "available", the default of the hostile clients.
  readConcern: { level: "local" },
  writeConcern: { w: "majority" },
} as const;

function withTransaction<Result>(
  client: MongoClient,
  work: (session: ClientSession) => Promise<Result>,
): Promise<Result> {
  return client.withSession((session) => session.withTransaction(() => work(session), MAJORITY));
}

/** Creates sessions of a new user. */
async function createUser(store: SessionStore, count: number): Promise<{ userId: string; ids: string[] }> {
  const userId = randomUUID();
  const ids: string[] = [];
  for (let i = 0; i < count; i += 1) ids.push(await createSession(store, { userId }));
  return { userId, ids };
}
