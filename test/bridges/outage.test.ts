import { randomUUID } from "node:crypto";
import { visitor } from "@tenure/cookie-client";
import { Sessions, type SessionStore } from "@tenure/core";
import { ensureIndexes, mongoStore } from "@tenure/mongo";
import { migrate, postgresStore } from "@tenure/postgres";
import { redisStore } from "@tenure/redis";
import { canStart, type OwnServer, startMongo, startPostgres, startRedis } from "@tenure/servers";
import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import { Pool } from "pg";
import { expect, test, vi } from "vitest";
import { createApplication } from "./application.ts";
import { expressSession } from "./express.ts";
import { fastifySession } from "./fastify.ts";
import { createGates } from "./gates.ts";
import { guideBridge } from "./guide.ts";
import { koaSession } from "./koa.ts";
import { login } from "./run-scenario.ts";

const frameworks = [expressSession, fastifySession, koaSession, guideBridge];
const [redis, postgres, mongo] = [
  await canStart("redis"),
  await canStart("postgres"),
  await canStart("mongo"),
];

redis.describe("over HTTP on Redis", { concurrent: true }, () => {
  test("a server that stops, or is paused, causes errors but logs nobody out", async () => {
    await using server = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const client = new Redis(server.url, { maxRetriesPerRequest: 0, retryStrategy: () => 100 });
    client.on("error", () => undefined);
    try {
      await expect(stopAndPause(server, redisStore(client, { timeout: 5000 }))).resolves.toBeUndefined();
    } finally {
      client.disconnect();
    }
  });
});

postgres.describe("over HTTP on Postgres", { concurrent: true }, () => {
  test("a server that stops, or is paused, causes errors but logs nobody out", async () => {
    await using server = await startPostgres();
    const pool = new Pool({
      connectionString: server.url,
      connectionTimeoutMillis: 5000,
      query_timeout: 5000,
      // A connection for each statement, because a paused PostgreSQL still serves its open connections.
      maxUses: 1,
    });
    pool.on("error", () => undefined);
    try {
      await migrate(pool);
      await expect(stopAndPause(server, postgresStore(pool))).resolves.toBeUndefined();
    } finally {
      await pool.end();
    }
  });
});

mongo.describe("over HTTP on MongoDB", { concurrent: true }, () => {
  test("a server that stops, or is paused, causes errors but logs nobody out", async () => {
    await using server = await startMongo();
    const client = new MongoClient(server.url, {
      serverSelectionTimeoutMS: 5000,
      connectTimeoutMS: 5000,
      socketTimeoutMS: 5000,
    });
    try {
      const collection = client.db("outage").collection("sessions");
      await ensureIndexes(collection);
      await expect(stopAndPause(server, mongoStore(collection))).resolves.toBeUndefined();
    } finally {
      await client.close();
    }
  });
});

/** Stops and restarts the server, then pauses and resumes it, and checks every framework's responses. */
async function stopAndPause(server: OwnServer, store: SessionStore): Promise<void> {
  const sessions = new Sessions({ store });
  const app = createApplication(createGates());
  const userId = randomUUID();
  const visits = await Promise.all(
    frameworks.map(async (framework) => {
      const site = await framework.serve(sessions, app);
      const browser = visitor(site.origin);
      expect((await browser.post("/", login(userId))).status).toBe(200);
      return { name: framework.name, site, browser };
    }),
  );
  type Visit = (typeof visits)[number];
  const expectFailure = async ({ name, browser }: Visit): Promise<void> => {
    const { status, setCookies } = await browser.get("/");
    expect({ name, status, setCookies }).toEqual({ name, status: 500, setCookies: [] });
  };
  const expectLogin = async ({ name, browser }: Visit): Promise<void> => {
    // Drivers take a while to reconnect. A logout would be permanent.
    await vi.waitFor(async () => expect((await browser.get("/")).status).toBe(200), 30_000);
    expect({ name, data: JSON.parse((await browser.get("/")).text) }).toMatchObject({
      name,
      data: { userId },
    });
  };

  try {
    await server.stop();
    await Promise.all(visits.map(expectFailure));
    await server.start();
    await Promise.all(visits.map(expectLogin));
    await server.pause();
    await Promise.all(visits.map(expectFailure));
    await server.resume();
    await Promise.all(visits.map(expectLogin));
  } finally {
    await Promise.all(visits.map(({ site }) => site.close()));
  }
}
