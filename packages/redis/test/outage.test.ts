import { inspect } from "node:util";
import { type SessionStore, StoreError } from "@tenure/core";
import { canStart, faultyProxy, type OwnServer, startRedis } from "@tenure/servers";
import { Redis, type RedisOptions } from "ioredis";
import { createClient } from "redis";
import { afterAll, expect, test } from "vitest";
import { type RedisClient, redisStore, type RedisStoreOptions } from "../src/index.ts";
import { Clients, LIBRARIES } from "./clients.ts";
import { newId, newSession } from "./sessions.ts";

const here = await canStart("redis");
const clients = new Clients();
const servers = new Map<string, Promise<OwnServer>>();
afterAll(async () => {
  clients[Symbol.dispose]();
  for (const own of servers.values()) await (await own)[Symbol.asyncDispose]();
});

/** Returns the server with these arguments, which tests share. A test that changes its state restores it. */
function shared(...args: string[]): Promise<OwnServer> {
  const name = args.join(" ");
  let own = servers.get(name);
  if (own === undefined) servers.set(name, (own = startRedis({ args })));
  return own;
}

/** Every call of the contract, each on its own ids. */
const CALLS: Record<string, (store: SessionStore) => Promise<unknown>> = {
  create: (store) => store.create(newSession({ userId: newId() })),
  read: (store) => store.read(newId()),
  update: (store) => store.update(newId(), { data: "new" }),
  touch: (store) => store.update(newId(), {}),
  revoke: (store) => store.revoke(newId()),
  revokeUser: (store) => store.revokeUser(newId()),
  listUser: (store) => store.listUser(newId()),
  scan: async (store) => {
    for await (const record of store.scan()) return record;
    return null;
  },
  now: (store) => store.now(),
};

const LIMIT = 1000;
const ONE_REPLICA = { count: 1, timeout: 100 };

here.describe("every call rejects with a StoreError in time, and succeeds once the server is back,", () => {
  test.each(LIBRARIES)("while the server is down: $name", async ({ open }) => {
    await using own = await startRedis();
    const client = open(clients, own.url);
    const store = redisStore(client, { timeout: LIMIT });
    await store.now();
    await own.kill();
    expect(await unexpected(store)).toEqual([]);
    await own.start();
    await expectRecovery(client, store);
  });

  test("while the server is down and ioredis queues commands without a limit", async () => {
    await using own = await startRedis();
    const client = connect(own.url, { maxRetriesPerRequest: null });
    const store = redisStore(client, { timeout: LIMIT });
    await store.now();
    await own.stop();
    expect(await unexpected(store)).toEqual([]);
    await own.start();
    await expectRecovery(client, store);
  });

  test("if the server is down when a client of node-redis is created", async () => {
    await using own = await startRedis();
    await own.stop();
    const socket = { reconnectStrategy: () => 50 };
    const client = clients.connecting(createClient({ url: own.url, socket }));
    const store = redisStore(client, { timeout: LIMIT });
    expect(await unexpected(store)).toEqual([]);
    await own.start();
    await expectRecovery(client, store);
  });

  test("while the server is down and node-redis has no offline queue", async () => {
    await using own = await startRedis();
    const socket = { reconnectStrategy: () => 50 };
    const client = clients.connecting(createClient({ url: own.url, socket, disableOfflineQueue: true }));
    const store = redisStore(client, { timeout: LIMIT });
    await expect.poll(() => store.now().catch(String)).toEqual(expect.any(Number));
    await own.stop();
    expect(await unexpected(store)).toEqual([]);
    await own.start();
    await expect.poll(() => store.now().catch(String)).toEqual(expect.any(Number));
    await expectRecovery(client, store);
  });

  test("if the server is down at the first use of a client of ioredis with lazyConnect", async () => {
    await using own = await startRedis();
    await own.stop();
    const client = connect(own.url, { lazyConnect: true });
    const store = redisStore(client, { timeout: LIMIT });
    expect(await unexpected(store)).toEqual([]);
    await own.start();
    await expectRecovery(client, store);
  });

  test.each(LIBRARIES)(
    "while the server is paused and its connections stay open: $name",
    async ({ open }) => {
      const own = await shared();
      const client = open(clients, own.url);
      const store = redisStore(client, { timeout: LIMIT });
      await store.now();
      await own.pause();
      expect(await unexpected(store)).toEqual([]);
      await own.resume();
      await expectRecovery(client, store);
    },
  );

  test("while the server is slower than ioredis' commandTimeout", async () => {
    const own = await shared();
    await using proxy = await faultyProxy(own.url);
    const client = connect(proxy.url, { commandTimeout: 1000 });
    const store = redisStore(client);
    await store.now();
    proxy.delayReplies(3000);
    expect(await unexpected(store, 1000)).toEqual([]);
    proxy.delayReplies(0);
    // The delayed replies arrive before this one.
    await expect.poll(() => client.ping().catch(String)).toBe("PONG");
    await expectRecovery(client, store);
  });

  test("while the server loads its data", async () => {
    // Loading 6000 keys takes about 6 s.
    const slow = ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"];
    await using own = await startRedis({ args: ["--save", "3600 1", ...slow] });
    const admin = connect(own.url);
    const filling = admin.pipeline();
    for (let n = 0; n < 6000; n += 1) filling.set(`key ${n}`, "x".repeat(100));
    await filling.exec();
    await admin.save();
    const session = newSession();
    await redisStore(admin).create(session);
    await own.stop();
    const started = own.start();
    // Without the ready check, ioredis sends commands while the server loads. With it, ioredis queues them.
    const [sending, queueing] = [connect(own.url, { enableReadyCheck: false }), connect(own.url)];
    const eager = redisStore(sending, { timeout: LIMIT });
    const patient = redisStore(queueing, { timeout: LIMIT });
    await expect.poll(() => eager.read(session.id).catch(String), { interval: 20 }).toContain("LOADING");
    // A server replies to TIME even while it loads.
    const { now: _, ...calls } = CALLS;
    expect(await Promise.all([unexpected(eager, LIMIT, calls), unexpected(patient)])).toEqual([[], []]);
    await started;
    await expectRecovery(sending, eager);
    await expectRecovery(queueing, patient);
    await expect(eager.read(session.id)).resolves.toMatchObject({ id: session.id });
  });
});

