import type { SessionStore } from "@tenure/core";
import { canStart, type FaultyProxy, faultyProxy, server, startRedis } from "@tenure/servers";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients, LIBRARIES } from "./clients.ts";
import { freshId, newSession } from "./sessions.ts";

const redis = await server("redis");
const here = await canStart("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

redis.describe.each(LIBRARIES)("how many commands a call takes on $name", ({ open }) => {
  let proxy: FaultyProxy;
  let store: SessionStore;
  beforeEach(async () => {
    proxy = await faultyProxy(redis.url);
    store = redisStore(open(clients, proxy.url));
    await warmUp(store);
  });
  afterEach(() => proxy[Symbol.asyncDispose]());

  test("a page view takes one, and one more if its touch is due", async () => {
    const { id } = await created();
    expect(await commands(() => store.read(id))).toBe(1);
    expect(await commands(() => store.update(id, {}))).toBe(1);
  });

  test("a new anonymous session takes one, and one of a user two", async () => {
    expect(await commands(() => store.create(newSession()))).toBe(1);
    expect(await commands(() => store.create(newSession({ userId: freshId() })))).toBe(2);
  });

  test("a login in place takes two, and a binding without a lifetime three", async () => {
    const [first, second] = [await created(), await created()];
    const login = { userId: freshId(), lifetime: 1000, authenticatedAt: await store.now() };
    expect(await commands(() => store.update(first.id, login))).toBe(2);
    expect(await commands(() => store.update(second.id, { userId: freshId() }))).toBe(3);
  });

  test("a save takes one, also with the user that it has", async () => {
    const { id, userId } = await created({ userId: freshId() });
    expect(await commands(() => store.update(id, { data: "new", ifVersion: 1 }))).toBe(1);
    expect(await commands(() => store.update(id, { data: "newer", userId }))).toBe(1);
  });

  test("a logout takes one", async () => {
    const { id } = await created({ userId: freshId() });
    expect(await commands(() => store.revoke(id))).toBe(1);
  });

  test("revokeUser of 10 sessions takes two, one after the other, and one in the background", async () => {
    const userId = freshId();
    for (let n = 0; n < 10; n += 1) await created({ userId });
    let count = 0;
    const taken = await commands(async () => {
      count = await store.revokeUser(userId);
      await store.now();
    });
    expect(count).toBe(10);
    expect(taken).toBe(2 + 1 + 1);
  });

  test("listUser of 10 sessions takes two", async () => {
    const userId = freshId();
    for (let n = 0; n < 10; n += 1) await created({ userId });
    expect(await commands(() => store.listUser(userId))).toBe(2);
  });

  test.each([
    { calls: 31, shared: 1 },
    // In two turns: the server works on some calls while this process works on the others.
    { calls: 50, shared: 2 },
  ])(
    "$calls reads of one turn of the event loop are $shared commands, as are touches, saves and logouts; logins twice as many",
    async ({ calls, shared }) => {
      const sessions = Array.from({ length: calls }, () => newSession({ userId: freshId() }));
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

  test("a command has at most 16 kB of data, or one session", async () => {
    const ids = await Promise.all(Array.from({ length: 10 }, async () => (await created()).id));
    const [large, ...small] = ids;
    const changes = [{ data: "x".repeat(40_000) }, ...small.map(() => ({ data: "x".repeat(5000) }))];
    const save = () => Promise.all([large!, ...small].map((id, at) => store.update(id, changes[at]!)));
    expect(await commands(save)).toBe(1 + 3);
  });

  test("calls on one session of one turn keep their order", async () => {
    const { id } = await created();
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

  test("a call of a turn whose key holds something else rejects alone", async () => {
    const client = clients.redis(redis.url);
    const [one, two, other] = [await created(), await created(), freshId()];
    await client.hset(`tenure:s:${other}`, "a", "b");
    const ids = [one.id, other, two.id];
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

  async function created(given: Parameters<typeof newSession>[0] = {}) {
    const session = newSession(given);
    await expect(redisStore(clients.redis(redis.url)).create(session)).resolves.toBe("created");
    return session;
  }

  async function commands(call: () => Promise<unknown>): Promise<number> {
    const before = proxy.commands;
    await call();
    return proxy.commands - before;
  }
});

redis.describe.each(LIBRARIES)("a process that is busy for longer than the timeout, on $name", ({ open }) => {
  test("still takes the replies that came meanwhile", async () => {
    const client = open(clients, redis.url);
    const session = newSession();
    await redisStore(client).create(session);
    const store = redisStore(client, { timeout: 1000 });
    await store.update(session.id, {});
    const calls = [store.read(session.id), store.update(session.id, {}), store.now()];
    // Two turns later they are sent. Then the process stops listening.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    for (const until = performance.now() + 1500; performance.now() < until;);
    await expect(Promise.all(calls)).resolves.toMatchObject([
      { id: session.id },
      "updated",
      expect.any(Number),
    ]);
  });
});

here.describe.each(LIBRARIES)("a server that has forgotten the scripts, on $name", ({ open }) => {
  test("gets them again", async () => {
    // Other tests rely on the scripts of the shared server.
    await using own = await startRedis();
    const admin = clients.redis(own.url);
    const store = redisStore(open(clients, own.url));
    const session = newSession({ userId: freshId() });
    const calls: (() => Promise<unknown>)[] = [
      () => store.create(session),
      () => store.update(session.id, {}),
      () => store.update(session.id, { data: "new" }),
      () => store.update(session.id, { userId: freshId() }),
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

here.describe("a user of 10,000 sessions", () => {
  test("is listed and ended by commands that take the server 2 ms at most", { timeout: 60_000 }, async () => {
    await using own = await startRedis();
    const admin = clients.redis(own.url);
    const store = redisStore(clients.redis(own.url), { timeout: 30_000 });
    const userId = freshId();
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
    // The mean, because a single command may be slow on a busy machine.
    const commands = (await admin.info("commandstats")).matchAll(
      /^cmdstat_(\w+):.*?usec_per_call=([\d.]+)/gm,
    );
    const means = Object.fromEntries([...commands].map(([, name, mean]) => [name, Number(mean)]));
    for (const name of ["evalsha", "mget"]) {
      expect(means[name]).toBeGreaterThan(0);
      expect(means[name]).toBeLessThan(2000);
    }
  });
});

/**
 * Runs every command once: the first script of a store learns the server's clock, and INFO follows the first
 * reply.
 */
async function warmUp(store: SessionStore): Promise<void> {
  const { id, userId } = newSession({ userId: freshId() });
  await store.create(newSession({ id, userId }));
  await store.update(id, {});
  await store.update(id, { data: "new" });
  await store.read(id);
  await store.listUser(userId!);
  await store.revokeUser(userId!);
  await store.revoke(id);
  // Wait for revokeUser's background command, which is sent again if the server does not have its script.
  for (let turn = 0; turn < 3; turn += 1) await store.now();
}
