import { createServer } from "node:http";
import { visitor } from "@tenure/cookie-client";
import { Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { redisStore } from "@tenure/redis";
import { faultyProxy, server } from "@tenure/servers";
import express from "express";
import session from "express-session";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { listen, type ListeningServer } from "../bridges/listen.ts";

declare module "express-session" {
  interface SessionData {
    userId?: string;
  }
}

const redis = await server("redis");

redis.describe("through express-session, on Redis", () => {
  test("a page view of a logged-in user sends one command if no touch is due", async () => {
    await using proxy = await faultyProxy(redis.url);
    const client = new Redis(proxy.url);
    const store = redisStore(client, { prefix: "page-view:" });
    const site = await serve(new Sessions({ store, idleTimeout: "30m", lifetime: "12h" }));
    const browser = visitor(site.origin);
    await browser.get("/login");
    // The first page views may send commands that follow a login, or that a store or process sends once.
    for (let n = 0; n < 3; n += 1) await browser.get("/");
    const before = proxy.commands;
    for (let n = 0; n < 10; n += 1) expect((await browser.get("/")).text).toBe("ada");
    await site.close();
    await client.quit();
    // The eleventh command is QUIT, whose reply comes after those of all commands under way.
    expect(proxy.commands - before).toBe(11);
  });
});

async function serve(sessions: Sessions): Promise<ListeningServer> {
  const app = express();
  const store = expressSessionStore(sessions);
  app.use(session({ store, secret: "a secret", resave: false, saveUninitialized: false }));
  app.get("/login", async (req, res) => {
    await store.rotate(req);
    req.session.userId = "ada";
    res.end();
  });
  app.get("/", (req, res) => res.send(req.session.userId));
  return listen(createServer(app));
}
