import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { visitor } from "@tenure/cookie-client";
import { Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { redisStore } from "@tenure/redis";
import { faultyProxy, server } from "@tenure/servers";
import express from "express";
import session from "express-session";
import { Redis } from "ioredis";
import { expect, test } from "vitest";

declare module "express-session" {
  interface SessionData {
    userId?: string;
  }
}

const redis = await server("redis");

redis.describe("through express-session, on Redis", () => {
  test("a page view of a logged-in user is one command while no touch is due", async () => {
    await using proxy = await faultyProxy(redis.url);
    const client = new Redis(proxy.url);
    const store = redisStore(client, { prefix: "page-view:" });
    const site = await serve(new Sessions({ store, idleTimeout: "30m", lifetime: "12h" }));
    const browser = visitor(site.origin);
    await browser.get("/login");
    // The first page views may include work that follows a login, and work that a store or process does once.
    for (let n = 0; n < 3; n += 1) await browser.get("/");
    const before = proxy.commands;
    for (let n = 0; n < 10; n += 1) expect((await browser.get("/")).text).toBe("ada");
    await site.close();
    await client.quit();
    // QUIT, which has waited for all commands under way, is one more.
    expect(proxy.commands - before).toBe(11);
  });
});

async function serve(sessions: Sessions): Promise<{ origin: string; close(): Promise<void> }> {
  const app = express();
  const store = expressSessionStore(sessions);
  app.use(session({ store, secret: "a secret", resave: false, saveUninitialized: false }));
  app.get("/login", async (req, res) => {
    await store.rotate(req);
    req.session.userId = "ada";
    res.end();
  });
  app.get("/", (req, res) => res.send(req.session.userId));
  const listening = app.listen(0, "127.0.0.1");
  await once(listening, "listening");
  return {
    origin: `http://127.0.0.1:${(listening.address() as AddressInfo).port}`,
    async close() {
      listening.close();
      await once(listening, "close");
    },
  };
}
