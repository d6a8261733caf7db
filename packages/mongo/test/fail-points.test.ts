import { randomUUID } from "node:crypto";
import { type SessionStore, StoreError } from "@tenure/core";
import { server } from "@tenure/servers";
import type { Document, MongoClientOptions } from "mongodb";
import { beforeEach, expect, test } from "vitest";
import { ensureIndexes, type MongoStore, mongoStore } from "../src/index.ts";
import { connect, errorOf, newCollection, supportsCommand, recordCommands, skipLoudly } from "./clients.ts";
import { createSession, newSession } from "./sessions.ts";
import { collectWarnings, nextTurn } from "./warnings.ts";

/** The server's own fail points: https://github.com/mongodb/mongo/wiki/The-%22failCommand%22-fail-point */
const mongo = await server("mongo-transactions");

beforeEach(async (context) => {
  if (!(await supportsCommand(mongo.url, { configureFailPoint: "failCommand", mode: "off" })))
    skipLoudly(context, `${mongo.how} was not started with --setParameter enableTestCommands=1`);
});

const STEPPING_DOWN = { NotWritablePrimary: 10107, PrimarySteppedDown: 189 };
const WRITES = ["update", "findAndModify"];

for (const retryWrites of [true, false]) {
  mongo.describe(`While a primary steps down, with retryWrites ${retryWrites},`, () => {
    test.for(Object.entries(STEPPING_DOWN))(
      "every write is retried after %s and returns its true result",
      async ([, errorCode]) => {
        const { store, failing } = await setUp({ retryWrites });
        for (const [name, { prepare, result }] of Object.entries(writes(store))) {
          const write = await prepare();
          await using _ = await failing(1, { failCommands: WRITES, errorCode });
          expect({ name, result: await write() }).toEqual({ name, result });
        }
      },
    );

    test("every write that reached only the old primary is retried and returns its true result", async () => {
      const { store, failing } = await setUp({ retryWrites });
      for (const [name, { prepare, result }] of Object.entries(writes(store))) {
        const write = await prepare();
        const writeConcernError = { code: 91, errmsg: "Replication is being shut down" };
        await using _ = await failing(1, { failCommands: WRITES, writeConcernError });
        expect({ name, result: await write() }).toEqual({ name, result });
      }
    });

    test("every write rejects with a StoreError if there is no primary for longer, and the next call succeeds", async () => {
      const { store, failing } = await setUp({ retryWrites });
      const { update, joined, revokeUser } = writes(store);
      for (const [name, { prepare, result }] of Object.entries({ update, joined, revokeUser })) {
        const write = await prepare();
        {
          await using _ = await failing("alwaysOn", { failCommands: WRITES, errorCode: 10107 });
          expect({ name, error: await errorOf(write()) }).toEqual({ name, error: expect.any(StoreError) });
        }
        expect({ name, result: await (await prepare())() }).toEqual({ name, result });
      }
    });
  });
}

