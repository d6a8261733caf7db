import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "@tenure/core";
import { migrate, type PostgresStore, postgresStore } from "@tenure/postgres";
import { canStart, faultyProxy, server, startPostgres } from "@tenure/servers";
import { Pool, type PoolConfig } from "pg";
import { expect, test } from "vitest";
import { poolsOn } from "./pools.ts";
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
    test(`a batch whose ${on} is lost fails its own callers and nobody else, and the next call works`, async () => {
      const { proxy, store } = await proxied({ max: 1 });
      await using _ = proxy;
      const sessions = Array.from({ length: 10 }, () => newSession({ userId: "user" }));
      const plan = proxy.plan({ on, which: (command) => command.includes("insert into") });
      const outcomes = await Promise.allSettled([
        ...sessions.map((one) => store.create(one)),
        store.read("unknown"),
        store.listUser("nobody"),
      ]);
      expect(plan.struck).toBe(true);
      for (const outcome of outcomes.slice(0, 10)) {
        expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(StoreError) });
      }
      expect(outcomes.slice(10)).toEqual([
        { status: "fulfilled", value: null },
        { status: "fulfilled", value: [] },
      ]);
      // The outcome was unknown but nothing was half done: the server got the whole command, or nothing.
      const created = await Promise.all(sessions.map((one) => store.create(one)));
      expect(new Set(created)).toEqual(new Set([on === "command" ? "created" : "taken"]));
    });
  }

  test("idle connections that break end no process, though the application does not listen", async () => {
    const { proxy, store } = await proxied();
    await using _ = proxy;
    await Promise.all(Array.from({ length: 20 }, () => store.create(newSession({ userId: "user" }))));
    for (let round = 0; round < 5; round += 1) {
      proxy.cut();
      await sleep(50);
      expect(await store.create(newSession({ userId: "user" }))).toBe("created");
    }
  });

  test("a server that ends a connection in the packet that opens it ends no process, and the next call works", async () => {
    await pools.store();
    await using hasty = await farewellWithGreeting(postgres.url);
    const deaths: unknown[] = [];
    const died = (error: unknown) => void deaths.push(error);
    process.on("uncaughtExceptionMonitor", died);
    try {
      const store = postgresStore(pools.open({ connectionString: hasty.url }), { table });
      const { id } = newSession({ userId: "user" });
      const first = await store.create(newSession({ id, userId: "user" })).catch((error: unknown) => error);
      if (first !== "created") expect(first).toBeInstanceOf(StoreError);
      expect(await store.create(newSession({ userId: "user" }))).toBe("created");
      expect(hasty.farewells).toBe(1);
    } finally {
      process.off("uncaughtExceptionMonitor", died);
    }
    expect(deaths).toEqual([]);
  });

  test("a server that falls silent is a StoreError within query_timeout, and the next call works", async () => {
    const { proxy, store } = await proxied({ query_timeout: 300, connectionTimeoutMillis: 300 });
    await using _ = proxy;
    const { id } = newSession({ userId: "user" });
    await store.create(newSession({ id, userId: "user" }));
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

  test("a backend that is terminated under a statement (57P01) is a StoreError, and the next call works", async () => {
    const store = await pools.store();
    const { id } = newSession({ userId: "user" });
    await store.create(newSession({ id, userId: "user" }));
    const admin = await pools.open({ max: 1 }).connect();
    await admin.query("begin");
    await admin.query(`select from ${table} where id = $1 for update`, [id]);
    const waiting = store.update(id, {}).catch((error: unknown) => error);
    const terminate =
      "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and application_name = $1";
    while ((await admin.query(terminate, [table])).rows.length === 0) await sleep(10);
    const error = await waiting;
    expect(error).toBeInstanceOf(StoreError);
    expect(error).toMatchObject({ operation: "update", cause: { code: "57P01" } });
    await admin.query("rollback");
    admin.release();
    expect(await store.update(id, {})).toBe("updated");
  });

  test("statement_timeout bounds a call that waits for a row, and fails nobody else", async () => {
    const store = await pools.store({ statement_timeout: 300 });
    const [held, free] = [newSession({ userId: "user" }), newSession({ userId: "user" })];
    await Promise.all([store.create(held), store.create(free)]);
    const stranger = await pools.open({ max: 1 }).connect();
    await stranger.query("begin");
    await stranger.query(`select from ${table} where id = $1 for update`, [held.id]);
    const outcomes = await Promise.allSettled([store.update(held.id, {}), store.update(free.id, {})]);
    expect(outcomes).toEqual([
      { status: "rejected", reason: expect.any(StoreError) },
      { status: "fulfilled", value: "updated" },
    ]);
    await stranger.query("rollback");
    stranger.release();
    expect(await store.update(held.id, {})).toBe("updated");
  });

  test("a pool that was ended is a StoreError", async () => {
    const pool = new Pool({ connectionString: postgres.url });
    const store = postgresStore(pool, { table });
    await pool.end();
    await expect(store.read("id")).rejects.toBeInstanceOf(StoreError);
  });
});