here.describe("every call rejects with a StoreError in time", () => {
  test.each(LIBRARIES)("after the application has closed the client: $name", async ({ open }) => {
    const own = await shared();
    const closed = new Clients();
    const store = redisStore(open(closed, own.url), { timeout: LIMIT });
    await store.now();
    closed[Symbol.dispose]();
    expect(await unexpected(store)).toEqual([]);
  });

  test.each(LIBRARIES)(
    "if the server requires a password and the client has none: $name",
    async ({ open }) => {
      const own = await shared("--requirepass", "right");
      expect(await unexpected(redisStore(open(clients, own.url), { timeout: LIMIT }))).toEqual([]);
    },
  );

  test("if the client has a wrong password", async () => {
    const own = await shared("--requirepass", "right");
    const store = redisStore(connect(own.url, { password: "wrong" }), { timeout: LIMIT });
    expect(await unexpected(store)).toEqual([]);
  });

  test("without waiting for the calls that shared its command, if a server stops replying while a slot moves", async () => {
    const own = await shared();
    const client = clients.redis(own.url);
    // While a slot moves, a server of a Cluster refuses commands with several keys of that slot.
    client.mget = ((...keys: string[]) =>
      keys.length > 1
        ? Promise.reject(new Error("TRYAGAIN Multiple keys request during rehashing of slot"))
        : new Promise(() => undefined)) as typeof client.mget;
    const store = redisStore(client, { timeout: 300 });
    const began = performance.now();
    const reads = Array.from({ length: 10 }, () => store.read(newId()));
    for (const read of reads) await expect(read).rejects.toThrow(StoreError);
    expect(performance.now() - began).toBeLessThan(1500);
  });
});

