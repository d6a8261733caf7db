import { inspect } from "node:util";
import { type SessionStore, StoreError } from "@tenure/core";
import { canStart, faultyProxy, type OwnServer, startRedis } from "@tenure/servers";
import { Redis, type RedisOptions } from "ioredis";
import { createClient } from "redis";
import { afterAll, expect, test } from "vitest";
import { type RedisClient, redisStore, type RedisStoreOptions } from "../src/index.ts";
import { Clients, LIBRARIES } from "./clients.ts";
import { freshId, newSession } from "./sessions.ts";

const here = await canStart("redis");
const clients = new Clients();
const servers = new Map<string, Promise<OwnServer>>();
afterAll(async () => {
  clients[Symbol.dispose]();
  for (const own of servers.values()) await (await own)[Symbol.asyncDispose]();
});

/** A server for tests that restore its state. */
function shared(...args: string[]): Promise<OwnServer> {
  const name = args.join(" ");
  let own = servers.get(name);
  if (own === undefined) servers.set(name, (own = startRedis({ args })));
  return own;
}

/** Every call of the contract, each on its own ids. */
const CALLS: Record<string, (store: SessionStore) => Promise<unknown>> = {
  create: (store) => store.create(newSession({ userId: freshId() })),
  read: (store) => store.read(freshId()),
  update: (store) => store.update(freshId(), { data: "new" }),
  touch: (store) => store.update(freshId(), {}),
  revoke: (store) => store.revoke(freshId()),
  revokeUser: (store) => store.revokeUser(freshId()),
  listUser: (store) => store.listUser(freshId()),
  scan: async (store) => {
    for await (const record of store.scan()) return record;
    return null;
  },
  now: (store) => store.now(),
};

const LIMIT = 1000;
const ONE_REPLICA = { count: 1, timeout: 100 };

