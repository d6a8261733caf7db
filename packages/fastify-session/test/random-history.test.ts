import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import { visitor, type Visitor } from "@tenure/cookie-client";
import { memoryStore, Sessions, StoreError } from "@tenure/core";
import { Beginnings, type Operations, randomHistories } from "@tenure/watched-store/random-history";
import fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import { expect, test } from "vitest";
import { fastifySessionStore } from "../src/index.ts";
import { dataOf, SECRET } from "./site.ts";

test(
  "in random histories nobody who was logged out is seen logged in without a later login, and a login after revoke-all succeeds",
  { timeout: 60 * 60_000 },
  async () => {
    const played = randomHistories({
      newStore: memoryStore,
      failure: (call) => new StoreError(call as "read", "down"),
      async open(store, seed) {
        const sessions = new Sessions({ store, touchEvery: "1ms" });
        const app = await site(sessions, seed % 2 === 0);
        const origin = await app.listen({ host: "127.0.0.1", port: 0 });
        return {
          operations: operations(sessions),
          newBrowser: () => visitor(origin),
          close: () => app.close(),
        };
      },
    });
    await expect(played).resolves.toBeUndefined();
  },
);

const beginnings = new Beginnings();

function operations(sessions: Sessions): Operations<Visitor> {
  const ask =
    <Seen>(way: string) =>
    async (browser: Visitor, user: string, begun: () => void): Promise<Seen | undefined> => {
      const { status, text } = await browser.post(`/${way}?user=${user}`, {}, beginnings.sent(begun));
      return status === 200 ? (JSON.parse(text) as Seen) : undefined;
    };
  const login = ask<Awaited<ReturnType<Operations<Visitor>["logIn"][string]>> & object>;
  const seen = ask<{ readonly id: string | null; readonly user: string | null }>;
  return {
    logIn: {
      logIn: login("login"),
      "logIn, kept": login("login-kept"),
      regenerate: login("regenerate-login"),
    },
    logOut: {
      destroy: seen("destroy"),
      logOut: seen("logout"),
      passport: seen("passport-logout"),
      "cookie.expires": seen("expire"),
    },
    everywhere: {
      administrator: (_browser, user) =>
        sessions.revokeAllForUser(user).then(
          () => ({ user }),
          () => undefined,
        ),
      logOutEverywhere: seen("everywhere"),
    },
    others: {
      save: seen("save"),
      rotate: seen("rotate"),
      "regenerate, carrying the user over": seen("carry"),
      "regenerate, keeping the user": seen("keep"),
      "rotate, then save": seen("rotate-save"),
      reload: seen("reload"),
    },
    look: seen("look"),
  };
}

async function site(sessions: Sessions, rolling: boolean): Promise<FastifyInstance> {
  const store = fastifySessionStore(sessions);
  const app = fastify({ forceCloseConnections: true });
  app.addHook("onRequest", async ({ headers }) => beginnings.arrived(headers));
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    store,
    idGenerator: store.idGenerator,
    secret: SECRET,
    cookie: { secure: false },
    saveUninitialized: false,
    rolling,
  });
  const seen = (request: FastifyRequest): { readonly id: string | null; readonly user: string | null } => ({
    id: sessions.idOf(request.session?.sessionId ?? ""),
    user: store.userOf(request),
  });
  const named = (request: FastifyRequest): string => (request.query as { readonly user: string }).user;
  const route = (name: string, handle: (request: FastifyRequest) => Promise<object>): void => {
    app.post(`/${name}`, async (request, reply) => reply.send(JSON.stringify(await handle(request))));
  };
  const logIn =
    (keep: readonly string[]) =>
    async (request: FastifyRequest): Promise<object> => {
      dataOf(request)["visits"] = 1;
      const { refused } = await store.logIn(request, named(request), { keep });
      const outcome = refused ?? (store.userOf(request) === named(request) ? "logged-in" : "unknown");
      return { ...seen(request), outcome };
    };
  route("login", logIn([]));
  route("login-kept", logIn(["visits", "userId"]));
  route("regenerate-login", async (request) => {
    await request.session.regenerate();
    dataOf(request)["userId"] = named(request);
    await request.session.save();
    return { ...seen(request), outcome: store.userOf(request) === named(request) ? "logged-in" : "unknown" };
  });
  route("destroy", async (request) => {
    const before = seen(request);
    await request.session.destroy();
    return before;
  });
  route("logout", async (request) => {
    const before = seen(request);
    await store.logOut(request);
    return before;
  });
  route("passport-logout", async (request) => {
    const before = seen(request);
    if (dataOf(request)["userId"] === undefined) return { id: null, user: null };
    dataOf(request)["userId"] = undefined;
    await request.session.regenerate();
    return before;
  });
  route("expire", async (request) => {
    const before = seen(request);
    request.session.cookie.expires = new Date();
    await request.session.save();
    return before;
  });
  route("everywhere", async (request) => {
    const before = seen(request);
    await store.logOutEverywhere(request);
    return before;
  });
  route("save", async (request) => {
    dataOf(request)["draft"] = Math.random();
    await request.session.save();
    dataOf(request)["later"] = Math.random();
    return seen(request);
  });
  route("rotate", async (request) => {
    await store.rotate(request);
    return seen(request);
  });
  route("rotate-save", async (request) => {
    await store.rotate(request);
    dataOf(request)["draft"] = Math.random();
    return seen(request);
  });
  route("carry", async (request) => {
    const { userId } = dataOf(request);
    await request.session.regenerate();
    dataOf(request)["userId"] = userId;
    return seen(request);
  });
  route("keep", async (request) => {
    await request.session.regenerate(["userId"] as never[]);
    return seen(request);
  });
  route("reload", async (request) => {
    await request.session.reload();
    dataOf(request)["draft"] = Math.random();
    return seen(request);
  });
  route("look", async (request) => seen(request));
  return app;
}
