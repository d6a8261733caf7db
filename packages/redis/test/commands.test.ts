import type { SessionStore } from "@tenure/core";
import { canStart, type FaultyProxy, faultyProxy, server, startRedis } from "@tenure/servers";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients, LIBRARIES } from "./clients.ts";
import { createSession, newId, newSession, warmUp } from "./sessions.ts";

const redis = await server("redis");
const here = await canStart("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

redis.describe.each(LIBRARIES)("with $name", ({ open }) => {
  let proxy: FaultyProxy;
  let store: SessionStore;
  // Creates the sessions of the tests, because its background commands must not be counted.
  const direct = redisStore(clients.redis(redis.url));
  beforeEach(async () => {
    proxy = await faultyProxy(redis.url);
    store = redisStore(open(clients, proxy.url));
    await warmUp(store);
  });
  afterEach(() => proxy[Symbol.asyncDispose]());

  test("a page view sends one command, and one more if its touch is due", async () => {
    const id = await createSession(direct);
    expect(await commands(() => store.read(id))).toBe(1);
    expect(await commands(() => store.update(id, {}))).toBe(1);
  });

  test("creating an anonymous session sends one command, and creating a user's session sends two", async () => {
    expect(await commands(() => store.create(newSession()))).toBe(1);
    expect(await commands(() => store.create(newSession({ userId: newId() })))).toBe(2);
  });

  test("a login in place sends two commands, and a binding without a lifetime sends three", async () => {
    const [first, second] = [await createSession(direct), await createSession(direct)];
    const login = { userId: newId(), lifetime: 1000, authenticatedAt: await store.now() };
    expect(await commands(() => store.update(first, login))).toBe(2);
    expect(await commands(() => store.update(second, { userId: newId() }))).toBe(3);
  });

  test("a save sends one command, even if it repeats the session's user", async () => {
    const userId = newId();
    const id = await createSession(direct, { userId });
    expect(await commands(() => store.update(id, { data: "new", ifVersion: 1 }))).toBe(1);
    expect(await commands(() => store.update(id, { data: "newer", userId }))).toBe(1);
  });

  test("a logout sends one command", async () => {
    const id = await createSession(direct, { userId: newId() });
    expect(await commands(() => store.revoke(id))).toBe(1);
  });

  test("revokeUser of 10 sessions sends two commands, and one in the background", async () => {
    const userId = newId();
    for (let n = 0; n < 10; n += 1) await createSession(direct, { userId });
    let count = 0;
    const sent = await commands(async () => {
      count = await store.revokeUser(userId);
      await store.now();
    });
    expect(count).toBe(10);
    // The last one is for now().
    expect(sent).toBe(2 + 1 + 1);
  });

  test("listUser of 10 sessions sends two commands", async () => {
    const userId = newId();
    for (let n = 0; n < 10; n += 1) await createSession(direct, { userId });
    expect(await commands(() => store.listUser(userId))).toBe(2);
  });

  test.each([
    { calls: 31, shared: 1 },
    // Two turns of the event loop: the server works on some calls while this process works on the others.
    { calls: 50, shared: 2 },
  ])(
    "$calls reads of one turn of the event loop share $shared command(s), as do touches, saves and logouts, and logins share twice as many",
    async ({ calls, shared }) => {
      const sessions = Array.from({ length: calls }, () => newSession({ userId: newId() }));
      const ids = sessions.map(({ id }) => id);
      const counts = {
        logins: await commands(() => Promise.all(sessions.map((session) => store.create(session)))),
        reads: await commands(() => Promise.all(ids.map((id) => store.read(id)))),
        touches: await commands(() => Promise.all(ids.map((id) => store.update(id, {})))),
        saves: await commands(() => Promise.all(ids.map((id) => store.update(id, { data: "new" })))),
        logouts: await commands(() => Promise.all(ids.map((id) => store.revoke(id)))),
      };
      expect(counts).toEqual({
        logins: 2 * shared,
        reads: shared,
        touches: shared,
        saves: shared,
        logouts: shared,
      });
    },
  );

  test("a command carries at most 16 kB of data, or one session", async () => {
    const ids = await Promise.all(Array.from({ length: 10 }, () => createSession(direct)));
    const [large, ...small] = ids;
    const changes = [{ data: "x".repeat(40_000) }, ...small.map(() => ({ data: "x".repeat(5000) }))];
    const save = () => Promise.all([large!, ...small].map((id, at) => store.update(id, changes[at]!)));
    expect(await commands(save)).toBe(1 + 3);
  });

  test("calls on one session in one turn of the event loop are executed in order", async () => {
    const id = await createSession(direct);
    const results = await Promise.all([
      store.read(id),
      store.update(id, {}),
      store.update(id, { data: "new" }),
      store.read(id),
      store.update(id, { ifVersion: 1 }),
      store.revoke(id),
      store.update(id, {}),
      store.read(id),
    ]);
    expect(results).toEqual([
      expect.objectContaining({ version: 1 }),
      "updated",
      "updated",
      expect.objectContaining({ data: "new", version: 2 }),
      "conflict",
      true,
      "gone",
      null,
    ]);
  });

  test("a call whose key holds a value that the store did not write rejects, and the calls of the same turn succeed", async () => {
    const client = clients.redis(redis.url);
    const [one, two, other] = [await createSession(direct), await createSession(direct), newId()];
    await client.hset(`tenure:s:${other}`, "a", "b");
    const ids = [one, other, two];
    const results: PromiseSettledResult<unknown>[] = await Promise.allSettled(
      ids.map((id) => store.update(id, {})),
    );
    await client.set(`tenure:s:${other}`, '{"a":"cookie"}');
    results.push(...(await Promise.allSettled(ids.map((id) => store.read(id)))));
    expect(results.map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    await client.del(`tenure:s:${other}`);
  });

  async function commands(call: () => Promise<unknown>): Promise<number> {
    const before = proxy.commands;
    await call();
    return proxy.commands - before;
  }
});

redis.describe.each(LIBRARIES)(
  "with $name, in a process that is busy for longer than the timeout",
  ({ open }) => {
    test("calls resolve with the replies that arrived while it was busy", async () => {
      const client = open(clients, redis.url);
      const session = newSession();
      await redisStore(client).create(session);
      const store = redisStore(client, { timeout: 1000 });
      await store.update(session.id, {});
      const calls = [store.read(session.id), store.update(session.id, {}), store.now()];
      // They are sent two turns later. Then the event loop is blocked.
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      for (const until = performance.now() + 1500; performance.now() < until;);
      await expect(Promise.all(calls)).resolves.toMatchObject([
        { id: session.id },
        "updated",
        expect.any(Number),
      ]);
    });
  },
);

here.describe.each(LIBRARIES)("with $name, on a server that has lost its scripts", ({ open }) => {
  test("every call sends its scripts again and succeeds", async () => {
    // Other tests rely on the scripts of the shared server.
    await using own = await startRedis();
    const admin = clients.redis(own.url);
    const store = redisStore(open(clients, own.url));
    const session = newSession({ userId: newId() });
    const calls: (() => Promise<unknown>)[] = [
      () => store.create(session),
      () => store.update(session.id, {}),
      () => store.update(session.id, { data: "new" }),
      () => store.update(session.id, { userId: newId() }),
      () => store.listUser(session.userId!),
      () => store.revoke(session.id),
      () => store.revokeUser(session.userId!),
    ];
    for (const call of calls) {
      await admin.script("FLUSH");
      await expect(call()).resolves.toBeDefined();
    }
    await expect(store.read(session.id)).resolves.toBeNull();
  });
});

here.describe("a user with 10,000 sessions", () => {
  test("is listed and logged out by commands half of which take the server less than 2 ms", async () => {
    await using own = await startRedis();
    const admin = clients.redis(own.url);
    const store = redisStore(clients.redis(own.url), { timeout: 30_000 });
    const userId = newId();
    for (let n = 0; n < 10; n += 1) {
      await Promise.all(Array.from({ length: 1000 }, () => store.create(newSession({ userId }))));
    }
    await admin.config("RESETSTAT");
    const listed = await store.listUser(userId);
    expect(listed).toHaveLength(10_000);
    await Promise.all(listed.map(({ id }) => store.update(id, {})));
    await expect(store.revokeUser(userId, { except: listed[5000]!.id })).resolves.toBe(9_999);
    await expect(store.listUser(userId)).resolves.toMatchObject([{ id: listed[5000]!.id }]);
    await expect(store.revokeUser(userId)).resolves.toBe(1);
    // The median, because commands that wait for a processor on a busy machine take longer.
    const percentiles = (await admin.info("latencystats")).matchAll(/^latency_\w+_usec_(\w+):p50=([\d.]+)/gm);
    const medians = Object.fromEntries([...percentiles].map(([, name, median]) => [name, Number(median)]));
    for (const name of ["evalsha", "mget"]) {
      expect(medians[name]).toBeGreaterThan(0);
      expect(medians[name]).toBeLessThan(2000);
    }
  });
});
