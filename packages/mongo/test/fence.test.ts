import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type SessionStore, StoreError } from "@tenure/core";
import { server } from "@tenure/servers";
import type { Collection } from "mongodb";
import { expect, test } from "vitest";
import { type MongoCollection, mongoStore } from "../src/index.ts";
import { connect, errorOf, newCollection } from "./clients.ts";
import { newSession } from "./sessions.ts";
import { withHandle } from "./wrapped-handle.ts";

const servers = { mongo: await server("mongo"), "mongo-transactions": await server("mongo-transactions") };

/**
 * Every call that can be the first to find an unchecked login. Each returns what it shows of the session:
 * null if the session is dead.
 */
const firstCalls: Record<string, (store: SessionStore, id: string, userId: string) => Promise<unknown>> = {
  read: (store, id) => store.read(id),
  "a joined read": async (store, id) => (await Promise.all([store.read(id), store.read(randomUUID())]))[0],
  listUser: async (store, _, userId) => (await store.listUser(userId))[0] ?? null,
  scan: async (store, id) => (await Array.fromAsync(store.scan())).find((record) => record.id === id) ?? null,
  "a touch": async (store, id) => ((await store.update(id, {})) === "gone" ? null : store.read(id)),
  "a joined save": async (store, id) => {
    const calls = [id, randomUUID()].map((each) => store.update(each, { data: "new" }));
    return (await Promise.all(calls))[0] === "gone" ? null : store.read(id);
  },
  "another login": async (store, id) =>
    (await store.update(id, { userId: randomUUID() })) === "gone" ? null : store.read(id),
  revoke: async (store, id) => ((await store.revoke(id)) ? "alive" : null),
};

for (const [name, on] of Object.entries(servers)) {
  let shared: Promise<Collection> | undefined;
  const setUp = () => setUpOn((shared ??= newCollection(connect(on.url))));

  on.describe(`On ${name}, the session of a login whose process ended before it read the fence`, () => {
    for (const [call, firstCall] of Object.entries(firstCalls)) {
      test(`is found dead by ${call} if revokeUser ran after the login began`, async () => {
        for (const login of ["create", "update"] as const) {
          const { store, crashing, userId } = await setUp();
          const authenticatedAt = await store.now();
          await store.revokeUser(userId);
          const id = await logIn(login, store, crashing, { userId, authenticatedAt });
          expect({ login, seen: await firstCall(store, id, userId) }).toEqual({ login, seen: null });
          expect(await store.read(id)).toBeNull();
        }
      });

      test(`is found alive by ${call} if the login began after every fence`, async () => {
        for (const login of ["create", "update"] as const) {
          for (const given of [true, false]) {
            const { store, crashing, userId } = await setUp();
            await store.revokeUser(userId);
            const changes = given ? { userId, authenticatedAt: await store.now() } : { userId };
            const id = await logIn(login, store, crashing, changes);
            expect({ login, given, seen: await firstCall(store, id, userId) }).not.toMatchObject({
              seen: null,
            });
          }
        }
      });
    }

    test("is ended by the next revokeUser, which counts it unless the login must be refused", async () => {
      const { store, crashing, userId } = await setUp();
      await logIn("create", store, crashing, { userId });
      await logIn("update", store, crashing, { userId });
      await logIn("create", store, crashing, { userId, authenticatedAt: await store.now() });
      expect(await store.revokeUser(userId)).toBe(2);
      expect(await store.listUser(userId)).toEqual([]);
    });

    test("is dead once the store may have forgotten the fence", async () => {
      const { collection, crashing, userId } = await setUp();
      const store = mongoStore(collection, { tombstoneMinimum: 200 });
      const id = await logIn("update", store, crashing, { userId, authenticatedAt: await store.now() });
      await sleep(250);
      expect(await store.read(id)).toBeNull();
    });
  });

  on.describe(`On ${name}, a login that overlaps revokeUser`, () => {
    test("is refused if revokeUser runs between its write and its read of the fence", async () => {
      for (const login of ["create", "update"] as const) {
        const { store, collection, userId } = await setUp();
        const authenticatedAt = await store.now();
        const slow = mongoStore(beforeFenceIsRead(collection, () => store.revokeUser(userId)));
        const result = await logIn(login, store, slow, { userId, authenticatedAt }, false);
        expect({ login, result }).toEqual({ login, result: "fenced" });
        expect(await store.listUser(userId)).toEqual([]);
      }
    });

    test("is refused if revokeUser runs before its write", async () => {
      const { store, userId } = await setUp();
      const authenticatedAt = await store.now();
      await store.revokeUser(userId);
      const session = newSession({ userId, authenticatedAt });
      expect(await store.create(session)).toBe("fenced");
      // The id is still free.
      expect(await store.create({ ...session, authenticatedAt: await store.now() })).toBe("created");
    });

    test("succeeds if it gives no authenticatedAt, and is ended by revokeUser or counts as made after it", async () => {
      const { store, collection, userId } = await setUp();
      let ended: number | undefined;
      const slow = mongoStore(
        beforeFenceIsRead(
          collection,
          async () => void (ended = (ended ?? 0) + (await store.revokeUser(userId))),
        ),
      );
      expect(await slow.create(newSession({ userId }))).toBe("created");
      expect(await store.listUser(userId)).toHaveLength(1 - ended!);
    });
  });

  on.describe(`On ${name}, a login whose session expires, and is removed, before it reads the fence`, () => {
    test("counts as made before the session expired", async () => {
      for (const login of ["create", "update"] as const) {
        const { store, collection, userId } = await setUp();
        // As the TTL index does.
        const remove = () => collection.deleteOne({ userId });
        const slow = mongoStore(beforeFenceIsRead(collection, remove));
        const result = await logIn(login, store, slow, { userId }, false);
        expect({ login, result }).toEqual({ login, result: login === "create" ? "created" : "updated" });
      }
    });
  });
}

