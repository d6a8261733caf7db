import { randomUUID } from "node:crypto";
import { visitor } from "@tenure/cookie-client";
import { Sessions, type SessionStore } from "@tenure/core";
import { ensureIndexes, mongoStore } from "@tenure/mongo";
import { migrate, postgresStore } from "@tenure/postgres";
import { redisStore } from "@tenure/redis";
import { canStart, startMongo, startPostgres, startRedis } from "@tenure/servers";
import { Redis } from "ioredis";
import { MongoClient } from "mongodb";
import { Pool } from "pg";
import { expect, test, vi } from "vitest";
import { application } from "./application.ts";
import { expressSession } from "./express.ts";
import { fastifySessions } from "./fastify.ts";
import { gates } from "./gates.ts";
import { bridgeOfGuide } from "./guide.ts";
import { koaSession } from "./koa.ts";
import { login } from "./stage.ts";

const frameworks = [expressSession, fastifySessions, koaSession, bridgeOfGuide];
const [redis, postgres, mongo] = [
  await canStart("redis"),
  await canStart("postgres"),
  await canStart("mongo"),
];

redis.describe("over HTTP on Redis", { concurrent: true }, () => {
  test("an outage is errors and no logout, stopped and silent", { timeout: 120_000 }, async () => {
    await using server = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const client = new Redis(server.url, { maxRetriesPerRequest: 0, retryStrategy: () => 100 });
    client.on("error", () => undefined);
    try {
      await expect(outage(server, redisStore(client, { timeout: 2000 }))).resolves.toEqual(SURVIVED);
    } finally {
      client.disconnect();
    }
  });
});

postgres.describe("over HTTP on Postgres", { concurrent: true }, () => {
  test("an outage is errors and no logout, stopped and silent", { timeout: 120_000 }, async () => {
    await using server = await startPostgres();
    const pool = new Pool({
      connectionString: server.url,
      connectionTimeoutMillis: 1000,
      query_timeout: 1000,
      // One connection per statement, because a paused PostgreSQL still serves its open connections.
      maxUses: 1,
    });
    pool.on("error", () => undefined);
    try {
      await migrate(pool);
      await expect(outage(server, postgresStore(pool))).resolves.toEqual(SURVIVED);
    } finally {
      await pool.end();
    }
  });
});

mongo.describe("over HTTP on MongoDB", { concurrent: true }, () => {
  test("an outage is errors and no logout, stopped and silent", { timeout: 120_000 }, async () => {
    await using server = await startMongo();
    const client = new MongoClient(server.url, {
      serverSelectionTimeoutMS: 1000,
      connectTimeoutMS: 1000,
      socketTimeoutMS: 1000,
    });
    try {
      const collection = client.db("outage").collection("sessions");
      await ensureIndexes(collection);
      await expect(outage(server, mongoStore(collection))).resolves.toEqual(SURVIVED);
    } finally {
      await client.close();
    }
  });
});

interface Server {
  stop(): Promise<void>;
  start(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/** The responses of every framework, by what happened to the server. */
const SURVIVED = Object.fromEntries(
  frameworks.map(({ name }) => [
    name,
    {
      stopped: { status: 500, setCookies: [] },
      afterStop: "logged in",
      silent: { status: 500, setCookies: [] },
      afterSilence: "logged in",
    },
  ]),
);

async function outage(server: Server, store: SessionStore): Promise<unknown> {
  const sessions = new Sessions({ store });
  const app = application(gates());
  const userId = randomUUID();
  const places = await Promise.all(
    frameworks.map(async (framework) => {
      const site = await framework.serve(sessions, app);
      const browser = visitor(site.origin);
      expect((await browser.post("/", login(userId))).status).toBe(200);
      return { framework, site, browser };
    }),
  );
  type Place = (typeof places)[number];
  const ofAll = <Answer>(ask: (place: Place) => Promise<Answer>): Promise<Answer[]> =>
    Promise.all(places.map(ask));
  const visit = async ({ browser }: Place): Promise<object> => {
    const { status, setCookies } = await browser.get("/");
    return { status, setCookies };
  };
  const comesBack = async ({ browser }: Place): Promise<string> => {
    // Clients take a while to reconnect. A logout would be permanent.
    await vi.waitFor(async () => expect((await browser.get("/")).status).toBe(200), { timeout: 30_000 });
    const { text } = await browser.get("/");
    return (JSON.parse(text) as { userId?: unknown }).userId === userId ? "logged in" : "logged out";
  };

  try {
    await server.stop();
    const stopped = await ofAll(visit);
    await server.start();
    const afterStop = await ofAll(comesBack);
    await server.pause();
    const silent = await ofAll(visit);
    await server.resume();
    const afterSilence = await ofAll(comesBack);
    return Object.fromEntries(
      places.map(({ framework }, index) => [
        framework.name,
        {
          stopped: stopped[index],
          afterStop: afterStop[index],
          silent: silent[index],
          afterSilence: afterSilence[index],
        },
      ]),
    );
  } finally {
    await ofAll(({ site }) => site.close());
  }
}
