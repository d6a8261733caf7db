import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type SessionStore, StoreError } from "@tenure/core";
import { canStart, faultyProxy, server, startMongo } from "@tenure/servers";
import type { MongoClient, MongoClientOptions } from "mongodb";
import { expect, test } from "vitest";
import { type MongoStore, mongoStore } from "../src/index.ts";
import { addressOfPrimary, connect, connect70, newCollection } from "./clients.ts";
import { createSession, newSession } from "./sessions.ts";

const mongo = await server("mongo");
const ownMongo = await canStart("mongo");

/** Milliseconds that a call may take beyond the client's own limit, on a busy machine. */
const SLACK = 1500;

mongo.describe("During an outage,", { concurrent: true }, () => {
  test("if MongoDB refuses connections, every call rejects within serverSelectionTimeoutMS, and succeeds once it is back", async () => {
    await using proxy = await faultyProxy(await addressOfPrimary(mongo.url));
    const { store, live } = await onProxy(proxy.url, { serverSelectionTimeoutMS: 700 });
    await proxy.refuse();
    expect(await outcomes(calls(store), 700)).toEqual(ALL_FAIL);
    const updates = () => Promise.all(["a", "b", "c", "d"].map((data) => store.update(live, { data })));
    expect(await outcomes({ updates }, 700)).toEqual({ updates: FAILS });
    await proxy.accept();
    expect(await store.read(live)).toMatchObject({ id: live });
    expect(await outcomes(calls(store))).toEqual(ALL_RESOLVE);
  });

  test("if MongoDB stops replying, every call rejects within socketTimeoutMS, and succeeds once it is back", async () => {
    await using proxy = await faultyProxy(await addressOfPrimary(mongo.url));
    const limits = { socketTimeoutMS: 500, connectTimeoutMS: 500, serverSelectionTimeoutMS: 700 };
    const { store, live } = await onProxy(proxy.url, limits);
    proxy.silence();
    // The first calls use a connection that was open, and the driver repeats reads that got no reply.
    expect(await outcomes(calls(store), 500 + 700)).toEqual(ALL_FAIL);
    expect(await outcomes(calls(store), 700)).toEqual(ALL_FAIL);
    proxy.cut();
    expect(await store.read(live)).toMatchObject({ id: live });
    expect(await outcomes(calls(store))).toEqual(ALL_RESOLVE);
  });

  test("if MongoDB stops reading during a large command, the call rejects within the client's limits, although the driver does not apply them", async () => {
    await using proxy = await faultyProxy(await addressOfPrimary(mongo.url));
    const limits = { socketTimeoutMS: 500, connectTimeoutMS: 500, serverSelectionTimeoutMS: 700 };
    const { store, live } = await onProxy(proxy.url, limits);
    proxy.freeze();
    // More than the sockets on the way buffer.
    const update = () => store.update(live, { data: "x".repeat(12 * 1024 * 1024) });
    expect(await outcomes({ update }, 2 * (500 + 500 + 700))).toEqual({ update: FAILS });
    proxy.cut();
    expect(await store.read(live)).toMatchObject({ id: live, version: 1 });
    expect(await outcomes(calls(store))).toEqual(ALL_RESOLVE);
  });

  test("if MongoDB stops replying while calls keep coming, no call waits for the calls before it", async () => {
    await using proxy = await faultyProxy(await addressOfPrimary(mongo.url));
    const noticed = { heartbeatFrequencyMS: 500, connectTimeoutMS: 500 };
    const serverSelectionTimeoutMS = 6000;
    const limits = { ...noticed, serverSelectionTimeoutMS, socketTimeoutMS: 2000, retryReads: false };
    const { store, live } = await onProxy(proxy.url, limits);
    // Once the driver's monitor notices the outage, it ends all commands. Each is sent again and selects a
    // server. A call that had waited for another would select one twice, which takes 6 s more. A busy machine
    // may therefore take 3 s more.
    const limit = noticed.heartbeatFrequencyMS + noticed.connectTimeoutMS + serverSelectionTimeoutMS + SLACK;
    proxy.silence();
    const waits: Promise<Record<string, string>>[] = [];
    for (let i = 0; i < 20; i += 1) {
      const joined = { read: () => store.read(live), update: () => store.update(live, { data: `${i}` }) };
      waits.push(outcomes(joined, limit));
      await sleep(50);
    }
    for (const waited of await Promise.all(waits)) expect(waited).toEqual({ read: FAILS, update: FAILS });
    proxy.cut();
    expect(await store.read(live)).toMatchObject({ id: live });
    expect(await outcomes(calls(store))).toEqual(ALL_RESOLVE);
  });

  test("an update that the driver's monitor ends is sent again and applied once", async () => {
    await using proxy = await faultyProxy(await addressOfPrimary(mongo.url));
    // Only the monitor can notice, because there is no `socketTimeoutMS`.
    const limits = { connectTimeoutMS: 500, heartbeatFrequencyMS: 500, monitorCommands: true } as const;
    const { store, client, live } = await onProxy(proxy.url, { ...limits, retryReads: false });
    const ended: string[] = [];
    client.on("commandFailed", ({ commandName, failure }) => {
      if (commandName === "update") ended.push(failure.name);
      proxy.cut();
    });
    proxy.silence();
    expect(await store.update(live, { data: "new" })).toBe("updated");
    expect(ended).toEqual(["PoolClearedOnNetworkError"]);
    expect(await store.read(live)).toMatchObject({ data: "new", version: 2 });
  });

  test("if MongoDB stops replying, every call rejects within timeoutMS, if the driver applies it (7.0)", async () => {
    await using proxy = await faultyProxy(await addressOfPrimary(mongo.url));
    const { dbName, collectionName } = await newCollection(connect(mongo.url));
    const client = connect70(proxy.url, { timeoutMS: 2000, directConnection: true });
    const store = mongoStore(client.db(dbName).collection(collectionName));
    const live = await createSession(store);
    proxy.silence();
    expect(await outcomes(calls(store), 2000)).toEqual(ALL_FAIL);
    proxy.cut();
    expect(await store.read(live)).toMatchObject({ id: live });
    expect(await outcomes(calls(store))).toEqual(ALL_RESOLVE);
  });

  test.for(Object.entries(CUT_CALLS))(
    "after cuts at any command and at its retry, the next call succeeds, and read, listUser and revokeUser agree: %s",
    async ([, cutCall]) => {
      await using proxy = await faultyProxy(await addressOfPrimary(mongo.url));
      const { store } = await onProxy(proxy.url, { retryReads: false });
      for (const on of ["command", "reply"] as const) {
        for (let nth = 1; ; nth += 1) {
          const userId = randomUUID();
          const ids = await Promise.all([createSession(store, { userId }), createSession(store, { userId })]);
          const faults = [proxy.plan({ on, nth }), proxy.plan({ on, nth: nth + 1 })];
          const outcome = await settle(cutCall(store, ids[0], userId));
          const struck = faults.some((fault) => fault.struck);
          for (const fault of faults) fault.cancel();
          expect(outcome === "resolved" || outcome instanceof StoreError).toBe(true);
          const { listed, ...others } = await views(store, ids, userId);
          expect(others).toEqual({ readable: listed, revoked: listed, left: 0 });
          if (struck) continue;
          expect(nth).toBeGreaterThan(1);
          break;
        }
      }
    },
  );

  test("if no connection is free within waitQueueTimeoutMS, a call rejects with a StoreError, and the next call succeeds", async () => {
    await using proxy = await faultyProxy(await addressOfPrimary(mongo.url));
    const { store, live } = await onProxy(proxy.url, { maxPoolSize: 1, waitQueueTimeoutMS: 1500 });
    proxy.delayReplies(3000);
    const lists = await Promise.all(Array.from({ length: 6 }, () => settle(store.listUser("any"))));
    expect(lists).toContain("resolved");
    expect(lists.some((outcome) => outcome instanceof StoreError)).toBe(true);
    proxy.delayReplies(0);
    expect(await store.read(live)).toMatchObject({ id: live });
    expect(await outcomes(calls(store))).toEqual(ALL_RESOLVE);
  });

  test("if MongoDB refuses the password, every call rejects with a StoreError that says so and names neither user nor password", async () => {
    const client = connect(mongo.url, { auth: { username: "ada", password: "wrong" } });
    const store = mongoStore(client.db("tenure_test").collection("sessions"));
    expect(await outcomes(calls(store))).toEqual(ALL_FAIL);
    const error = await settle(store.read("any"));
    expect(error).toMatchObject({ message: "read: MongoDB refused the client's user or password" });
  });

  test("after the application has closed the client, a call resolves or rejects with a StoreError", async () => {
    const client = connect(mongo.url);
    const store = mongoStore(await newCollection(client));
    await client.close();
    const reopened = await settle(store.read("any"));
    expect(reopened === "resolved" || reopened instanceof StoreError).toBe(true);
  });
});