servers.mongo.describe("An error", () => {
  test("reveals no data and no id, even if the driver's error quotes a document", async () => {
    const collection = await newCollection(connect(servers.mongo.url));
    const store = mongoStore(collection);
    await collection.createIndex({ data: 1 }, { unique: true });
    const [one, two, other] = [
      newSession({ data: "secret one" }),
      newSession({ data: "secret two" }),
      newSession(),
    ];
    for (const session of [one, two, other]) await store.create(session);
    const duplicate = { data: one.data };
    const refused = [
      await errorOf(store.update(two.id, duplicate)),
      await errorOf(Promise.all([store.update(two.id, duplicate), store.update(other.id, { data: "new" })])),
      await errorOf(store.create(newSession({ data: two.data }))),
    ];
    for (const error of refused) {
      expect(error).toBeInstanceOf(StoreError);
      expect(error).not.toHaveProperty("code");
      const { cause } = error as StoreError;
      const shown = [error, cause].map(
        (each) => `${String(each)} ${JSON.stringify(each)} ${String(each && (each as Error).stack)}`,
      );
      for (const secret of ["secret", one.id, two.id]) expect(shown.join()).not.toContain(secret);
    }
  });
});

async function setUpOn(opened: Promise<Collection>) {
  const collection = await opened;
  const crash = () => Promise.reject(new Error("the process ended"));
  const crashing = mongoStore(beforeFenceIsRead(collection, crash));
  return { collection, store: mongoStore(collection), crashing, userId: randomUUID() };
}

/**
 * Logs in through `other`: creates a session, or binds one that `store` created.
 *
 * @returns the id, or the result of the login if `crashes` is false
 */
async function logIn(
  by: "create" | "update",
  store: SessionStore,
  other: SessionStore,
  { userId, authenticatedAt }: { userId: string; authenticatedAt?: number },
  crashes = true,
): Promise<string> {
  const session = newSession();
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
  return withHandle(collection, (handle) => {
    const findOne = handle.findOne.bind(handle) as (...given: unknown[]) => Promise<never>;
    handle.findOne = async (...given: unknown[]) => {
      await act();
      return findOne(...given);
    };
    return handle;
  });
}
