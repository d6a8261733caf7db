import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type SessionStore, StoreError } from "@tenure/core";
import { server } from "@tenure/servers";
import type { Collection, CollectionOptions } from "mongodb";
import { expect, test } from "vitest";
import { type MongoCollection, mongoStore } from "../src/index.ts";
import { connect, errorOf, freshCollection } from "./clients.ts";

const servers = { mongo: await server("mongo"), "mongo-transactions": await server("mongo-transactions") };

/** Every call that can be the first to meet an unchecked login, with the session as the call shows it. */
const meets: Record<string, (store: SessionStore, id: string, userId: string) => Promise<unknown>> = {
  read: (store, id) => store.read(id),
  "a joined read": async (store, id) => (await Promise.all([store.read(id), store.read(randomUUID())]))[0],
  listUser: async (store, _, userId) => (await store.listUser(userId))[0] ?? null,
  scan: async (store, id) => (await Array.fromAsync(store.scan())).find((one) => one.id === id) ?? null,
  "a touch": async (store, id) => ((await store.update(id, {})) === "gone" ? null : store.read(id)),
  "a joined save": async (store, id) => {
    const calls = [id, randomUUID()].map((each) => store.update(each, { data: "new" }));
    return (await Promise.all(calls))[0] === "gone" ? null : store.read(id);
  },
  "another login": async (store, id) =>
    (await store.update(id, { userId: randomUUID() })) === "gone" ? null : store.read(id),
  revoke: async (store, id) => ((await store.revoke(id)) ? "it was alive" : null),
};

for (const [name, on] of Object.entries(servers)) {
  let shared: Promise<Collection> | undefined;
  const scene = () => sceneOn((shared ??= freshCollection(connect(on.url))));

  on.describe(`A login whose process ends before it has read the fence, on ${name}`, () => {
    for (const [by, meet] of Object.entries(meets)) {
      test(`is dead for ${by} if the user was logged out everywhere after it began`, async () => {
        for (const login of ["create", "update"] as const) {
          const { store, crashing, userId } = await scene();
          const authenticatedAt = await store.now();
          await store.revokeUser(userId);
          const id = await logIn(login, store, crashing, { userId, authenticatedAt });
          expect({ login, seen: await meet(store, id, userId) }).toEqual({ login, seen: null });
          expect(await store.read(id)).toBeNull();
        }
      });

      test(`is alive for ${by} if it began after every fence`, async () => {
        for (const login of ["create", "update"] as const) {
          for (const given of [true, false]) {
            const { store, crashing, userId } = await scene();
            await store.revokeUser(userId);
            const changes = given ? { userId, authenticatedAt: await store.now() } : { userId };
            const id = await logIn(login, store, crashing, changes);
            expect({ login, given, seen: await meet(store, id, userId) }).not.toMatchObject({ seen: null });
          }
        }
      });
    }

    test("is ended by the next revokeUser, which counts it unless it is one to refuse", async () => {
      const { store, crashing, userId } = await scene();
      await logIn("create", store, crashing, { userId });
      await logIn("update", store, crashing, { userId });
      await logIn("create", store, crashing, { userId, authenticatedAt: await store.now() });
      expect(await store.revokeUser(userId)).toBe(2);
      expect(await store.listUser(userId)).toEqual([]);
    });

    test("is dead once the store may have forgotten the fence", async () => {
      const { collection, crashing, userId } = await scene();
      const store = mongoStore(collection, { tombstoneMinimum: 200 });
      const id = await logIn("update", store, crashing, { userId, authenticatedAt: await store.now() });
      await sleep(250);
      expect(await store.read(id)).toBeNull();
    });
  });

  on.describe(`A login that revokeUser overtakes, on ${name}`, () => {
    test("is refused if revokeUser comes between its write and its look at the fence", async () => {
      for (const login of ["create", "update"] as const) {
        const { store, collection, userId } = await scene();
        const authenticatedAt = await store.now();
        const slow = mongoStore(beforeFenceIsRead(collection, () => store.revokeUser(userId)));
        const result = await logIn(login, store, slow, { userId, authenticatedAt }, false);
        expect({ login, result }).toEqual({ login, result: "fenced" });
        expect(await store.listUser(userId)).toEqual([]);
      }
    });

    test("is refused if the whole of revokeUser comes before its write", async () => {
      const { store, userId } = await scene();
      const authenticatedAt = await store.now();
      await store.revokeUser(userId);
      const session = { ...fresh(), userId, authenticatedAt };
      expect(await store.create(session)).toBe("fenced");
      // The id is still free.
      expect(await store.create({ ...session, authenticatedAt: await store.now() })).toBe("created");
    });

    test("and names no instant is made and ended, or made after it", async () => {
      const { store, collection, userId } = await scene();
      let ended = 0;
      const slow = mongoStore(
        beforeFenceIsRead(collection, async () => void (ended += await store.revokeUser(userId))),
      );
      expect(await slow.create({ ...fresh(), userId })).toBe("created");
      expect(await store.listUser(userId)).toHaveLength(1 - ended);
    });
  });
}