ownMongo.describe("While MongoDB is down,", () => {
  test("every call rejects with a StoreError, and the first call after the restart succeeds", async () => {
    await using own = await startMongo();
    const client = connect(own.url, { serverSelectionTimeoutMS: 700 });
    const store = mongoStore(await newCollection(client));
    const live = await createSession(store);
    await own.stop();
    expect(await outcomes(calls(store), 700)).toEqual(ALL_FAIL);
    await own.start();
    expect(await store.read(live)).toMatchObject({ id: live });
    expect(await outcomes(calls(store))).toEqual(ALL_RESOLVE);
  });
});

/** Returns every call of the contract, each independent of the others. */
function calls(store: SessionStore): Record<string, () => Promise<unknown>> {
  const userId = randomUUID();
  return {
    create: () => store.create(newSession({ userId })),
    read: () => store.read(randomUUID()),
    touch: () => store.update(randomUUID(), {}),
    update: () => store.update(randomUUID(), { data: "new" }),
    revoke: () => store.revoke(randomUUID()),
    revokeUser: () => store.revokeUser(userId),
    listUser: () => store.listUser(userId),
    scan: () => store.scan()[Symbol.asyncIterator]().next(),
    now: () => store.now(),
  };
}

/** Returns the outcome of each call. A StoreError is in time within the limit, in milliseconds. */
async function outcomes(
  each: Record<string, () => Promise<unknown>>,
  limit: number = Infinity,
): Promise<Record<string, string>> {
  const entries = Object.entries(each).map(async ([name, call]) => {
    const began = performance.now();
    const outcome = await settle(call());
    const took = performance.now() - began;
    if (outcome === "resolved") return [name, outcome];
    if (!(outcome instanceof StoreError)) return [name, String(outcome)];
    return [name, took < limit + SLACK ? FAILS : `a StoreError after ${took} ms`];
  });
  return Object.fromEntries(await Promise.all(entries));
}