here.describe(
  "a server in trouble: every call rejects with a StoreError in time, and works once it is back",
  () => {
    test.each(LIBRARIES)("down, $name", async ({ open }) => {
      await using own = await startRedis();
      const client = open(clients, own.url);
      const store = redisStore(client, { timeout: LIMIT });
      await store.now();
      await own.kill();
      expect(await surprises(store)).toEqual([]);
      await own.start();
      await expectRecovery(client, store);
    });

    test("down, and ioredis waits for ever", async () => {
      await using own = await startRedis();
      const client = connect(own.url, { maxRetriesPerRequest: null });
      const store = redisStore(client, { timeout: LIMIT });
      await store.now();
      await own.stop();
      expect(await surprises(store)).toEqual([]);
      await own.start();
      await expectRecovery(client, store);
    });

    test("down when a client of node-redis is made", async () => {
      await using own = await startRedis();
      await own.stop();
      const socket = { reconnectStrategy: () => 50 };
      const client = clients.connecting(createClient({ url: own.url, socket }));
      const store = redisStore(client, { timeout: LIMIT });
      expect(await surprises(store)).toEqual([]);
      await own.start();
      await expectRecovery(client, store);
    });

    test("down, and node-redis holds nothing back", async () => {
      await using own = await startRedis();
      const socket = { reconnectStrategy: () => 50 };
      const client = clients.connecting(createClient({ url: own.url, socket, disableOfflineQueue: true }));
      const store = redisStore(client, { timeout: LIMIT });
      await expect.poll(() => store.now().catch(String)).toEqual(expect.any(Number));
      await own.stop();
      expect(await surprises(store)).toEqual([]);
      await own.start();
      await expect.poll(() => store.now().catch(String)).toEqual(expect.any(Number));
      await expectRecovery(client, store);
    });

    test("down when a client of ioredis is made, and the client connects at first use", async () => {
      await using own = await startRedis();
      await own.stop();
      const client = connect(own.url, { lazyConnect: true });
      const store = redisStore(client, { timeout: LIMIT });
      expect(await surprises(store)).toEqual([]);
      await own.start();
      await expectRecovery(client, store);
    });

    test.each(LIBRARIES)("stopped while connections stay open, $name", async ({ open }) => {
      const own = await shared();
      const client = open(clients, own.url);
      const store = redisStore(client, { timeout: LIMIT });
      await store.now();
      await own.pause();
      expect(await surprises(store)).toEqual([]);
      await own.resume();
      await expectRecovery(client, store);
    });

    test("silent while a slot moves: no call waits for those that shared its command", async () => {
      const own = await shared();
      const client = clients.redis(own.url);
      // A server of a Cluster refuses commands with several keys of a moving slot.
      client.mget = ((...keys: string[]) =>
        keys.length > 1
          ? Promise.reject(new Error("TRYAGAIN Multiple keys request during rehashing of slot"))
          : new Promise(() => undefined)) as typeof client.mget;
      const store = redisStore(client, { timeout: 300 });
      const began = performance.now();
      const reads = Array.from({ length: 10 }, () => store.read(freshId()));
      for (const read of reads) await expect(read).rejects.toThrow(StoreError);
      expect(performance.now() - began).toBeLessThan(1500);
    });

    test("slower than ioredis' own commandTimeout", async () => {
      const own = await shared();
      await using proxy = await faultyProxy(own.url);
      const client = connect(proxy.url, { commandTimeout: 1000 });
      const store = redisStore(client);
      await store.now();
      proxy.delayReplies(3000);
      expect(await surprises(store, 1000)).toEqual([]);
      proxy.delayReplies(0);
      // Replies that are already late arrive before this one.
      await expect.poll(() => client.ping().catch(String)).toBe("PONG");
      await expectRecovery(client, store);
    });

    test.each(LIBRARIES)("ended by the user, who closed the client, $name", async ({ open }) => {
      const own = await shared();
      const closed = new Clients();
      const store = redisStore(open(closed, own.url), { timeout: LIMIT });
      await store.now();
      closed[Symbol.dispose]();
      expect(await surprises(store)).toEqual([]);
    });

    test("asking for another password", async () => {
      const own = await shared("--requirepass", "right");
      const store = redisStore(connect(own.url, { password: "wrong" }), { timeout: LIMIT });
      expect(await surprises(store)).toEqual([]);
      const right = connect(own.url, { password: "right" });
      await expectRecovery(right, redisStore(right));
    });

    test.each(LIBRARIES)("asking for a password that the client does not have, $name", async ({ open }) => {
      const own = await shared("--requirepass", "right");
      expect(await surprises(redisStore(open(clients, own.url), { timeout: LIMIT }))).toEqual([]);
    });

    test("loading its data", async () => {
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
      // Without the ready check, commands are sent while the server loads. With it, they wait.
      const [sending, waiting] = [connect(own.url, { enableReadyCheck: false }), connect(own.url)];
      const eager = redisStore(sending, { timeout: LIMIT });
      const patient = redisStore(waiting, { timeout: LIMIT });
      await expect.poll(() => eager.read(session.id).catch(String), { interval: 20 }).toContain("LOADING");
      // A server that loads still replies to TIME.
      const { now: _, ...calls } = CALLS;
      expect(await Promise.all([surprises(eager, LIMIT, calls), surprises(patient)])).toEqual([[], []]);
      await started;
      await expectRecovery(sending, eager);
      await expectRecovery(waiting, patient);
      await expect(eager.read(session.id)).resolves.toMatchObject({ id: session.id });
    });
  },
);