here.describe("postgresStore, when its server fails", () => {
  const started = async (config: PoolConfig = {}) => {
    const own = await startPostgres();
    const pool = new Pool({ connectionString: own.url, connectionTimeoutMillis: 1000, ...config });
    await migrate(pool);
    return { own, pool, store: postgresStore(pool) };
  };

  for (const how of ["stop", "kill"] as const) {
    test(`${how === "stop" ? "stopped" : "killed"} in the middle of calls, all end in an answer or a StoreError, and once it is back they work`, async () => {
      const { own, pool, store } = await started();
      await using _ = own;
      const outcomes: Promise<PromiseSettledResult<unknown>[]>[] = [];
      for (let round = 0; round < 20; round += 1) {
        if (round === 10) await own[how]();
        outcomes.push(Promise.allSettled(everyCall(store)));
        await sleep(5);
      }
      const all = (await Promise.all(outcomes)).flat();
      const failed = all.filter(({ status }) => status === "rejected");
      expect(failed.length).toBeGreaterThan(0);
      for (const outcome of failed) expect(outcome).toMatchObject({ reason: expect.any(StoreError) });
      await own.start();
      expect(await store.create(newSession({ id: "after", userId: "user" }))).toBe("created");
      expect(await store.read("after")).toMatchObject({ id: "after" });
      await pool.end();
    });
  }

  test("a standby answers nothing, since what it knows may be old: every call is a StoreError", async () => {
    const { own, pool, store } = await started({ max: 4 });
    await using _ = own;
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
    (async () => {
      for await (const record of store.scan()) void record;
    })(),
    store.now(),
    store.sweep(),
  ];
}

/**
 * A proxy that, on the first connection, appends a shutdown error to the packet that ends the server's
 * greeting.
 */
async function farewellWithGreeting(target: string) {
  const { hostname, port } = new URL(target);
  const READY = Buffer.from("Z\0\0\0\u0005I", "latin1");
  const fields = Buffer.from("SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0");
  const length = Buffer.alloc(4);
  length.writeUInt32BE(4 + fields.length);
  const farewell = Buffer.concat([Buffer.from("E"), length, fields]);
  let farewells = 0;
  const proxy = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    client.pipe(upstream);
    client.on("error", () => upstream.destroy());
    client.on("close", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
    upstream.on("data", (bytes) => {
      if (farewells > 0 || !bytes.subarray(-READY.length).equals(READY)) {
        client.write(bytes);
        return;
      }
      farewells += 1;
      client.end(Buffer.concat([bytes, farewell]));
    });
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const url = new URL(target);
  url.hostname = "127.0.0.1";
  url.port = String((proxy.address() as AddressInfo).port);
  return {
    url: url.href,
    get farewells() {
      return farewells;
    },
    [Symbol.asyncDispose]: async () => void proxy.close(),
  };
}
