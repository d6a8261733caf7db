import { type SessionStore, StoreError } from "@tenure/core";
import { server } from "@tenure/servers";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients, LIBRARIES } from "./clients.ts";
import { type HeldBack, heldBack } from "./held-back.ts";
import { freshId, newSession } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

redis.describe.each(LIBRARIES)(
  "a login on $name between whose two scripts revokeUser begins and resolves",
  ({ open }) => {
    let way: HeldBack;
    let slow: SessionStore;
    let store: SessionStore;
    beforeEach(async () => {
      way = await heldBack(redis.url);
      slow = redisStore(open(clients, way.url), { timeout: 30_000 });
      store = redisStore(clients.redis(redis.url));
      // Load the scripts, and learn the server's clock.
      const { id, userId } = newSession({ userId: freshId() });
      await slow.create(newSession({ id, userId }));
      await slow.update(id, { data: "known" });
    });
    afterEach(() => way[Symbol.asyncDispose]());

    test("is refused, and creates nothing", async () => {
      const session = newSession({ userId: freshId() });
      const since = await store.now();
      const login = between(
        () => slow.create({ ...session, authenticatedAt: since }),
        () => store.revokeUser(session.userId!),
      );
      await expect(login).resolves.toBe("fenced");
      await expect(store.read(session.id)).resolves.toBeNull();
      await expect(store.create({ ...session, userId: null })).resolves.toBe("created");
    });

    test("is refused, and ends the session that it would have bound", async () => {
      const [session, userId] = [newSession(), freshId()];
      await store.create(session);
      const change = { userId, lifetime: 60_000, authenticatedAt: await store.now() };
      const login = between(
        () => slow.update(session.id, change),
        () => store.revokeUser(userId),
      );
      await expect(login).resolves.toBe("fenced");
      await expect(store.read(session.id)).resolves.toBeNull();
      await expect(store.create(session)).resolves.toBe("taken");
    });

    test("is refused also for the session that was excepted, if that is unbound meanwhile", async () => {
      const [session, userId] = [newSession(), freshId()];
      await store.create({ ...session, userId });
      const change = { userId, lifetime: 60_000, authenticatedAt: await store.now() };
      const login = between(
        () => slow.update(session.id, change),
        async () => {
          await expect(store.revokeUser(userId, { except: session.id })).resolves.toBe(0);
          await expect(store.update(session.id, { userId: null })).resolves.toBe("updated");
        },
      );
      await expect(login).resolves.toBe("fenced");
      await expect(store.read(session.id)).resolves.toBeNull();
    });

    test("counts as made after it if it gives no instant, and the next revokeUser ends it", async () => {
      const [created, bound] = [newSession({ userId: freshId() }), newSession()];
      const { userId } = created;
      await store.create(bound);
      await expect(
        between(
          () => slow.create(created),
          () => store.revokeUser(userId!),
        ),
      ).resolves.toBe("created");
      await expect(
        between(
          () => slow.update(bound.id, { userId, lifetime: 60_000 }),
          () => store.revokeUser(userId!),
        ),
      ).resolves.toBe("updated");
      await expect(store.listUser(userId!)).resolves.toMatchObject([{ id: bound.id }]);
      await expect(store.revokeUser(userId!)).resolves.toBe(1);
      await expect(store.read(bound.id)).resolves.toBeNull();
    });

    test("is not refused for another user's fence", async () => {
      const [session, userId] = [newSession({ userId: freshId() }), freshId()];
      const since = await store.now();
      const login = between(
        () => slow.create({ ...session, authenticatedAt: since }),
        () => store.revokeUser(userId),
      );
      await expect(login).resolves.toBe("created");
    });

    test("is refused if the process stops between its scripts for longer than both may take", async () => {
      const client = clients.redis(redis.url);
      const stopping = redisStore(client, { timeout: 300 });
      await stopping.create(newSession({ userId: freshId() }));
      const evalsha = client.evalsha.bind(client) as (...args: unknown[]) => Promise<unknown>;
      client.evalsha = async (...args: unknown[]) => {
        client.evalsha = evalsha;
        const reply = await evalsha(...args);
        for (const until = performance.now() + 700; performance.now() < until;);
        return reply;
      };
      const session = newSession({ userId: freshId() });
      await expect(stopping.create(session)).rejects.toThrow("after its deadline");
      await expect(store.read(session.id)).resolves.toBeNull();
    });

    /**
     * Makes a call of two scripts, and runs `meanwhile` after the first reply, before the second command
     * arrives.
     */
    async function between<Result>(
      call: () => Promise<Result>,
      meanwhile: () => Promise<unknown>,
    ): Promise<Result> {
      way.holdAfterReply();
      const result = call();
      await expect.poll(() => way.isHolding(), { interval: 2 }).toBe(true);
      await meanwhile();
      way.release();
      return result;
    }
  },
);

redis.describe("the marks of two users on an id that has no session", () => {
  test("last as long as the one that is needed longest", async () => {
    const client = clients.redis(redis.url);
    const store = redisStore(client);
    const [id, first, second] = [freshId(), freshId(), freshId()];
    const since = await store.now();
    // The state after the first scripts of two logins.
    for (const user of [first, second]) await client.zadd(`tenure:u:${user}`, since * 1000, id);
    await store.revokeUser(first);
    const needed = await client.pexpiretime(`tenure:s:${id}`);
    await store.revokeUser(second, { authenticatedUpTo: since - 60_000 });
    await expect(client.pexpiretime(`tenure:s:${id}`)).resolves.toBe(needed);
  });
});

redis.describe("a fence that is ahead of the server's clock, as after a failover", () => {
  test("lets logins without an instant through, and the next revokeUser ends them and waits for the clock", async () => {
    const client = clients.redis(redis.url);
    const store = redisStore(client);
    const [session, before] = [newSession({ userId: freshId() }), await store.now()];
    await client.zadd(`tenure:u:${session.userId}`, -(before + 300), ":fence");
    await expect(store.create(session)).resolves.toBe("created");
    await expect(store.read(session.id)).resolves.toMatchObject({ authenticatedAt: before + 301 });
    await expect(store.revokeUser(session.userId!)).resolves.toBe(1);
    expect(await store.now()).toBeGreaterThan(before + 301);
  });

  test("makes revokeUser reject instead of waiting for longer than its timeout, once it has ended the sessions", async () => {
    const client = clients.redis(redis.url);
    const store = redisStore(client, { timeout: 1000 });
    const session = newSession({ userId: freshId() });
    await client.zadd(`tenure:u:${session.userId}`, -((await store.now()) + 60_000), ":fence");
    await expect(store.create(session)).resolves.toBe("created");
    await expect(store.revokeUser(session.userId!)).rejects.toThrow(StoreError);
    await expect(store.read(session.id)).resolves.toBeNull();
  });
});
