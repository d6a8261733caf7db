import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "@tenure/core";
import { migrate, type PostgresStore, postgresStore } from "@tenure/postgres";
import { canStart, faultyProxy, type OwnServer, server, startPostgres } from "@tenure/servers";
import { Pool, type PoolConfig } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { end, poolsOn } from "./pools.ts";
import { newSession } from "./sessions.ts";

const postgres = await server("postgres");
const here = await canStart("postgres");
const pools = poolsOn(postgres.url);
const { table } = pools;

postgres.describe("postgresStore, when a connection fails", () => {
  const proxied = async (config: PoolConfig = {}) => {
    await pools.store();
    const proxy = await faultyProxy(postgres.url);
    return { proxy, store: postgresStore(pools.open({ connectionString: proxy.url, ...config }), { table }) };
  };

  for (const on of ["command", "reply"] as const) {
    test(`if the ${on} of a batch is lost, only the calls of that batch fail, and the next call works`, async () => {
      const { proxy, store } = await proxied({ max: 1 });
      await using _ = proxy;
      const sessions = Array.from({ length: 10 }, () => newSession({ userId: "user" }));
      const fault = proxy.plan({ on, which: (command) => command.includes("insert into") });
      const outcomes = await Promise.allSettled([
        ...sessions.map((session) => store.create(session)),
        store.read("unknown"),
        store.listUser("nobody"),
      ]);
      expect(fault.struck).toBe(true);
      for (const outcome of outcomes.slice(0, 10)) {
        expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
      }
      expect(outcomes.slice(10)).toEqual([
        { status: "fulfilled", value: null },
        { status: "fulfilled", value: [] },
      ]);
      // The server got the complete command, or nothing of it.
      const created = await Promise.all(sessions.map((session) => store.create(session)));
      expect(new Set(created)).toEqual(new Set([on === "command" ? "created" : "taken"]));
    });
  }

  test("idle connections that break do not end the process, even if the application does not listen for errors", async () => {
    const { proxy, store } = await proxied();
    await using _ = proxy;
    await Promise.all(Array.from({ length: 20 }, () => store.create(newSession({ userId: "user" }))));
    for (let round = 0; round < 5; round += 1) {
      proxy.cut();
      await sleep(50);
      expect(await store.create(newSession({ userId: "user" }))).toBe("created");
    }
  });

  test("a server that shuts down in the packet that opens a connection does not end the process, and the next call works", async () => {
    await pools.store();
    await using proxy = await shutdownAtConnect(postgres.url);
    const uncaught: unknown[] = [];
    const onUncaught = (error: unknown) => void uncaught.push(error);
    process.on("uncaughtExceptionMonitor", onUncaught);
    try {
      const store = postgresStore(pools.open({ connectionString: proxy.url }), { table });
      const first = await store.create(newSession({ userId: "user" })).catch((error: unknown) => error);
      if (first !== "created") expect(first).toBeInstanceOf(StoreError);
      expect(await store.create(newSession({ userId: "user" }))).toBe("created");
      expect(proxy.shutdowns).toBe(1);
    } finally {
      process.off("uncaughtExceptionMonitor", onUncaught);
    }
    expect(uncaught).toEqual([]);
  });

  test("if the server stops replying, calls reject with a StoreError after query_timeout, and the next call works", async () => {
    const { proxy, store } = await proxied({ query_timeout: 1000, connectionTimeoutMillis: 1000 });
    await using _ = proxy;
    const session = newSession({ userId: "user" });
    const { id } = session;
    await store.create(session);
    proxy.silence();
    const outcomes = await Promise.allSettled([
      store.read(id),
      store.update(id, {}),
      store.revoke(id),
      store.now(),
    ]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
    }
    proxy.cut();
    expect(await store.read(id)).toMatchObject({ id });
  });

  test("if a connection is terminated during a statement (57P01), the call rejects with a StoreError, and the next call works", async () => {
    const store = await pools.store();
    const session = newSession({ userId: "user" });
    const { id } = session;
    await store.create(session);
    const holder = await pools.hold(id);
    const updating = store.update(id, {}).catch((error: unknown) => error);
    const admin = pools.open({ max: 1 });
    const terminate =
      "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and application_name = $1";
    while ((await admin.query(terminate, [table])).rows.length === 0) await sleep(10);
    const error = await updating;
    expect(error).toBeInstanceOf(StoreError);
    expect(error).toMatchObject({ operation: "update", cause: { code: "57P01" } });
    await end(holder, "rollback");
    expect(await store.update(id, {})).toBe("updated");
  });

  test("a call that waits for a locked row rejects after statement_timeout, and calls about other rows do not", async () => {
    const store = await pools.store({ statement_timeout: 1000 });
    const [held, free] = [newSession({ userId: "user" }), newSession({ userId: "user" })];
    await Promise.all([store.create(held), store.create(free)]);
    const holder = await pools.hold(held.id);
    const outcomes = await Promise.allSettled([store.update(held.id, {}), store.update(free.id, {})]);
    expect(outcomes).toEqual([
      { status: "rejected", reason: expect.any(StoreError) },
      { status: "fulfilled", value: "updated" },
    ]);
    await expect(store.revoke(held.id)).rejects.toThrow(/statement_timeout.*look for a long transaction/);
    await end(holder, "rollback");
    expect(await store.update(held.id, {})).toBe("updated");
  });

  test("a call that waits for a locked row longer than the role's lock_timeout says so", async () => {
    const store = await pools.store({ options: "-c lock_timeout=50ms" });
    const session = newSession({ userId: "user" });
    await store.create(session);
    const holder = await pools.hold(session.id);
    await expect(store.revoke(session.id)).rejects.toThrow(/lock_timeout: look for a long transaction/);
    await end(holder, "rollback");
    expect(await store.revoke(session.id)).toBe(true);
  });

  test("if a column gets another type, no connection fails more than once", async () => {
    const pool = pools.open({ max: 1 });
    const name = { table: `${table}_altered` };
    await migrate(pool, name);
    const store = postgresStore(pool, name);
    const session = newSession({ userId: "user" });
    await store.create(session);
    await store.read(session.id);
    await pool.query(`alter table ${name.table} alter column user_id type varchar(2000)`);
    await expect(store.read(session.id)).rejects.toMatchObject({
      name: "StoreError",
      cause: { message: "cached plan must not change result type" },
    });
    await expect(store.read(session.id)).resolves.toMatchObject({ id: session.id, userId: "user" });
  });

  test("calls on a pool that has ended reject with a StoreError", async () => {
    const pool = new Pool({ connectionString: postgres.url });
    const store = postgresStore(pool, { table });
    await pool.end();
    await expect(store.read("id")).rejects.toBeInstanceOf(StoreError);
  });
});

