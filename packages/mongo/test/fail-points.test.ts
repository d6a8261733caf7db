import { randomUUID } from "node:crypto";
import { type SessionStore, StoreError } from "@tenure/core";
import { server } from "@tenure/servers";
import type { Document, MongoClientOptions } from "mongodb";
import { beforeEach, expect, test } from "vitest";
import { ensureIndexes, type MongoStore, mongoStore } from "../src/index.ts";
import { connect, errorOf, freshCollection, knows, record, skipLoudly } from "./clients.ts";
import { listen, turn } from "./warnings.ts";

/** The server's own fail points: https://github.com/mongodb/mongo/wiki/The-%22failCommand%22-fail-point */
const mongo = await server("mongo-transactions");

beforeEach(async (context) => {
  if (!(await knows(mongo.url, { configureFailPoint: "failCommand", mode: "off" })))
    skipLoudly(context, `${mongo.how} was not started with --setParameter enableTestCommands=1`);
});

const STEPPING_DOWN = { NotWritablePrimary: 10107, PrimarySteppedDown: 189 };
const WRITES = ["update", "findAndModify"];

for (const retryWrites of [true, false]) {
  mongo.describe(`A primary that steps down, retryWrites ${retryWrites}`, () => {
    test.for(Object.entries(STEPPING_DOWN))(
      "%s: every write is sent again, and its answer is true",
      async ([, errorCode]) => {
        const { store, failing } = await scene({ retryWrites });
        for (const [name, { call, answer }] of Object.entries(writes(store))) {
          const ready = await call();
          await using _ = await failing(1, { failCommands: WRITES, errorCode });
          expect({ name, answer: await ready() }).toEqual({ name, answer });
        }
      },
    );

    test("a write that the old primary took and no other confirmed is sent again, and its answer is true", async () => {
      const { store, failing } = await scene({ retryWrites });
      for (const [name, { call, answer }] of Object.entries(writes(store))) {
        const ready = await call();
        const writeConcernError = { code: 91, errmsg: "Replication is being shut down" };
        await using _ = await failing(1, { failCommands: WRITES, writeConcernError });
        expect({ name, answer: await ready() }).toEqual({ name, answer });
      }
    });

    test("with no primary for longer, every write is a StoreError, and the next call works", async () => {
      const { store, failing } = await scene({ retryWrites });
      const { update, joined, revokeUser } = writes(store);
      for (const [name, { call, answer }] of Object.entries({ update, joined, revokeUser })) {
        const ready = await call();
        {
          await using _ = await failing("alwaysOn", { failCommands: WRITES, errorCode: 10107 });
          expect({ name, error: await errorOf(ready()) }).toEqual({ name, error: expect.any(StoreError) });
        }
        expect({ name, answer: await (await call())() }).toEqual({ name, answer });
      }
    });
  });
}