here.describe.each(LIBRARIES)("a server that refuses some calls, $name", ({ open }) => {
  test("out of memory: creating and saving reject, and reading, touching and ending go on", async () => {
    const own = await shared();
    const [admin, client] = [connect(own.url), open(clients, own.url)];
    const store = redisStore(client);
    const userId = freshId();
    const [read, touched, revoked, ofUser] = Array.from({ length: 4 }, () => newSession({ userId }));
    for (const session of [read, touched, revoked, ofUser]) await store.create(session!);
    await admin.config("SET", "maxmemory", "1");

    await expect(CALLS["create"]!(store)).rejects.toThrow(StoreError);
    await expect(store.update(read!.id, { data: "new" })).rejects.toThrow(StoreError);
    await expect(store.read(read!.id)).resolves.toMatchObject({ data: read!.data });
    await expect(store.update(touched!.id, {})).resolves.toBe("updated");
    await expect(store.revoke(revoked!.id)).resolves.toBe(true);
    await expect(store.revoke(freshId())).resolves.toBe(false);
    await expect(store.revokeUser(userId)).resolves.toBe(3);

    await admin.config("SET", "maxmemory", "0");
    await expect(store.create(newSession({ id: revoked!.id }))).resolves.toBe("taken");
    await expectRecovery(client, store);
  });

  test("a primary that became a replica: every change rejects, until it is a primary again", async () => {
    await using own = await startRedis();
    const primary = await shared();
    const [admin, client] = [connect(own.url), open(clients, own.url)];
    const store = redisStore(client, { timeout: LIMIT });
    const session = newSession({ userId: freshId() });
    await store.create(session);
    await admin.replicaof("127.0.0.1", primary.port);
    for (const call of [CALLS["create"]!, CALLS["update"]!, CALLS["touch"]!, CALLS["revoke"]!]) {
      await expect(call(store)).rejects.toThrow(StoreError);
    }
    await admin.replicaof("NO", "ONE");
    await expectRecovery(client, store);
  });

  test("too few replicas for its min-replicas-to-write: every change rejects", async () => {
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
    [", also where replicas are waited for", { waitForReplicas: ONE_REPLICA }],
  ])("no error shows what was to be stored, nor carries a code of the driver's%s", async (_, options) => {
    const own = await shared("--maxmemory", "1");
    const store = redisStore(open(clients, own.url), options);
    const session = newSession({ userId: freshId(), data: "the secret" });
    const error = await store.create(session).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(StoreError);
    expect(error).not.toHaveProperty("code");
    expect((error as StoreError).cause).toBeInstanceOf(Error);
    const told = inspect(error, { depth: 9, showHidden: true });
    for (const secret of [session.id, session.userId, session.data]) expect(told).not.toContain(secret);
  });
});

/** Returns the calls that did not reject with a StoreError in time. */
async function surprises(
  store: SessionStore,
  limit: number = LIMIT,
  calls: typeof CALLS = CALLS,
): Promise<string[]> {
  const told = await Promise.all(
    Object.entries(calls).map(async ([name, call]) => {
      // No call sends a second command before it fails. On a busy machine, this timer is as late as the
      // store's.
      using late = timer(limit + 1000);
      const outcome: unknown = await Promise.race([
        late.over.then(() => "nothing in time"),
        call(store).then(
          (answer) => `the answer ${String(answer)}`,
          (caught: unknown) => caught,
        ),
      ]);
      const operation = name === "touch" ? "update" : name;
      const expected = outcome instanceof StoreError && outcome.operation === operation;
      return expected ? [] : [`${name}: ${String(outcome)}`];
    }),
  );
  return told.flat();
}

function timer(ms: number): { readonly over: Promise<void> } & Disposable {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timeout = setTimeout(resolve, ms);
  return { over: promise, [Symbol.dispose]: () => clearTimeout(timeout) };
}

/** The first call succeeds, and then every other. */
async function expectRecovery(client: RedisClient, store: SessionStore): Promise<void> {
  const patient = redisStore(client, { timeout: 30_000 });
  await expect(patient.read(freshId())).resolves.toBeNull();
  for (const call of Object.values(CALLS)) await call(store);
}

function connect(url: string, options: Omit<RedisOptions, "replyMapping"> = {}): Redis {
  return clients.add(new Redis(url, { retryStrategy: () => 50, ...options }));
}