mongo.describe("When a command fails,", () => {
  const every = ["find", "aggregate", ...WRITES];

  test("because maxTimeMS has passed, the call rejects with a StoreError, and the next call succeeds", async () => {
    const { store, failing } = await setUp();
    for (const [name, call] of Object.entries(await calls(store))) {
      const refused = await errorDuring(failing("alwaysOn", { failCommands: every, errorCode: 50 }), call);
      expect({ name, refused }).toEqual({ name, refused: expect.any(StoreError) });
      expect({ name, error: await errorOf(call()) }).toEqual({ name, error: undefined });
    }
  });

  test("because the user is not authorized, the call rejects with a StoreError that says what to grant, and the next call succeeds", async () => {
    const { store, failing } = await setUp();
    for (const [name, call] of Object.entries(await calls(store))) {
      const refused = await errorDuring(failing("alwaysOn", { failCommands: every, errorCode: 13 }), call);
      const message = expect.stringContaining("the README lists the actions to grant");
      expect({ name, refused }).toEqual({ name, refused: expect.objectContaining({ message }) });
      expect(refused).toBeInstanceOf(StoreError);
      expect({ name, error: await errorOf(call()) }).toEqual({ name, error: undefined });
    }
  });

  test("because no majority confirmed the write, the call rejects with a StoreError", async () => {
    const { store, failing } = await setUp();
    const writeConcernError = { code: 64, errmsg: "waiting for replication timed out" };
    for (const { prepare } of Object.values(writes(store))) {
      const write = await prepare();
      await using _ = await failing("alwaysOn", { failCommands: WRITES, writeConcernError });
      await expect(write()).rejects.toThrow(StoreError);
    }
  });

  test("because the user is not authorized, a joined update is not sent again for each session", async () => {
    const { store, failing, client } = await setUp({ monitorCommands: true });
    const ids = await Promise.all(Array.from({ length: 10 }, () => createSession(store)));
    await using _ = await failing("alwaysOn", { failCommands: ["update"], errorCode: 13 });
    const sent = await recordCommands(client, async () => {
      const outcomes = await Promise.all(ids.map((id) => errorOf(store.update(id, { data: "new" }))));
      for (const outcome of outcomes) expect(outcome).toBeInstanceOf(StoreError);
    });
    expect(sent).toHaveLength(1);
  });

  test("joined updates are sent again one by one, and succeed", async () => {
    const { store, failing } = await setUp();
    const ids = await Promise.all(Array.from({ length: 3 }, () => createSession(store)));
    await using _ = await failing(1, { failCommands: ["update"], errorCode: 2 });
    const outcomes = await Promise.all(ids.map((id) => store.update(id, { data: "new" })));
    expect(outcomes).toEqual(["updated", "updated", "updated"]);
  });

  test("because the user may not list indexes, the store still works and emits one warning", async (context) => {
    const { failing, openStore, namespace } = await setUp();
    const warnings = collectWarnings(namespace, context);
    await using _ = await failing("alwaysOn", { failCommands: ["listIndexes"], errorCode: 13 });
    const store = openStore();
    expect(await createSession(store)).toBeTypeOf("string");
    expect(await store.read(randomUUID())).toBeNull();
    await nextTurn();
    expect(warnings).toEqual([expect.stringContaining("grant it the action listIndexes")]);
  });

  test("ensureIndexes sends it again only if another instance may have created the indexes first", async () => {
    for (const [errorCode, attempts] of [
      [13, 1],
      [112, 2],
    ]) {
      const { failing, client } = await setUp({ monitorCommands: true });
      const collection = client.db("tenure_test").collection(`sessions_${randomUUID()}`);
      await using _ = await failing(1, { failCommands: ["createIndexes"], errorCode });
      const sent = await recordCommands(client, () => errorOf(ensureIndexes(collection)));
      expect(sent.filter((command) => "createIndexes" in command)).toHaveLength(attempts!);
    }
  });

  test("because the indexes cannot be listed, the call rejects with a StoreError, and the next call lists them again", async () => {
    const { failing, openStore } = await setUp();
    const store = openStore();
    {
      await using _ = await failing("alwaysOn", { failCommands: ["listIndexes"], errorCode: 8 });
      await expect(store.read(randomUUID())).rejects.toThrow(StoreError);
    }
    expect(await createSession(store)).toBeTypeOf("string");
  });

  test("withTransaction reruns the work if the error is transient", async () => {
    const { store, failing, client } = await setUp();
    const userId = randomUUID();
    await createSession(store, { userId });
    let runs = 0;
    await using _ = await failing(1, { failCommands: ["update"], errorCode: 112 });
    const ended = await client.withSession((session) =>
      session.withTransaction(async () => {
        runs += 1;
        return store.with(session).revokeUser(userId);
      }),
    );
    expect(ended).toBe(1);
    expect(runs).toBe(2);
  });

  test("a call in a transaction rejects with a StoreError and rolls everything back if no rerun can help", async () => {
    const { store, failing, client } = await setUp();
    const id = await createSession(store);
    let runs = 0;
    await using _ = await failing("alwaysOn", { failCommands: ["findAndModify"], errorCode: 2 });
    const outcome = client.withSession((session) =>
      session.withTransaction(async () => {
        runs += 1;
        expect(await store.with(session).update(id, { data: "new" })).toBe("updated");
        await store.with(session).revoke(id);
      }),
    );
    await expect(outcome).rejects.toThrow(StoreError);
    expect(runs).toBe(1);
    expect(await store.read(id)).toMatchObject({ data: "old", version: 1 });
  });
});