mongo.describe("A server that refuses", () => {
  const every = ["find", "aggregate", ...WRITES];

  test("maxTimeMS has passed: a StoreError, and the next call works", async () => {
    const { store, failing } = await scene();
    for (const [name, call] of Object.entries(await calls(store))) {
      const refused = await errorUnder(
        () => failing("alwaysOn", { failCommands: every, errorCode: 50 }),
        call,
      );
      expect({ name, refused }).toEqual({ name, refused: expect.any(StoreError) });
      expect({ name, error: await errorOf(call()) }).toEqual({ name, error: undefined });
    }
  });

  test("the user may not: a StoreError that says what to grant, and the next call works", async () => {
    const { store, failing } = await scene();
    for (const [name, call] of Object.entries(await calls(store))) {
      const refused = await errorUnder(
        () => failing("alwaysOn", { failCommands: every, errorCode: 13 }),
        call,
      );
      const message = expect.stringContaining("the README lists the actions to grant");
      expect({ name, refused }).toEqual({ name, refused: expect.objectContaining({ message }) });
      expect(refused).toBeInstanceOf(StoreError);
      expect({ name, error: await errorOf(call()) }).toEqual({ name, error: undefined });
    }
  });

  test("the write was not confirmed by a majority: a StoreError, never an acknowledged write", async () => {
    const { store, failing } = await scene();
    const writeConcernError = { code: 64, errmsg: "waiting for replication timed out" };
    for (const { call } of Object.values(writes(store))) {
      const ready = await call();
      await using _ = await failing("alwaysOn", { failCommands: WRITES, writeConcernError });
      await expect(ready()).rejects.toThrow(StoreError);
    }
  });

  test("a joined update that the user may not make is sent once, not once more for each", async () => {
    const { store, failing, client } = await scene({ monitorCommands: true });
    const ids = await Promise.all(Array.from({ length: 10 }, () => born(store)));
    await using _ = await failing("alwaysOn", { failCommands: ["update"], errorCode: 13 });
    const sent = await record(client, async () => {
      const outcomes = await Promise.all(ids.map((id) => errorOf(store.update(id, { data: "new" }))));
      for (const outcome of outcomes) expect(outcome).toBeInstanceOf(StoreError);
    });
    expect(sent).toHaveLength(1);
  });

  test("one of joined updates: the others are made", async () => {
    const { store, failing } = await scene();
    const ids = await Promise.all(Array.from({ length: 3 }, () => born(store)));
    await using _ = await failing(1, { failCommands: ["update"], errorCode: 2 });
    const outcomes = await Promise.all(ids.map((id) => store.update(id, { data: "new" })));
    expect(outcomes).toEqual(["updated", "updated", "updated"]);
  });

  test("whoever may not list indexes can use the store all the same, and is told once what is not known", async (context) => {
    const { failing, another, namespace } = await scene();
    const warnings = listen(namespace, context);
    await using _ = await failing("alwaysOn", { failCommands: ["listIndexes"], errorCode: 13 });
    const store = another();
    expect(await born(store)).toBeTypeOf("string");
    expect(await store.read(randomUUID())).toBeNull();
    await turn();
    expect(warnings).toEqual([expect.stringContaining("grant it the action listIndexes")]);
  });

  test("ensureIndexes asks again where another instance may have been first, and nowhere else", async () => {
    for (const [errorCode, asked] of [
      [13, 1],
      [112, 2],
    ]) {
      const { failing, client } = await scene({ monitorCommands: true });
      const collection = client.db("tenure_test").collection(`sessions_${randomUUID()}`);
      await using _ = await failing(1, { failCommands: ["createIndexes"], errorCode });
      const sent = await record(client, () => errorOf(ensureIndexes(collection)));
      expect(sent.filter((command) => "createIndexes" in command)).toHaveLength(asked!);
    }
  });

  test("what went wrong when the indexes were looked at is a StoreError, and the next call looks again", async () => {
    const { failing, another } = await scene();
    const store = another();
    {
      await using _ = await failing("alwaysOn", { failCommands: ["listIndexes"], errorCode: 8 });
      await expect(store.read(randomUUID())).rejects.toThrow(StoreError);
    }
    expect(await born(store)).toBeTypeOf("string");
  });

  test("withTransaction runs again what failed for a while", async () => {
    const { store, failing, client } = await scene();
    const userId = randomUUID();
    await born(store, userId);
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

  test("an error in a transaction that no rerun can mend is a StoreError, and all is rolled back", async () => {
    const { store, failing, client } = await scene();
    const id = await born(store);
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

/** Returns every kind of write. `call` prepares it and returns the function that makes it. */
function writes(store: SessionStore) {
  const user = async (count: number) => {
    const userId = randomUUID();
    for (let i = 0; i < count; i += 1) await born(store, userId);
    return userId;
  };
  return {
    create: { call: async () => () => store.create(fresh()), answer: "created" },
    login: {
      call: async () => onOne(store, (id) => store.update(id, { userId: randomUUID() })),
      answer: "updated",
    },
    touch: { call: async () => onOne(store, (id) => store.update(id, {})), answer: "updated" },
    update: { call: async () => onOne(store, (id) => store.update(id, { data: "new" })), answer: "updated" },
    joined: {
      call: async () => {
        const ids = [await born(store), await born(store)];
        return () => Promise.all(ids.map((id) => store.update(id, { data: "new" })));
      },
      answer: ["updated", "updated"],
    },
    revoke: { call: async () => onOne(store, (id) => store.revoke(id)), answer: true },
    "revoke of an unknown id": { call: async () => () => store.revoke(randomUUID()), answer: false },
    revokeUser: {
      call: async () => {
        const userId = await user(2);
        return () => store.revokeUser(userId);
      },
      answer: 2,
    },
  } satisfies Record<string, Write>;
}

interface Write {
  readonly call: () => Promise<() => Promise<unknown>>;
  readonly answer: unknown;
}

async function onOne(
  store: SessionStore,
  call: (id: string) => Promise<unknown>,
): Promise<() => Promise<unknown>> {
  const id = await born(store);
  return () => call(id);
}

/** Returns every call, on one session. */
async function calls(store: SessionStore): Promise<Record<string, () => Promise<unknown>>> {
  const userId = randomUUID();
  const id = await born(store, userId);
  return {
    create: () => store.create(fresh()),
    read: () => store.read(id),
    touch: () => store.update(id, {}),
    update: () => store.update(id, { data: "new" }),
    listUser: () => store.listUser(userId),
    scan: () => store.scan()[Symbol.asyncIterator]().next(),
    revoke: () => store.revoke(id),
    revokeUser: () => store.revokeUser(userId),
  };
}

async function errorUnder(
  fault: () => Promise<AsyncDisposable>,
  call: () => Promise<unknown>,
): Promise<unknown> {
  await using _ = await fault();
  return await errorOf(call());
}

async function scene(options: MongoClientOptions = {}) {
  // The fail point applies only to this client, because the server is shared.
  const appName = randomUUID();
  const client = connect(mongo.url, { ...options, appName });
  const collection = await freshCollection(client);
  const another = (): MongoStore => mongoStore(collection);
  const store = another();
  await store.read("the first call looks at the indexes");
  const admin = connect(mongo.url).db("admin");
  const configure = (mode: Document | string, data: Document = {}) =>
    admin.command({ configureFailPoint: "failCommand", mode, data: { appName, ...data } });
  const failing = async (times: number | "alwaysOn", data: Document): Promise<AsyncDisposable> => {
    await configure(times === "alwaysOn" ? times : { times }, data);
    return { [Symbol.asyncDispose]: async () => void (await configure("off")) };
  };
  return { client, store, another, failing, namespace: collection.namespace };
}

async function born(store: SessionStore, userId: string | null = null): Promise<string> {
  const session = { ...fresh(), userId };
  expect(await store.create(session)).toBe("created");
  return session.id;
}

function fresh() {
  return { id: randomUUID(), userId: null, data: "old", idle: HOUR, lifetime: HOUR };
}

const HOUR = 60 * 60 * 1000;
