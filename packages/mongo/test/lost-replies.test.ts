import { randomUUID } from "node:crypto";
import { faultyProxy, type FaultyProxy, server } from "@tenure/servers";
import type { Collection } from "mongodb";
import { expect, test } from "vitest";
import { type MongoStore, mongoStore } from "../src/index.ts";
import { addressOfPrimary, connect, connect69, newCollection, HOSTILE } from "./clients.ts";
import { createSession, newSession } from "./sessions.ts";

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
  { name: "a replica set and retryWrites", on: transactional, open: connect, options: { retryWrites: true } },
  {
    name: "a replica set and no retryWrites",
    on: transactional,
    open: connect,
    options: { retryWrites: false },
  },
] as const;

for (const { name, on, open, options } of clients) {
  on.describe(`If any command or reply is lost, with ${name},`, { concurrent: true }, () => {
    test('create returns "created", and another create of the id returns "taken"', async () => {
      await cutAtEach(async ({ store, readBack }) => {
        const session = newSession();
        return {
          act: async () => expect(await store.create(session)).toBe("created"),
          after: async () => {
            expect((await readBack.read(session.id))?.version).toBe(1);
            expect(await store.create(session)).toBe("taken");
          },
        };
      });
    });

    test('a login is applied once and returns "updated", and a refused login returns "fenced"', async () => {
      await cutAtEach(async ({ store, readBack }) => {
        const id = await createSession(readBack);
        const late = await createSession(readBack);
        const [userId, authenticatedAt] = [randomUUID(), await readBack.now()];
        await readBack.revokeUser(userId);
        return {
          act: async () => {
            expect(await store.update(id, { userId })).toBe("updated");
            expect(await store.update(late, { userId, authenticatedAt })).toBe("fenced");
            expect(await store.create(newSession({ userId, authenticatedAt }))).toBe("fenced");
          },
          after: async () => {
            expect(await readBack.listUser(userId)).toMatchObject([{ id, version: 2 }]);
          },
        };
      });
    });

    test('an update is applied once and returns "updated"', async () => {
      await cutAtEach(async ({ store, readBack }) => {
        const id = await createSession(readBack);
        return {
          act: async () => expect(await store.update(id, { data: "new" })).toBe("updated"),
          after: async () => expect(await readBack.read(id)).toMatchObject({ version: 2, data: "new" }),
        };
      });
    });

    test("an update with ifVersion does not conflict with its own first execution", async () => {
      await cutAtEach(async ({ store, readBack }) => {
        const id = await createSession(readBack);
        return {
          act: async () => {
            expect(await store.update(id, { data: "new", ifVersion: 1 })).toBe("updated");
            expect(await store.update(id, { data: "newer", ifVersion: 1 })).toBe("conflict");
          },
        };
      });
    });

    test('joined updates are each applied once and return "updated", or "gone" for a revoked session', async () => {
      await cutAtEach(async ({ store, readBack }) => {
        const live = await Promise.all(Array.from({ length: 4 }, () => createSession(readBack)));
        const dead = await createSession(readBack);
        await readBack.revoke(dead);
        return {
          act: async () => {
            const calls = [...live, dead].map((id) => store.update(id, { data: "new" }));
            expect(await Promise.all(calls)).toEqual([...live.map(() => "updated"), "gone"]);
          },
          after: async () => {
            for (const id of live) expect(await readBack.read(id)).toMatchObject({ version: 2 });
          },
        };
      });
    });

    test("revoke returns true for the session that it ended, and false for an unknown id", async () => {
      await cutAtEach(async ({ store, readBack }) => {
        const id = await createSession(readBack);
        const unknown = randomUUID();
        return {
          act: async () => {
            expect(await store.revoke(id)).toBe(true);
            expect(await store.revoke(unknown)).toBe(false);
          },
          after: async () => {
            for (const dead of [id, unknown])
              expect(await readBack.create(newSession({ id: dead }))).toBe("taken");
          },
        };
      });
    });

    test("revokeUser counts each session that it ended once", async () => {
      await cutAtEach(async ({ store, readBack }) => {
        const userId = randomUUID();
        const [kept] = await Promise.all(
          Array.from({ length: 4 }, () => createSession(readBack, { userId })),
        );
        return {
          act: async () => {
            expect(await store.revokeUser(userId, { except: kept! })).toBe(3);
            expect(await store.revokeUser(userId)).toBe(1);
          },
          after: async () => expect(await readBack.listUser(userId)).toEqual([]),
        };
      });
    });
  });

  /**
   * Runs the scenario repeatedly. The connection is cut at the first command, then at the second, until there
   * is no such command, and then likewise at each reply.
   */
  async function cutAtEach(scenario: Scenario): Promise<void> {
    await using proxy = await faultyProxy(await addressOfPrimary(on.url));
    const collection = await newCollection(connect(on.url));
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
        if (struck) continue;
        expect(nth).toBeGreaterThan(1);
        break;
      }
    }
  }

  async function throughProxy(
    proxy: FaultyProxy,
    { dbName, collectionName }: Collection,
  ): Promise<MongoStore> {
    const client = open(proxy.url, { ...options, directConnection: true });
    const store = mongoStore(client.db(dbName).collection(collectionName));
    await store.read("the first call lists the indexes");
    return store;
  }
}

type Scenario = (stores: { readonly store: MongoStore; readonly readBack: MongoStore }) => Promise<{
  readonly act: () => Promise<void>;
  readonly after?: () => Promise<void>;
}>;
