import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import { Client } from "pg";
import { expect, test } from "vitest";
import { canStart, isListening, server, startMongo, startPostgres, startRedis } from "../src/index.ts";

const redis = await server("redis");
const postgres = await server("postgres");
const mongo = await server("mongo");
const ownRedis = await canStart("redis");
const ownPostgres = await canStart("postgres");
const ownMongo = await canStart("mongo");

redis.describe("the shared Redis", () => {
  test("replies at the address that server() returns", async () => {
    const client = new Redis(redis.url);
    await expect(client.ping()).resolves.toBe("PONG");
    client.disconnect();
  });
});

postgres.describe("the shared PostgreSQL", () => {
  test("replies at the address that server() returns", async () => {
    await expect(query(postgres.url, "select 1 as one")).resolves.toEqual([{ one: 1 }]);
  });
});

mongo.describe("the shared MongoDB", () => {
  test("replies at the address that server() returns", async () => {
    const client = new MongoClient(mongo.url);
    await expect(client.db("admin").command({ ping: 1 })).resolves.toMatchObject({ ok: 1 });
    await client.close();
  });
});

ownRedis.describe("a dedicated Redis", () => {
  test("has the data that it wrote to disk, at the same address, when it is started again after SIGKILL", async () => {
    await using own = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const before = new Redis(own.url);
    before.on("error", () => undefined);
    await before.set("kept", "yes");
    before.disconnect();
    await own.kill();
    await expect(isListening(own.port)).resolves.toBe(false);
    await own.start();
    const after = new Redis(own.url);
    await expect(after.get("kept")).resolves.toBe("yes");
    after.disconnect();
  });

  test("runs with the given arguments", async () => {
    await using own = await startRedis({ args: ["--requirepass", "secret"] });
    const client = new Redis(own.url, { lazyConnect: true, password: "secret" });
    await expect(client.ping()).resolves.toBe("PONG");
    client.disconnect();
  });

  test("does not reply while it is paused, and replies once it is resumed", async () => {
    await using own = await startRedis();
    const client = new Redis(own.url);
    await client.ping();
    await own.pause();
    const reply = client.ping();
    const silence = new Promise((resolve) => setTimeout(resolve, 300, "silence"));
    await expect(Promise.race([reply, silence])).resolves.toBe("silence");
    await own.resume();
    await expect(reply).resolves.toBe("PONG");
    client.disconnect();
  });
});

ownPostgres.describe("a dedicated PostgreSQL", () => {
  test("runs with the given settings, and has what it committed after SIGKILL and after a clean stop", async () => {
    await using own = await startPostgres({ settings: { max_connections: "17" } });
    await expect(query(own.url, "show max_connections")).resolves.toEqual([{ max_connections: "17" }]);
    await query(own.url, "create table kept as select 1 as one");
    await own.kill();
    await expect(query(own.url, "select 1")).rejects.toThrow("ECONNREFUSED");
    await own.start();
    await expect(query(own.url, "select * from kept")).resolves.toEqual([{ one: 1 }]);
    await own.stop();
    await own.start();
    await expect(query(own.url, "select * from kept")).resolves.toEqual([{ one: 1 }]);
  });
});

ownMongo.describe("a dedicated MongoDB", () => {
  test("has what it acknowledged when it is started again after SIGKILL", async () => {
    await using own = await startMongo();
    const client = new MongoClient(own.url);
    await client
      .db("kept")
      .collection("kept")
      .insertOne({ one: 1 }, { writeConcern: { w: "majority" } });
    await own.kill();
    await own.start();
    await expect(client.db("kept").collection("kept").countDocuments({ one: 1 })).resolves.toBe(1);
    await client.close();
  });
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client(url);
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