here.describe.each(LIBRARIES)("with $name,", ({ open }) => {
  test("when the server is out of memory, creates and saves reject, and sessions can still be read, touched and ended", async () => {
    const own = await shared();
    const [admin, client] = [connect(own.url), open(clients, own.url)];
    const store = redisStore(client);
    const userId = newId();
    const [read, touched, revoked, other] = Array.from({ length: 4 }, () => newSession({ userId }));
    for (const session of [read, touched, revoked, other]) await store.create(session!);
    await admin.config("SET", "maxmemory", "1");

    await expect(CALLS["create"]!(store)).rejects.toThrow(StoreError);
    await expect(store.update(read!.id, { data: "new" })).rejects.toThrow(StoreError);
    await expect(store.read(read!.id)).resolves.toMatchObject({ data: read!.data });
    await expect(store.update(touched!.id, {})).resolves.toBe("updated");
    await expect(store.revoke(revoked!.id)).resolves.toBe(true);
    await expect(store.revoke(newId())).resolves.toBe(false);
    await expect(store.revokeUser(userId)).resolves.toBe(3);

    await admin.config("SET", "maxmemory", "0");
    await expect(store.create(newSession({ id: revoked!.id }))).resolves.toBe("taken");
    await expectRecovery(client, store);
  });

  test("when the primary has become a replica, every change rejects until it is a primary again", async () => {
    await using own = await startRedis();
    const primary = await shared();
    const [admin, client] = [connect(own.url), open(clients, own.url)];
    const store = redisStore(client, { timeout: LIMIT });
    const session = newSession({ userId: newId() });
    await store.create(session);
    await admin.replicaof("127.0.0.1", primary.port);
    for (const call of [CALLS["create"]!, CALLS["update"]!, CALLS["touch"]!, CALLS["revoke"]!]) {
      await expect(call(store)).rejects.toThrow(StoreError);
    }
    await admin.replicaof("NO", "ONE");
    await expectRecovery(client, store);
  });

  test("when the server has fewer replicas than min-replicas-to-write, every change rejects", async () => {
    const own = await shared();
    const [admin, client] = [connect(own.url), open(clients, own.url)];
    const store = redisStore(client);
    await store.now();
    await admin.config("SET", "min-replicas-to-write", "1");
    for (const call of [CALLS["create"]!, CALLS["update"]!, CALLS["touch"]!, CALLS["revoke"]!]) {
      await expect(call(store)).rejects.toThrow(StoreError);
    }
    await admin.config("SET", "min-replicas-to-write", "0");
    await expectRecovery(client, store);
  });

  test.each<[string, RedisStoreOptions]>([
    ["", {}],
    [", even if the store waits for replicas", { waitForReplicas: ONE_REPLICA }],
  ])(
    "no error reveals the id, user or data of a session, or has the driver's error code%s",
    async (_, options) => {
      const own = await shared("--maxmemory", "1");
      const store = redisStore(open(clients, own.url), options);
      const session = newSession({ userId: newId(), data: "the secret" });
      const error = await store.create(session).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(StoreError);
      expect(error).not.toHaveProperty("code");
      expect((error as StoreError).cause).toBeInstanceOf(Error);
      const shown = inspect(error, { depth: 9, showHidden: true });
      for (const secret of [session.id, session.userId, session.data]) expect(shown).not.toContain(secret);
    },
  );
});

/** Returns the calls that did not reject with a StoreError in time, with their outcomes. */
async function unexpected(
  store: SessionStore,
  limit: number = LIMIT,
  calls: typeof CALLS = CALLS,
): Promise<string[]> {
  const found = await Promise.all(
    Object.entries(calls).map(async ([name, call]) => {
      // No call sends a second command before it fails. On a busy machine, this timer fires as late as the
      // store's.
      using deadline = timer(limit + 1000);
      const outcome: unknown = await Promise.race([
        deadline.passed.then(() => "not settled in time"),
        call(store).then(
          (result) => `resolved to ${String(result)}`,
          (caught: unknown) => caught,
        ),
      ]);
      const operation = name === "touch" ? "update" : name;
      const expected = outcome instanceof StoreError && outcome.operation === operation;
      return expected ? [] : [`${name}: ${String(outcome)}`];
    }),
  );
  return found.flat();
}

function timer(ms: number): { readonly passed: Promise<void> } & Disposable {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timeout = setTimeout(resolve, ms);
  return { passed: promise, [Symbol.dispose]: () => clearTimeout(timeout) };
}

/** Expects the first call to succeed, and then every other call. */
async function expectRecovery(client: RedisClient, store: SessionStore): Promise<void> {
  const patient = redisStore(client, { timeout: 30_000 });
  await expect(patient.read(newId())).resolves.toBeNull();
  for (const call of Object.values(CALLS)) await call(store);
}

function connect(url: string, options: Omit<RedisOptions, "replyMapping"> = {}): Redis {
  return clients.add(new Redis(url, { retryStrategy: () => 50, ...options }));
}
