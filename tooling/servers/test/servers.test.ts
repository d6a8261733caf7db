import { once } from "node:events";
import { createConnection } from "node:net";
import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import { Client } from "pg";
import { expect, test } from "vitest";
import { canStart, server, startMongo, startPostgres, startRedis } from "../src/index.ts";

const redis = await server("redis");
const postgres = await server("postgres");
const mongo = await server("mongo");
const ownRedis = await canStart("redis");
const ownPostgres = await canStart("postgres");
const ownMongo = await canStart("mongo");

redis.describe("a shared Redis", () => {
  test("answers at the address that a test gets", async () => {
    const client = new Redis(redis.url);
    await expect(client.ping()).resolves.toBe("PONG");
    client.disconnect();
  });
});

postgres.describe("a shared Postgres", () => {
  test("answers at the address that a test gets", async () => {
    await expect(ask(postgres.url, "select 1 as one")).resolves.toEqual([{ one: 1 }]);
  });
});

mongo.describe("a shared MongoDB", () => {
  test("answers at the address that a test gets", async () => {
    const client = new MongoClient(mongo.url);
    await expect(client.db("admin").command({ ping: 1 })).resolves.toMatchObject({ ok: 1 });
    await client.close();
  });
});

ownRedis.describe("a Redis of one's own", () => {
  test("keeps over kill -9 what it wrote to disk, at the same address", async () => {
    await using own = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const before = new Redis(own.url);
    before.on("error", () => undefined);
    await before.set("kept", "yes");
    before.disconnect();
    await own.kill();
    await expect(connect(own.port)).rejects.toThrow("ECONNREFUSED");
    await own.start();
    const after = new Redis(own.url);
    await expect(after.get("kept")).resolves.toBe("yes");
    after.disconnect();
  });

  test("takes settings", async () => {
    await using own = await startRedis({ args: ["--requirepass", "secret"] });
    const client = new Redis(own.url, { lazyConnect: true, password: "secret" });
    await expect(client.ping()).resolves.toBe("PONG");
    client.disconnect();
  });

  test("is silent while it is paused and answers afterwards what it was asked", async () => {
    await using own = await startRedis();
    const client = new Redis(own.url);
    await client.ping();
    await own.pause();
    const answer = client.ping();
    const silence = new Promise((resolve) => setTimeout(resolve, 300, "silence"));
    await expect(Promise.race([answer, silence])).resolves.toBe("silence");
    await own.resume();
    await expect(answer).resolves.toBe("PONG");
    client.disconnect();
  });
});

ownPostgres.describe("a Postgres of one's own", () => {
  test("takes settings and keeps over kill -9 and an orderly stop what it committed", async () => {
    await using own = await startPostgres({ settings: { max_connections: "17" } });
    await expect(ask(own.url, "show max_connections")).resolves.toEqual([{ max_connections: "17" }]);
    await ask(own.url, "create table kept as select 1 as one");
    await own.kill();
    await expect(ask(own.url, "select 1")).rejects.toThrow("ECONNREFUSED");
    await own.start();
    await expect(ask(own.url, "select * from kept")).resolves.toEqual([{ one: 1 }]);
    await own.stop();
    await own.start();
    await expect(ask(own.url, "select * from kept")).resolves.toEqual([{ one: 1 }]);
  });
});

ownMongo.describe("a MongoDB of one's own", () => {
  test("keeps over kill -9 what it acknowledged", async () => {
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

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new Client(url);
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function connect(port: number): Promise<void> {
  const socket = createConnection(port, "127.0.0.1");
  await once(socket, "connect");
  socket.destroy();
}
