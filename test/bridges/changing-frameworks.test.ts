import { createServer } from "node:http";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import { visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions } from "@tenure/core";
import { expressSessionStore } from "@tenure/express-session";
import { fastifySessionStore } from "@tenure/fastify-session";
import express from "express";
import session from "express-session";
import fastify from "fastify";
import { expect, test } from "vitest";
import { SECRET } from "./framework.ts";
import { listen } from "./listen.ts";

test.for([undefined, 600_000])(
  "while an application moves from express-session to @fastify/session, both use the same sessions and cookie (maxAge %s)",
  async (maxAge) => {
    const backend = memoryStore();
    const before = await expressApplication(new Sessions({ store: backend }), maxAge);
    const after = await fastifyApplication(new Sessions({ store: backend }), maxAge);
    try {
      const inExpress = visitor(before.origin);
      await inExpress.post("/login");
      const inFastify = inExpress.twin(after.origin);
      expect((await inFastify.get("/who")).text).toBe("ada");

      // Fastify sets the cookie that Express reads.
      await inFastify.post("/rotate");
      expect((await inExpress.get("/who")).text).toBe("nobody");
      const browser = inFastify.twin(before.origin);
      expect((await browser.get("/who")).text).toBe("ada");

      await inFastify.post("/logout");
      expect((await browser.get("/who")).text).toBe("nobody");
    } finally {
      await Promise.all([before.close(), after.close()]);
    }
  },
);

function expressApplication(sessions: Sessions, maxAge: number | undefined) {
  const store = expressSessionStore(sessions);
  const app = express();
  const cookie = maxAge === undefined ? {} : { maxAge };
  app.use(session({ store, secret: SECRET, name: "id", resave: false, saveUninitialized: false, cookie }));
  app.post("/login", (req, res, next) => {
    store.logIn(req, "ada").then(() => res.end(), next);
  });
  app.get("/who", (req, res) => res.send(store.userOf(req) ?? "nobody"));
  return listen(createServer(app));
}

async function fastifyApplication(sessions: Sessions, maxAge: number | undefined) {
  const store = fastifySessionStore(sessions);
  const app = fastify();
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    store,
    idGenerator: store.idGenerator,
    secret: SECRET,
    cookieName: "id",
    cookiePrefix: "s:",
    saveUninitialized: false,
    rolling: false,
    cookie: { secure: false, ...(maxAge === undefined ? {} : { maxAge }) },
  });
  app.get("/who", async (request) => store.userOf(request) ?? "nobody");
  app.post("/rotate", async (request) => store.rotate(request));
  app.post("/logout", async (request) => {
    await store.logOut(request);
    return "bye";
  });
  const origin = await app.listen({ host: "127.0.0.1", port: 0 });
  return { origin, close: () => app.close() };
}
