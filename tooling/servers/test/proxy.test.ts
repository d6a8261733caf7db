import { randomUUID } from "node:crypto";
import { Redis, type RedisOptions } from "ioredis";
import { MongoClient } from "mongodb";
import { Client } from "pg";
import { expect, test } from "vitest";
import { faultyProxy, server } from "../src/index.ts";

const redis = await server("redis");
const postgres = await server("postgres");
const mongo = await server("mongo");

redis.describe("a proxy in front of Redis", () => {
  test("forwards everything, and counts commands without those of the client's handshake", async () => {
    await using proxy = await faultyProxy(redis.url);
    await withRedis(proxy.url, {}, async (client, key) => {
      const before = proxy.commands;
      const big = "x".repeat(3_000_000);
      await client.set(key, big);
      await expect(client.get(key)).resolves.toBe(big);
      const replies = await client.pipeline().set(key, "1").incr(key).lrange(`${key}:none`, 0, -1).exec();
      expect(replies?.map(([, reply]) => reply)).toEqual(["OK", 2, []]);
      expect(proxy.commands - before).toBe(5);
    });
  });

  test("loses the second command as planned, so that the server does not execute it", async () => {
    await using proxy = await faultyProxy(redis.url);
    await withRedis(proxy.url, { retryStrategy: () => null }, async (client, key) => {
      const fault = proxy.plan({ on: "command", nth: 2 });
      await client.incr(key);
      expect(fault.struck).toBe(false);
      await expect(client.incr(key)).rejects.toThrow("Connection is closed");
      expect(fault.struck).toBe(true);
      await expect(stored(key)).resolves.toBe("1");
    });
  });

  test("loses a reply as planned, after the server has executed the command", async () => {
    await using proxy = await faultyProxy(redis.url);
    await withRedis(proxy.url, { retryStrategy: () => null }, async (client, key) => {
      proxy.plan({ on: "reply", which: (command) => command.includes("incrby") });
      await client.incr(key);
      await expect(client.incrby(key, 10)).rejects.toThrow("Connection is closed");
      await expect(stored(key)).resolves.toBe("11");
    });
  });

  test("with pass: true, delivers a reply before it cuts the connection", async () => {
    await using proxy = await faultyProxy(redis.url);
    await withRedis(proxy.url, {}, async (client, key) => {
      proxy.plan({ on: "reply", pass: true });
      await expect(client.incr(key)).resolves.toBe(1);
      await expect(client.incr(key)).resolves.toBe(2);
    });
  });

  test("breaks only one connection per planned fault, so a client that retries succeeds", async () => {
    await using proxy = await faultyProxy(redis.url);
    await withRedis(proxy.url, {}, async (client, key) => {
      proxy.plan({ on: "reply" });
      // ioredis resends commands that got no reply.
      await expect(client.incr(key)).resolves.toBe(2);
    });
  });

  test('with by: "silence", loses a reply and keeps the connection open without sending anything', async () => {
    await using proxy = await faultyProxy(redis.url);
    await withRedis(proxy.url, { commandTimeout: 200 }, async (client, key) => {
      proxy.plan({ on: "reply", by: "silence" });
      await expect(client.incr(key)).rejects.toThrow("Command timed out");
      await expect(stored(key)).resolves.toBe("1");
    });
  });

  test("delays replies and keeps their order", async () => {
    await using proxy = await faultyProxy(redis.url);
    await withRedis(proxy.url, {}, async (client, key) => {
      proxy.delayReplies(200);
      const began = performance.now();
      const first = client.incr(key);
      await new Promise((resolve) => setTimeout(resolve, 50));
      proxy.delayReplies(0);
      await expect(Promise.all([first, client.incr(key)])).resolves.toEqual([1, 2]);
      expect(performance.now() - began).toBeGreaterThanOrEqual(199);
    });
  });

  test("refuses connections until accept() is called, and then accepts them at the same address", async () => {
    await using proxy = await faultyProxy(redis.url);
    await withRedis(proxy.url, { retryStrategy: () => 20 }, async (client, key) => {
      await proxy.refuse();
      const refused = new Redis(proxy.url, { lazyConnect: true, retryStrategy: () => null });
      refused.on("error", () => undefined);
      await expect(refused.connect()).rejects.toThrow("Connection is closed");
      await proxy.accept();
      await expect(client.incr(key)).resolves.toBe(1);
    });
  });
});

