import { canStart, faultyProxy, server, startRedis } from "@tenure/servers";
import { Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { afterAll, expect, test, vi } from "vitest";
import { redisStore } from "../src/index.ts";
import { Clients } from "./clients.ts";
import { freshId, newSession } from "./sessions.ts";

const redis = await server("redis");
const here = await canStart("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

redis.describe("how commands leave", () => {
  test.each([
    ["ioredis 6", () => new Redis(redis.url)],
    ["ioredis 5", () => new Redis5(redis.url)],
    ["ioredis 6, auto-pipelining", () => new Redis(redis.url, { enableAutoPipelining: true })],
  ])("all calls of one tick leave in one socket write: %s", async (_, open) => {
    const client = clients.add(open());
    const store = redisStore(client);
    const ids = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const session = newSession();
        await store.create(session);
        return session.id;
      }),
    );
    await store.update(ids[0]!, {});
    await store.update(ids[0]!, { data: "new" });
    const writes = countWrites(client.stream);
    await Promise.all([
      ...ids.map((id) => store.read(id)),
      ...ids.map((id) => store.update(id, {})),
      ...ids.map((id) => store.update(id, { data: "newer" })),
      store.now(),
    ]);
    expect(writes()).toBe(1);
  });

  test("a read is one command, and so are a touch and a save", async () => {
    await using proxy = await faultyProxy(redis.url);
    const store = redisStore(clients.redis(proxy.url));
    const session = newSession({ userId: freshId() });
    await store.create(session);
    const before = proxy.commands;
    for (let n = 0; n < 10; n += 1) await store.read(session.id);
    expect(proxy.commands - before).toBe(10);
    await store.update(session.id, {});
    await store.update(session.id, { data: "new", ifVersion: 1 });
    expect(proxy.commands - before).toBe(12);
  });

  test("a process that was busy for longer than the timeout still takes the answers that came meanwhile", async () => {
    const client = clients.redis(redis.url);
    const session = newSession();
    await redisStore(client).create(session);
    const store = redisStore(client, { timeout: 1000 });
    const reading = [store.read(session.id), store.update(session.id, {}), store.now()];
    // They are on their way before the process stops to listen.
    await new Promise((resolve) => setImmediate(resolve));
    for (const until = performance.now() + 1500; performance.now() < until;);
    await expect(Promise.all(reading)).resolves.toMatchObject([
      { id: session.id },
      "updated",
      expect.any(Number),
    ]);
  });
});

here.describe("a server without our scripts", () => {
  test("is told them again", async () => {
    // Of one's own: others count on their scripts being there.
    await using own = await startRedis();
    const client = clients.redis(own.url);
    const store = redisStore(client);
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
      await client.script("FLUSH");
      await expect(call()).resolves.toBeDefined();
    }
    await expect(store.read(session.id)).resolves.toBeNull();
  });
});

/** How often the socket hands bytes to the operating system. */
function countWrites(stream: Redis["stream"]): () => number {
  const one = vi.spyOn(stream, "_write");
  const many = vi.spyOn(stream, "_writev" as "_write");
  return () => one.mock.calls.length + many.mock.calls.length;
}