servers.mongo.describe("An error", () => {
  test("holds no data, no id and no user, wherever the driver's error quotes a document", async () => {
    const collection = await freshCollection(connect(servers.mongo.url));
    const store = mongoStore(collection);
    await collection.createIndex({ data: 1 }, { unique: true });
    const [one, two] = [fresh("secret one"), fresh("secret two")];
    await store.create(one);
    await store.create(two);
    const duplicate = { data: one.data };
    const refused = [
      await errorOf(store.update(two.id, duplicate)),
      await errorOf(Promise.all([store.update(two.id, duplicate), store.update(one.id, { data: "new" })])),
      await errorOf(store.create({ ...fresh(), data: two.data })),
    ];
    for (const error of refused.filter((each) => each !== undefined)) {
      expect(error).toBeInstanceOf(StoreError);
      expect(error).not.toHaveProperty("code");
      const { cause } = error as StoreError;
      const told = [error, cause].map(
        (each) => `${String(each)} ${JSON.stringify(each)} ${String(each && (each as Error).stack)}`,
      );
      for (const secret of ["secret", one.id, two.id]) expect(told.join()).not.toContain(secret);
    }
    expect(refused[0]).toBeInstanceOf(StoreError);
  });
});

async function sceneOn(opened: Promise<Collection>) {
  const collection = await opened;
  const crash = () => Promise.reject(new Error("the process ended"));
  const crashing = mongoStore(beforeFenceIsRead(collection, crash));
  return { collection, store: mongoStore(collection), crashing, userId: randomUUID() };
}

/** @returns the id, or the result of the login if `crashes` is false */
async function logIn(
  by: "create" | "update",
  store: SessionStore,
  other: SessionStore,
  { userId, authenticatedAt }: { userId: string; authenticatedAt?: number },
  crashes = true,
): Promise<string> {
  const session = fresh();
  const changes = { userId, ...(authenticatedAt === undefined ? {} : { authenticatedAt }) };
  if (by === "update") expect(await store.create(session)).toBe("created");
  const call = by === "create" ? other.create({ ...session, ...changes }) : other.update(session.id, changes);
  if (!crashes) return call;
  await expect(call).rejects.toThrow(StoreError);
  return session.id;
}

/**
 * Runs `act` before the fence is read: a login's second step is the only `findOne` of the store outside of
 * retries.
 */
function beforeFenceIsRead(collection: Collection, act: () => Promise<unknown>): MongoCollection {
  const { dbName, collectionName, namespace, db } = collection;
  const open = (name: string, options?: CollectionOptions) => {
    const opened = db.collection(name, options);
    const findOne = opened.findOne.bind(opened) as (...given: unknown[]) => Promise<never>;
    opened.findOne = async (...given: unknown[]) => {
      await act();
      return findOne(...given);
    };
    return opened;
  };
  const command = db.command.bind(db);
  return {
    dbName,
    collectionName,
    namespace,
    db: { client: db.client, command, collection: open },
  } as MongoCollection;
}

function fresh(data = "") {
  return { id: randomUUID(), userId: null, data, idle: HOUR, lifetime: HOUR };
}

const HOUR = 60 * 60 * 1000;
