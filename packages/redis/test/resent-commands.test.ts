import { StoreError } from "@tenure/core";
import { faultyProxy, type FaultyProxy, server } from "@tenure/servers";
import { Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { createClient } from "redis";
import { afterAll, afterEach, beforeEach, expect, type Mock, test, vi } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients } from "./clients.ts";
import { newId, newSession, warmUp } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

/** The client reconnects after 300 ms and resends the command, so that other commands can run first. */
const RECONNECT = { retryStrategy: () => 300 };

redis.describe.each([
  ["ioredis 6", (url: string) => new Redis(url, RECONNECT)],
  ["ioredis 5", (url: string) => new Redis5(url, RECONNECT)],
  ["auto-pipelining", (url: string) => new Redis(url, { ...RECONNECT, enableAutoPipelining: true })],
])("after a lost reply, with %s,", (_, open) => {
  let proxy: FaultyProxy;
  let store: ReturnType<typeof redisStore>;
  let other: ReturnType<typeof redisStore>;

  beforeEach(async () => {
    proxy = await faultyProxy(redis.url);
    store = redisStore(clients.add(open(proxy.url)), { timeout: 30_000 });
    other = redisStore(clients.redis(redis.url));
    await warmUp(store);
    await other.now();
  });
  afterEach(() => proxy[Symbol.asyncDispose]());

  test('create returns "created"', async () => {
    const session = newSession();
    await expect(loseReply(() => store.create(session))).resolves.toBe("created");
    await expect(other.read(session.id)).resolves.toMatchObject({
      id: session.id,
      data: session.data,
      version: 1,
    });
  });

  test('create returns "created" even if the session was revoked in between, and the session stays revoked', async () => {
    const session = newSession();
    const created = loseReply(
      () => store.create(session),
      () => other.revoke(session.id),
    );
    await expect(created).resolves.toBe("created");
    await expect(other.read(session.id)).resolves.toBeNull();
  });

  test('create of an id that another call has created returns "taken"', async () => {
    const session = newSession({ data: "first" });
    await other.create(session);
    await expect(loseReply(() => store.create({ ...session, data: "second" }))).resolves.toBe("taken");
    await expect(other.read(session.id)).resolves.toMatchObject({ data: "first" });
  });

  test('update is applied once and returns "updated"', async () => {
    const session = newSession();
    await other.create(session);
    await expect(loseReply(() => store.update(session.id, { data: "new" }))).resolves.toBe("updated");
    await expect(other.read(session.id)).resolves.toMatchObject({ data: "new", version: 2 });
  });

  test("update with ifVersion does not conflict with its own first execution", async () => {
    const session = newSession();
    await other.create(session);
    const updated = loseReply(() => store.update(session.id, { data: "new", ifVersion: 1 }));
    await expect(updated).resolves.toBe("updated");
    await expect(other.read(session.id)).resolves.toMatchObject({ data: "new", version: 2 });
  });

  test("update does not overwrite later updates", async () => {
    const session = newSession();
    await other.create(session);
    const updated = loseReply(
      () => store.update(session.id, { data: "mine" }),
      async () => {
        for (let n = 1; n <= 40; n += 1) await other.update(session.id, { data: `theirs ${n}` });
      },
    );
    await expect(updated).resolves.toBe("updated");
    await expect(other.read(session.id)).resolves.toMatchObject({ data: "theirs 40", version: 42 });
  });

  test('update returns "updated" even if the session was revoked in between, and the session stays revoked', async () => {
    const session = newSession();
    await other.create(session);
    const updated = loseReply(
      () => store.update(session.id, { data: "new" }),
      () => other.revoke(session.id),
    );
    await expect(updated).resolves.toBe("updated");
    await expect(other.read(session.id)).resolves.toBeNull();
  });

  test("update of the idle timeout does not overwrite a later update of it", async () => {
    const session = newSession();
    await other.create(session);
    const updated = loseReply(
      () => store.update(session.id, { idle: 60_000 }),
      () => other.update(session.id, { idle: 120_000 }),
    );
    await expect(updated).resolves.toBe("updated");
    await expect(other.read(session.id)).resolves.toMatchObject({ idle: 120_000, version: 1 });
  });

  test('touch returns "gone" if the session was revoked in between, and does not revive it', async () => {
    const session = newSession();
    await other.create(session);
    const touched = loseReply(
      () => store.update(session.id, {}),
      () => other.revoke(session.id),
    );
    await expect(touched).resolves.toBe("gone");
    await expect(other.read(session.id)).resolves.toBeNull();
  });

  test("revoke returns true, and a revoke by another client in between returns false", async () => {
    const session = newSession();
    await other.create(session);
    let second: boolean | undefined;
    const revoked = loseReply(
      () => store.revoke(session.id),
      async () => (second = await other.revoke(session.id)),
    );
    await expect(revoked).resolves.toBe(true);
    expect(second).toBe(false);
  });

  test("revoke of an unknown id returns false", async () => {
    await expect(loseReply(() => store.revoke(newId()))).resolves.toBe(false);
  });

  test("revokeUser counts each session once, whichever reply is lost", async () => {
    let struck = true;
    for (let nth = 1; struck; nth += 1) {
      const userId = newId();
      for (let n = 0; n < 5; n += 1) await other.create(newSession({ userId }));
      const plan = proxy.plan({ on: "reply", nth });
      await expect(store.revokeUser(userId)).resolves.toBe(5);
      await expect(other.listUser(userId)).resolves.toEqual([]);
      struck = plan.struck;
      plan.cancel();
      if (!struck) expect(nth).toBeGreaterThan(2);
    }
  });

  /** Makes a call, loses its script's reply, and runs `between` before the client reconnects. */
  async function loseReply<Result>(
    call: () => Promise<Result>,
    between?: () => Promise<unknown>,
  ): Promise<Result> {
    const plan = proxy.plan({ on: "reply", which: (command) => command.includes("evalsha") });
    const result = call();
    await expect.poll(() => plan.struck, { interval: 2, timeout: 20_000 }).toBe(true);
    await between?.();
    return result;
  }
});