const FAILS = "a StoreError in time";
const NAMES = ["create", "read", "touch", "update", "revoke", "revokeUser", "listUser", "scan", "now"];
const ALL_FAIL = Object.fromEntries(NAMES.map((name) => [name, FAILS]));
const ALL_RESOLVE = Object.fromEntries(NAMES.map((name) => [name, "resolved"]));

/** Promise 5: readable sessions can be listed and ended. */
async function views(store: SessionStore, ids: readonly string[], userId: string) {
  const listed = (await store.listUser(userId)).map(({ id }) => id);
  const read = await Promise.all([...new Set([...ids, ...listed])].map((id) => store.read(id)));
  const readable = read.filter((record) => record?.userId === userId).length;
  const revoked = await store.revokeUser(userId);
  return { listed: listed.length, readable, revoked, left: (await store.listUser(userId)).length };
}

const CUT_CALLS: Record<string, (store: SessionStore, id: string, userId: string) => Promise<unknown>> = {
  create: (store, _, userId) => store.create(newSession({ userId })),
  read: (store, id) => store.read(id),
  "read of an unknown id": (store) => store.read(randomUUID()),
  update: (store, id) => store.update(id, { data: "new" }),
  rebinding: (store, id) => store.update(id, { userId: randomUUID() }),
  "a login": async (store, id) =>
    store.update(id, { userId: randomUUID(), authenticatedAt: await store.now() }),
  unbinding: (store, id) => store.update(id, { userId: null }),
  "two joined updates": (store, id) =>
    Promise.all([store.update(id, { data: "new" }), store.update(randomUUID(), { data: "new" })]),
  revoke: (store, id) => store.revoke(id),
  "revoke of an unknown id": (store) => store.revoke(randomUUID()),
  revokeUser: (store, _, userId) => store.revokeUser(userId),
  listUser: (store, _, userId) => store.listUser(userId),
};

async function onProxy(
  url: string,
  options: MongoClientOptions,
): Promise<{ store: MongoStore; client: MongoClient; live: string }> {
  const { dbName, collectionName } = await newCollection(connect(mongo.url));
  const client = connect(url, { ...options, directConnection: true });
  const store = mongoStore(client.db(dbName).collection(collectionName));
  return { store, client, live: await createSession(store) };
}

async function settle(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
    return "resolved";
  } catch (error) {
    return error;
  }
}