here.describe("postgresStore, when its server fails", () => {
  let own: OwnServer;
  beforeAll(async () => {
    own = await startPostgres();
  });
  afterAll(() => own[Symbol.asyncDispose]());

  const storeOn = async (config: PoolConfig = {}) => {
    const pool = new Pool({ connectionString: own.url, connectionTimeoutMillis: 5000, ...config });
    await migrate(pool);
    return { pool, store: postgresStore(pool) };
  };

  for (const how of ["stop", "kill"] as const) {
    test(`if the server is ${how === "stop" ? "stopped" : "killed"} during calls, each call resolves or rejects with a StoreError, and calls work once it is back`, async () => {
      const { pool, store } = await storeOn();
      const outcomes: Promise<PromiseSettledResult<unknown>[]>[] = [];
      for (let round = 0; round < 20; round += 1) {
        if (round === 10) await own[how]();
        outcomes.push(Promise.allSettled(everyCall(store)));
        await sleep(5);
      }
      const all = (await Promise.all(outcomes)).flat();
      await own.start();
      const failed = all.filter(({ status }) => status === "rejected");
      expect(failed.length).toBeGreaterThan(0);
      for (const outcome of failed) expect(outcome).toMatchObject({ reason: expect.any(StoreError) });
      const session = newSession({ userId: "user" });
      expect(await store.create(session)).toBe("created");
      expect(await store.read(session.id)).toMatchObject({ id: session.id });
      await pool.end();
    });
  }

  // A standby may have old data, in which a revoked session is alive.
  test("on a standby every call rejects with a StoreError that names the primary, and calls work once it is promoted", async () => {
    const { pool, store } = await storeOn({ max: 4 });
    await store.create(newSession({ id: "known", userId: "user" }));
    // A server with this file in its data directory is a hot standby. It has no primary, so its data do not
    // change.
    await pool.query(
      `do $$ begin execute format('copy (select) to %L', current_setting('data_directory') || '/standby.signal'); end $$`,
    );
    await own.stop();
    await own.start();
    expect((await pool.query("select pg_is_in_recovery() as standby")).rows).toEqual([{ standby: true }]);
    for (const outcome of await Promise.allSettled(everyCall(store))) {
      expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
      expect(String("reason" in outcome && outcome.reason)).toContain("primary");
    }
    expect(pool.idleCount).toBe(0);
    await pool.query("select pg_promote()");
    expect(await store.read("known")).toMatchObject({ id: "known" });
    expect(await store.update("known", { data: "new" })).toBe("updated");
    await pool.end();
  });
});

function everyCall(store: PostgresStore): Promise<unknown>[] {
  return [
    store.create(newSession({ userId: "user" })),
    store.read("known"),
    store.update("known", {}),
    store.update("known", { data: "new" }),
    store.revoke("unknown"),
    store.revokeUser("nobody"),
    store.listUser("user"),
    Array.fromAsync(store.scan()),
    store.now(),
    store.sweep(),
  ];
}

/**
 * A proxy that, on the first connection, appends a shutdown error to the packet that reports the connection
 * as ready.
 */
async function shutdownAtConnect(target: string) {
  const { hostname, port } = new URL(target);
  const READY = Buffer.from("Z\0\0\0\u0005I", "latin1");
  const fields = Buffer.from("SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0");
  const length = Buffer.alloc(4);
  length.writeUInt32BE(4 + fields.length);
  const shutdown = Buffer.concat([Buffer.from("E"), length, fields]);
  let shutdowns = 0;
  const proxy = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    client.pipe(upstream);
    client.on("error", () => upstream.destroy());
    client.on("close", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
    upstream.on("data", (bytes) => {
      if (shutdowns > 0 || !bytes.subarray(-READY.length).equals(READY)) {
        client.write(bytes);
        return;
      }
      shutdowns += 1;
      client.end(Buffer.concat([bytes, shutdown]));
    });
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const url = new URL(target);
  url.hostname = "127.0.0.1";
  url.port = String((proxy.address() as AddressInfo).port);
  return {
    url: url.href,
    get shutdowns() {
      return shutdowns;
    },
    [Symbol.asyncDispose]: async () => void proxy.close(),
  };
}