/** Returns every kind of write, with its result. */
function writes(store: SessionStore) {
  return {
    create: { prepare: async () => () => store.create(newSession()), result: "created" },
    login: {
      prepare: async () => onNewSession(store, (id) => store.update(id, { userId: randomUUID() })),
      result: "updated",
    },
    touch: { prepare: async () => onNewSession(store, (id) => store.update(id, {})), result: "updated" },
    update: {
      prepare: async () => onNewSession(store, (id) => store.update(id, { data: "new" })),
      result: "updated",
    },
    joined: {
      prepare: async () => {
        const ids = [await createSession(store), await createSession(store)];
        return () => Promise.all(ids.map((id) => store.update(id, { data: "new" })));
      },
      result: ["updated", "updated"],
    },
    revoke: { prepare: async () => onNewSession(store, (id) => store.revoke(id)), result: true },
    "revoke of an unknown id": { prepare: async () => () => store.revoke(randomUUID()), result: false },
    revokeUser: {
      prepare: async () => {
        const userId = randomUUID();
        for (let i = 0; i < 2; i += 1) await createSession(store, { userId });
        return () => store.revokeUser(userId);
      },
      result: 2,
    },
  } satisfies Record<string, Write>;
}

interface Write {
  /** Creates what the write needs, and returns the function that makes it. */
  readonly prepare: () => Promise<() => Promise<unknown>>;
  readonly result: unknown;
}

async function onNewSession(
  store: SessionStore,
  call: (id: string) => Promise<unknown>,
): Promise<() => Promise<unknown>> {
  const id = await createSession(store);
  return () => call(id);
}

/** Creates a session, and returns every call on it. */
async function calls(store: SessionStore): Promise<Record<string, () => Promise<unknown>>> {
  const userId = randomUUID();
  const id = await createSession(store, { userId });
  return {
    create: () => store.create(newSession()),
    read: () => store.read(id),
    touch: () => store.update(id, {}),
    update: () => store.update(id, { data: "new" }),
    listUser: () => store.listUser(userId),
    scan: () => store.scan()[Symbol.asyncIterator]().next(),
    revoke: () => store.revoke(id),
    revokeUser: () => store.revokeUser(userId),
  };
}

/** Makes a call while a fault lasts, and returns its error. */
async function errorDuring(fault: Promise<AsyncDisposable>, call: () => Promise<unknown>): Promise<unknown> {
  await using _ = await fault;
  return await errorOf(call());
}

async function setUp(options: MongoClientOptions = {}) {
  // The fail point applies only to this client, because the server is shared.
  const appName = randomUUID();
  const client = connect(mongo.url, { ...options, appName });
  const collection = await newCollection(client);
  const openStore = (): MongoStore => mongoStore(collection);
  const store = openStore();
  await store.read("the first call lists the indexes");
  const admin = connect(mongo.url).db("admin");
  const configure = (mode: Document | string, data: Document = {}) =>
    admin.command({ configureFailPoint: "failCommand", mode, data: { appName, ...data } });
  const failing = async (times: number | "alwaysOn", data: Document): Promise<AsyncDisposable> => {
    await configure(times === "alwaysOn" ? times : { times }, data);
    return { [Symbol.asyncDispose]: async () => void (await configure("off")) };
  };
  return { client, store, openStore, failing, namespace: collection.namespace };
}
