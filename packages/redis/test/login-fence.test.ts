import { type SessionStore, StoreError } from "@tenure/core";
import { server } from "@tenure/servers";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients, LIBRARIES } from "./clients.ts";
import { type HoldingProxy, holdingProxy } from "./holding-proxy.ts";
import { newId, newSession, warmUp } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

redis.describe.each(LIBRARIES)(
  "if revokeUser begins and resolves between the two scripts of a login, with $name,",
  ({ open }) => {
    let proxy: HoldingProxy;
    let slow: SessionStore;
    let store: SessionStore;
    beforeEach(async () => {
      proxy = await holdingProxy(redis.url);
      slow = redisStore(open(clients, proxy.url), { timeout: 30_000 });
      store = redisStore(clients.redis(redis.url));
      await warmUp(slow);
    });
    afterEach(() => proxy[Symbol.asyncDispose]());

    test("the login is refused, and creates nothing", async () => {
      const session = newSession({ userId: newId() });
      const since = await store.now();
      const login = interrupt(
        () => slow.create({ ...session, authenticatedAt: since }),
        () => store.revokeUser(session.userId!),
      );
      await expect(login).resolves.toBe("fenced");
      await expect(store.read(session.id)).resolves.toBeNull();
      await expect(store.create({ ...session, userId: null })).resolves.toBe("created");
    });

    test("the login is refused, and ends the session that it would have bound", async () => {
      const [session, userId] = [newSession(), newId()];
      await store.create(session);
      const change = { userId, lifetime: 60_000, authenticatedAt: await store.now() };
      const login = interrupt(
        () => slow.update(session.id, change),
        () => store.revokeUser(userId),
      );
      await expect(login).resolves.toBe("fenced");
      await expect(store.read(session.id)).resolves.toBeNull();
      await expect(store.create(session)).resolves.toBe("taken");
    });

    test("the login is refused even for the session in `except`, if that session is also unbound in between", async () => {
      const [session, userId] = [newSession(), newId()];
      await store.create({ ...session, userId });
      const change = { userId, lifetime: 60_000, authenticatedAt: await store.now() };
      const login = interrupt(
        () => slow.update(session.id, change),
        async () => {
          await expect(store.revokeUser(userId, { except: session.id })).resolves.toBe(0);
          await expect(store.update(session.id, { userId: null })).resolves.toBe("updated");
        },
      );
      await expect(login).resolves.toBe("fenced");
      await expect(store.read(session.id)).resolves.toBeNull();
    });

    test("a login without authenticatedAt counts as made after revokeUser, and the next revokeUser ends it", async () => {
      const [created, bound] = [newSession({ userId: newId() }), newSession()];
      const { userId } = created;
      await store.create(bound);
      await expect(
        interrupt(
          () => slow.create(created),
          () => store.revokeUser(userId!),
        ),
      ).resolves.toBe("created");
      await expect(
        interrupt(
          () => slow.update(bound.id, { userId, lifetime: 60_000 }),
          () => store.revokeUser(userId!),
        ),
      ).resolves.toBe("updated");
      await expect(store.listUser(userId!)).resolves.toMatchObject([{ id: bound.id }]);
      await expect(store.revokeUser(userId!)).resolves.toBe(1);
      await expect(store.read(bound.id)).resolves.toBeNull();
    });

    test("the login is not refused because of another user's fence", async () => {
      const [session, userId] = [newSession({ userId: newId() }), newId()];
      const since = await store.now();
      const login = interrupt(
        () => slow.create({ ...session, authenticatedAt: since }),
        () => store.revokeUser(userId),
      );
      await expect(login).resolves.toBe("created");
    });

    /** Makes a call of two scripts, and runs `between` after the first reply, before the second arrives. */
    async function interrupt<Result>(
      call: () => Promise<Result>,
      between: () => Promise<unknown>,
    ): Promise<Result> {
      proxy.holdAfterReply();
      const result = call();
      await expect.poll(() => proxy.holdsAny(), { interval: 2 }).toBe(true);
      await between();
      proxy.release();
      return result;
    }
  },
);

redis.describe("a login whose process is blocked between its two scripts", () => {
  test("rejects and creates nothing if the block lasts longer than both scripts may take", async () => {
    const client = clients.redis(redis.url);
    await client.ping();
    const store = redisStore(client, { timeout: 300 });
    await store.create(newSession({ userId: newId() }));
    const evalsha = client.evalsha.bind(client) as (...args: unknown[]) => Promise<unknown>;
    client.evalsha = async (...args: unknown[]) => {
      client.evalsha = evalsha;
      const reply = await evalsha(...args);
      for (const until = performance.now() + 700; performance.now() < until;);
      return reply;
    };
    const session = newSession({ userId: newId() });
    await expect(store.create(session)).rejects.toThrow("after its deadline");
    await expect(redisStore(client).read(session.id)).resolves.toBeNull();
  });
});

redis.describe("two users' marks on an id that has no session", () => {
  test("last until neither is needed", async () => {
    const client = clients.redis(redis.url);
    const store = redisStore(client);
    const [id, first, second] = [newId(), newId(), newId()];
    const since = await store.now();
    // The state after the first script of each of two logins.
    for (const user of [first, second]) await client.zadd(`tenure:u:${user}`, since * 1000, id);
    await store.revokeUser(first);
    const expires = await client.pexpiretime(`tenure:s:${id}`);
    expect(expires).toBeGreaterThan(since);
    await store.revokeUser(second, { authenticatedUpTo: since - 60_000 });
    await expect(client.pexpiretime(`tenure:s:${id}`)).resolves.toBe(expires);
  });
});

redis.describe("a fence that is ahead of the server's clock, as after a failover", () => {
  test("admits logins without authenticatedAt, and the next revokeUser ends them and waits for the clock", async () => {
    const client = clients.redis(redis.url);
    const store = redisStore(client);
    const [session, before] = [newSession({ userId: newId() }), await store.now()];
    await client.zadd(`tenure:u:${session.userId}`, -(before + 300), ":fence");
    await expect(store.create(session)).resolves.toBe("created");
    await expect(store.read(session.id)).resolves.toMatchObject({ authenticatedAt: before + 301 });
    await expect(store.revokeUser(session.userId!)).resolves.toBe(1);
    expect(await store.now()).toBeGreaterThan(before + 301);
  });

  test("makes revokeUser end the sessions and then reject, if the wait would exceed its timeout", async () => {
    const client = clients.redis(redis.url);
    const store = redisStore(client, { timeout: 1000 });
    const session = newSession({ userId: newId() });
    await client.zadd(`tenure:u:${session.userId}`, -((await store.now()) + 60_000), ":fence");
    await expect(store.create(session)).resolves.toBe("created");
    await expect(store.revokeUser(session.userId!)).rejects.toThrow(StoreError);
    await expect(store.read(session.id)).resolves.toBeNull();
  });
});