postgres.describe("a proxy in front of PostgreSQL", () => {
  test("counts simple and extended queries, but not the login", async () => {
    await using proxy = await faultyProxy(postgres.url);
    await withPostgres(proxy.url, async (client) => {
      await client.query("select 1");
      await client.query("select $1::int", [1]);
      await client.query({ name: "named", text: "select $1::int as n", values: [7] });
      await expect(
        client.query({ name: "named", text: "select $1::int as n", values: [7] }),
      ).resolves.toMatchObject({
        rows: [{ n: 7 }],
      });
      await expect(client.query("select * from nowhere")).rejects.toThrow("does not exist");
      expect(proxy.commands).toBe(5);
    });
  });

  test("loses a command or only its reply, as planned", async () => {
    await using proxy = await faultyProxy(postgres.url);
    const table = `servers_${randomUUID().replaceAll("-", "")}`;
    await withPostgres(postgres.url, async (direct) => {
      await direct.query(`create table ${table} (n int)`);
      for (const on of ["command", "reply"] as const) {
        const fault = proxy.plan({ on, which: (command) => command.includes("insert") });
        await withPostgres(proxy.url, async (client) => {
          const insert = client.query(`insert into ${table} values ($1)`, [on === "reply" ? 1 : 0]);
          await expect(insert).rejects.toThrow("Connection terminated unexpectedly");
        });
        expect(fault.struck).toBe(true);
      }
      await expect(direct.query(`select n from ${table}`)).resolves.toMatchObject({ rows: [{ n: 1 }] });
      await direct.query(`drop table ${table}`);
    });
  });
});

mongo.describe("a proxy in front of MongoDB", () => {
  test("counts commands but not the driver's monitoring, and loses a reply or a command as planned", async () => {
    await using proxy = await faultyProxy(mongo.url);
    const name = `servers_${randomUUID()}`;
    const client = new MongoClient(proxy.url, { retryWrites: false });
    try {
      const collection = client.db("servers").collection(name);
      await collection.insertOne({ n: 1 });
      expect(proxy.commands).toBe(1);
      const fault = proxy.plan({ on: "reply" });
      await expect(collection.insertOne({ n: 2 })).rejects.toThrow("closed");
      expect(fault.struck).toBe(true);
      proxy.plan({ on: "command" });
      await expect(collection.insertOne({ n: 3 })).rejects.toThrow("closed");
      await expect(
        collection.find({}, { projection: { _id: 0 }, sort: { n: 1 } }).toArray(),
      ).resolves.toEqual([{ n: 1 }, { n: 2 }]);
      await collection.drop();
    } finally {
      await client.close();
    }
  });
});

async function withRedis(
  url: string,
  options: Pick<RedisOptions, "retryStrategy" | "commandTimeout">,
  work: (client: Redis, key: string) => Promise<void>,
): Promise<void> {
  const client = new Redis(url, options);
  client.on("error", () => undefined);
  try {
    // Connect first, so that no fault strikes a command that the client sends by itself.
    await client.ping();
    await work(client, `servers:${randomUUID()}`);
  } finally {
    client.disconnect();
  }
}

async function stored(key: string): Promise<string | null> {
  const direct = new Redis(redis.url);
  try {
    return await direct.get(key);
  } finally {
    direct.disconnect();
  }
}

async function withPostgres(url: string, work: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client(url);
  client.on("error", () => undefined);
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
