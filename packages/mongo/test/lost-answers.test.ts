import { randomUUID } from "node:crypto";
import type { NewSession } from "@tenure/core";
import { faultyProxy, type FaultyProxy, server } from "@tenure/servers";
import type { Collection } from "mongodb";
import { expect, test } from "vitest";
import { type MongoStore, mongoStore } from "../src/index.ts";
import { addressOfPrimary, connect, connect69, freshCollection, HOSTILE } from "./clients.ts";

const mongo = await server("mongo");
const transactional = await server("mongo-transactions");

const clients = [
  {
    name: "no retries by the driver",
    on: mongo,
    open: connect,
    options: { retryWrites: false, retryReads: false },
  },
  { name: "hostile defaults", on: mongo, open: connect, options: HOSTILE },
  { name: "mongodb 6.9, hostile defaults", on: mongo, open: connect69, options: HOSTILE },
  { name: "a replica set, retryWrites on", on: transactional, open: connect, options: { retryWrites: true } },
  {
    name: "a replica set, retryWrites off",
    on: transactional,
    open: connect,
    options: { retryWrites: false },
  },
] as const;

for (const { name, on, open, options } of clients) {
  on.describe(`An answer is true though a reply or a command was lost: ${name}`, { concurrent: true }, () => {
    test("create says true of itself", async () => {
      await eachCut(async ({ store, readBack }) => {
        const session = fresh();
        return {
          act: async () => expect(await store.create(session)).toBe("created"),
          after: async () => {
            expect((await readBack.read(session.id))?.version).toBe(1);
            expect(await store.create(session)).toBe("taken");
          },
        };
      });
    });

    test("a login is made once and says so, and a refused one says that", async () => {
      await eachCut(async ({ store, readBack }) => {
        const { id } = await born(readBack);
        const { id: late } = await born(readBack);
        const [userId, authenticatedAt] = [randomUUID(), await readBack.now()];
        await readBack.revokeUser(userId);
        return {
          act: async () => {
            expect(await store.update(id, { userId })).toBe("updated");
            expect(await store.update(late, { userId, authenticatedAt })).toBe("fenced");
            expect(await store.create(fresh({ userId, authenticatedAt }))).toBe("fenced");
          },
          after: async () => {
            expect(await readBack.listUser(userId)).toMatchObject([{ id, version: 2 }]);
          },
        };
      });
    });

    test("an update is made once and says so", async () => {
      await eachCut(async ({ store, readBack }) => {
        const { id } = await born(readBack);
        return {
          act: async () => expect(await store.update(id, { data: "new" })).toBe("updated"),
          after: async () => expect(await readBack.read(id)).toMatchObject({ version: 2, data: "new" }),
        };
      });
    });

    test("an update of a version does not conflict with itself", async () => {
      await eachCut(async ({ store, readBack }) => {
        const { id } = await born(readBack);
        return {
          act: async () => {
            expect(await store.update(id, { data: "new", ifVersion: 1 })).toBe("updated");
            expect(await store.update(id, { data: "newer", ifVersion: 1 })).toBe("conflict");
          },
        };
      });
    });

    test("joined updates are each made once and say so, and the dead are gone", async () => {
      await eachCut(async ({ store, readBack }) => {
        const live = await Promise.all(Array.from({ length: 4 }, () => born(readBack)));
        const dead = await born(readBack);
        await readBack.revoke(dead.id);
        return {
          act: async () => {
            const calls = [...live, dead].map(({ id }) => store.update(id, { data: "new" }));
            expect(await Promise.all(calls)).toEqual([...live.map(() => "updated"), "gone"]);
          },
          after: async () => {
            for (const { id } of live) expect(await readBack.read(id)).toMatchObject({ version: 2 });
          },
        };
      });
    });

    test("revoke says true of the session that it ended, and false of an unknown one", async () => {
      await eachCut(async ({ store, readBack }) => {
        const { id } = await born(readBack);
        const unknown = randomUUID();
        return {
          act: async () => {
            expect(await store.revoke(id)).toBe(true);
            expect(await store.revoke(unknown)).toBe(false);
          },
          after: async () => {
            for (const dead of [id, unknown])
              expect(await readBack.create(fresh({ id: dead }))).toBe("taken");
          },
        };
      });
    });

    test("revokeUser counts each session that it ended once", async () => {
      await eachCut(async ({ store, readBack }) => {
        const userId = randomUUID();
        const [kept] = await Promise.all(Array.from({ length: 4 }, () => born(readBack, { userId })));
        return {
          act: async () => {
            expect(await store.revokeUser(userId, { except: kept!.id })).toBe(3);
            expect(await store.revokeUser(userId)).toBe(1);
          },
          after: async () => expect(await readBack.listUser(userId)).toEqual([]),
        };
      });
    });
  });

  /**
   * Runs the scenario repeatedly, cutting at the first command or reply, then at the second, until none is
   * left.
   */
  async function eachCut(scenario: Scenario): Promise<void> {
    await using proxy = await faultyProxy(await addressOfPrimary(on.url));
    const collection = await freshCollection(connect(on.url));
    const readBack = mongoStore(collection);
    const store = await throughProxy(proxy, collection);
    for (const side of ["command", "reply"] as const) {
      for (let nth = 1; ; nth += 1) {
        const { act, after } = await scenario({ store, readBack });
        const planned = proxy.plan({ on: side, nth });
        await act();
        await after?.();
        const { struck } = planned;
        planned.cancel();
        if (!struck) break;
      }
    }
    expect(proxy.commands).toBeGreaterThan(0);
  }

  async function throughProxy(
    proxy: FaultyProxy,
    { dbName, collectionName }: Collection,
  ): Promise<MongoStore> {
    const client = open(proxy.url, { ...options, directConnection: true });
    const store = mongoStore(client.db(dbName).collection(collectionName));
    await store.read("the first call looks at the indexes");
    return store;
  }
}

type Scenario = (stores: { readonly store: MongoStore; readonly readBack: MongoStore }) => Promise<{
  readonly act: () => Promise<void>;
  readonly after?: () => Promise<void>;
}>;

async function born(store: MongoStore, given: Partial<NewSession> = {}): Promise<NewSession> {
  const session = fresh(given);
  expect(await store.create(session)).toBe("created");
  return session;
}

function fresh(given: Partial<NewSession> = {}): NewSession {
  return { id: randomUUID(), userId: null, data: "old", idle: HOUR, lifetime: HOUR, ...given };
}

const HOUR = 60 * 60 * 1000;