redis.describe("after a lost reply, with node-redis,", () => {
  test("a call rejects, because the client does not resend the command, and its change is applied once", async () => {
    await using proxy = await faultyProxy(redis.url);
    const store = redisStore(clients.connecting(createClient({ url: proxy.url })));
    const other = redisStore(clients.redis(redis.url));
    await store.create(newSession({ userId: newId() }));
    const losing = async (call: () => Promise<unknown>): Promise<void> => {
      const plan = proxy.plan({ on: "reply", which: (command) => command.includes("EVALSHA") });
      await expect(call()).rejects.toThrow(StoreError);
      expect(plan.struck).toBe(true);
      await expect.poll(() => store.now().catch(String)).toEqual(expect.any(Number));
    };
    const session = newSession();
    await losing(() => store.create(session));
    await expect(other.read(session.id)).resolves.toMatchObject({ id: session.id, version: 1 });
    await losing(() => store.update(session.id, { data: "new", ifVersion: 1 }));
    await expect(other.read(session.id)).resolves.toMatchObject({ data: "new", version: 2 });
    await losing(() => store.update(session.id, { idle: 60_000 }));
    await expect(other.read(session.id)).resolves.toMatchObject({ idle: 60_000, version: 2 });
    await losing(() => store.revoke(session.id));
    await expect(other.read(session.id)).resolves.toBeNull();
    await expect(store.revoke(session.id)).resolves.toBe(false);
  });
});

redis.describe("a command that is resent after a lost reply", () => {
  let client: Redis;
  let store: ReturnType<typeof redisStore>;

  beforeEach(async () => {
    client = clients.redis(redis.url);
    store = redisStore(client, { timeout: 30_000 });
    await warmUp(store);
  });

  test("is applied once and returns its first result, even after its deadline, as on a new primary whose clock is ahead", async () => {
    const session = newSession();
    losePastDeadline();
    await expect(store.create(session)).resolves.toBe("created");
    losePastDeadline();
    await expect(store.update(session.id, { data: "new" })).resolves.toBe("updated");
    losePastDeadline();
    await expect(store.update(session.id, { data: "newer", ifVersion: 2 })).resolves.toBe("updated");
    await expect(store.read(session.id)).resolves.toMatchObject({ data: "newer", version: 3 });
    losePastDeadline();
    await expect(store.revoke(session.id)).resolves.toBe(true);
  });

  test("is applied once even if it is resent for each key separately, because a slot moves", async () => {
    const sessions = [newSession(), newSession()];
    await Promise.all(sessions.map((session) => store.create(session)));
    resend(() => Promise.reject(new Error("TRYAGAIN Multiple keys request during rehashing of slot")));
    const updates = sessions.map(({ id }) => store.update(id, { data: "new", ifVersion: 1 }));
    await expect(Promise.all(updates)).resolves.toEqual(["updated", "updated"]);
    const records = await Promise.all(sessions.map(({ id }) => store.read(id)));
    expect(records).toMatchObject([{ version: 2 }, { version: 2 }]);
  });

  function losePastDeadline(): void {
    resend((sha, count, ...rest) => {
      // The deadline follows the keys. Every clock is past 0.
      return client.evalsha(sha, count, ...rest.with(Number(count), "0"));
    });
  }

  /** Runs the next script, discards its reply, and then calls `again` in place of the resent command. */
  function resend(again: Evalsha): void {
    const spy = vi.spyOn(client, "evalsha") as unknown as Mock<Evalsha>;
    spy.mockImplementationOnce(async (...args) => {
      await client.evalsha(...args);
      return again(...args);
    });
  }
});

type Evalsha = (sha: string, count: string, ...keysAndArgs: string[]) => Promise<unknown>;
